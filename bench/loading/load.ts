import { open } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { GpuProvider } from 'weblora';
import { openModel } from '../../src/engine/load.ts';
import { createBuffers, USAGE } from '../../src/gpu/buffers.ts';
import { openGpu } from '../../src/gpu/device.ts';
import { halvesOn } from '../../src/model/plane-types.ts';
import { modelShape } from '../../src/model/shape.ts';
import { placeWeights } from '../../src/model/weights.ts';
import type { Written } from './files.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const SLICE = 16 << 20;

export interface Loaded {
  readonly ms: number;
  /** Most of `heapUsed + external` above the start. */
  readonly peak: number;
}

/** Array buffers, and WebAssembly's memory, are external. */
const used = (): number => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

/** Runs work and looks at this process's memory all the while. */
async function watched(work: (look: () => void) => Promise<void>): Promise<Loaded> {
  collect();
  await new Promise((resolve) => setTimeout(resolve, 50));
  collect();
  const before = used();
  let most = before;
  const look = (): void => {
    most = Math.max(most, used());
  };
  const timer = setInterval(look, 2);
  const began = performance.now();
  await work(look);
  const ms = performance.now() - began;
  look();
  clearInterval(timer);
  return { ms, peak: most - before };
}

/** What loading a model does up to the last byte on the device: files opened, room made, weights streamed, nothing compiled. */
export async function loadModel(provider: GpuProvider, { model }: Written): Promise<Loaded> {
  const gpu = await openGpu(provider);
  const buffers = createBuffers(gpu.device);
  const found = await watched(async (look) => {
    const { config, files } = await openModel({ model });
    const loading = {
      device: gpu.device,
      buffers,
      files,
      precision: 'exact',
      quantize: undefined,
      halves: halvesOn(gpu, files),
      onProgress: look,
      signal: undefined,
    } as const;
    await (await placeWeights(loading, config, modelShape(config))).fill();
    await gpu.device.queue.onSubmittedWorkDone();
  });
  buffers.destroy();
  gpu.device.destroy();
  return found;
}

/** The same file in slices into buffers as large, as it is. */
export async function loadRaw(provider: GpuProvider, { file }: Written): Promise<Loaded> {
  const { device } = await openGpu(provider);
  const made: GPUBuffer[] = [];
  const found = await watched(async (look) => {
    const handle = await open(file);
    const { size } = await handle.stat();
    const bytes = new Uint8Array(SLICE);
    for (let at = 0; at < size; at += SLICE) {
      const { bytesRead } = await handle.read(bytes, 0, SLICE, at);
      const buffer = device.createBuffer({ size: SLICE, usage: USAGE.STORAGE | USAGE.COPY_DST });
      made.push(buffer);
      device.queue.writeBuffer(buffer, 0, bytes, 0, Math.ceil(bytesRead / 4) * 4);
      look();
    }
    await handle.close();
    await device.queue.onSubmittedWorkDone();
  });
  for (const buffer of made) buffer.destroy();
  device.destroy();
  return found;
}
