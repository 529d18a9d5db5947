import { expect, test } from 'vitest';
import type { Buffers } from '../../src/gpu/buffers.ts';
import type { Gpu } from '../../src/gpu/device.ts';
import { stepLayout } from '../../src/kernels/step-layout.ts';
import { NARROW } from '../../src/kernels/variants.ts';
import { createActivations } from '../../src/model/activations.ts';
import { createRunner } from '../../src/model/runner.ts';
import { modelShape } from '../../src/model/shape.ts';
import { llamaConfig } from '../suites/llama-config.ts';

const FLOOR = 128 << 20;
/** A device with WebGPU's least limits. */
const device = { limits: { maxStorageBufferBindingSize: FLOOR, maxBufferSize: 256 << 20 } } as unknown as GPUDevice;
/** Sizes of an 8B Llama. */
const CONFIG = llamaConfig({
  ...{ vocabSize: 128_256, hiddenSize: 4096, intermediateSize: 14_336, layers: 32, heads: 32, kvHeads: 8, headDim: 128 },
  contextLength: 1 << 20,
});
const SHAPE = modelShape(CONFIG);

/** Buffers of which only the sizes are known. */
function sized(): { readonly buffers: Buffers; readonly bytes: number[] } {
  const bytes: number[] = [];
  const make = (_: string, size: number) => {
    bytes.push(size);
    return { size };
  };
  const buffers = { storage: make, readback: make, uniform: make, allocate: async (label: string, size: number) => make(label, size) };
  return { buffers: buffers as unknown as Buffers, bytes };
}

const layoutOf = (rows: number) => stepLayout({ rows, samplers: 4, logitRows: 4 });
const activations = (rows: number, positions: number) => {
  const { buffers, bytes } = sized();
  createActivations(device, buffers, CONFIG, SHAPE, layoutOf(rows), positions);
  return bytes;
};

test('what a step works on is no more than a device can bind', () => {
  const rows = Math.floor(FLOOR / (2 * CONFIG.intermediateSize * 4));
  const positions = FLOOR / (CONFIG.headDim * 4);
  expect(Math.max(...activations(rows, positions))).toBeLessThanOrEqual(FLOOR);
  expect(() => activations(rows + 1, positions)).toThrow(
    expect.objectContaining({
      code: 'gpu_limit',
      message: expect.stringMatching(/'gate and up' of 1171 rows would take 134299648 bytes.*at most 134217728: lower limits\.batchRows/),
    }),
  );
  expect(() => activations(rows, positions + 1)).toThrow(/'rope' of 262145 rows .*lower maxModelLength/);
});

test('what adapters of a rank write for as many rows is no more than that, either', async () => {
  const run = (rows: number): Promise<unknown> => {
    const parts = { activations: {}, config: CONFIG, layout: layoutOf(rows), shape: SHAPE, kernels: NARROW, weights: { layers: [] } };
    return createRunner(parts as unknown as Parameters<typeof createRunner>[0], { device } as Gpu, sized().buffers, {
      sequences: 4,
      depth: 1,
    });
  };
  // 28 splits of 64 ranks
  await expect(run(FLOOR / (28 * 64 * 4) + 1)).rejects.toMatchObject({
    code: 'gpu_limit',
    message: expect.stringContaining('rows under adapters of rank 64 would take'),
  });
  await expect(run(8192)).rejects.not.toMatchObject({ code: 'gpu_limit' }); // the fakes end there
});
