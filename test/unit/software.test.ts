import { expect, test } from 'vitest';
import { isSoftware } from '../../src/gpu/device.ts';

const info = (more: Partial<GPUAdapterInfo>) => ({ vendor: '', architecture: '', device: '', description: '', ...more }) as GPUAdapterInfo;

test.each([
  [{ isFallbackAdapter: true }, true],
  [{ vendor: 'google', architecture: 'swiftshader' }, true],
  [{ vendor: 'mesa', description: 'llvmpipe (LLVM 15.0.6, 256 bits)' }, true],
  [{ vendor: 'microsoft', description: 'Microsoft Basic Render Driver' }, true],
  [{ vendor: 'microsoft', architecture: 'WARP' }, true],
  [{ vendor: 'nvidia', architecture: 'lovelace', description: 'NVIDIA GeForce RTX 4090' }, false],
  [{ vendor: 'apple', architecture: 'common-3', isFallbackAdapter: false }, false],
  [{}, false],
] as const)('%o runs on the CPU: %s', (words, expected) => {
  expect(isSoftware(info(words))).toBe(expected);
});
