import { describe, test } from 'vitest';
import type { GpuProvider } from '../src/engine/types.ts';
import { dawn } from '../src/node.ts';
import { sharedDevice } from './shared-device.ts';

/** Tests run in software, where every machine computes the same, unless `WEBLORA_GPU=hardware` asks for the real thing. */
export async function testGpu(): Promise<GpuProvider> {
  if (process.env['WEBLORA_GPU'] !== 'hardware') return dawn({ software: true });
  return dawn({
    onNotice: (line) => {
      throw new Error(`WEBLORA_GPU=hardware: ${line}`);
    },
  });
}

/** Dawn's null backend: compiles WGSL and checks bind groups and limits, runs nothing. Needs no driver. */
export async function nullGpu(): Promise<GpuProvider> {
  const { create } = await import('webgpu');
  const gpu = create(['backend=null']);
  kept.push(gpu);
  return gpu;
}

/** A collected instance takes its devices with it. */
const kept: GPU[] = [];

/**
 * `describe` for suites that compute on a device, which all of a file's cases share (see `sharedDevice`). Without one the suite is skipped
 * with the reason on standard error, and fails where `CI` is set.
 */
export async function describeGpu(name: string, suite: (gpu: GpuProvider) => void): Promise<void> {
  await describeWith(name, async () => sharedDevice(await testGpu()), suite);
}

/** The same for suites of which every engine has a device to itself, as it does elsewhere. */
export async function describeOwnGpu(name: string, suite: (gpu: GpuProvider) => void): Promise<void> {
  await describeWith(name, testGpu, suite);
}

/** `describe` for suites that compile on Dawn's null backend; a missing package is treated as in `describeGpu`. */
export async function describeNull(name: string, suite: (gpu: GpuProvider) => void): Promise<void> {
  await describeWith(name, nullGpu, suite);
}

async function describeWith(name: string, find: () => Promise<GpuProvider>, suite: (gpu: GpuProvider) => void): Promise<void> {
  let gpu: GpuProvider;
  try {
    gpu = await find();
  } catch (error) {
    if (process.env['CI']) {
      describe(name, () => {
        test('finds a device', () => {
          throw error;
        });
      });
    } else {
      console.warn(`SKIPPED ${name}: ${error instanceof Error ? error.message : String(error)}`);
      describe.skip(name, () => {
        test('needs a device', () => undefined);
      });
    }
    return;
  }
  describe(name, () => suite(gpu));
}
