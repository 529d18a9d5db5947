import type { GpuProvider } from 'weblora';
import type { Constant, Kernel } from '../../src/gpu/kernel.ts';
import { createBuffers, MAP_READ_MODE, type Buffers } from '../../src/gpu/buffers.ts';
import { createPipelines, type Bound, type Dispatch, type Pipelines } from '../../src/gpu/pipelines.ts';
import { record } from '../../src/gpu/recorder.ts';
import type { Words } from '../../test/suites/kernel-harness.ts';

/** One dispatch that can be timed. */
export interface Timed {
  readonly dispatch: Dispatch;
  readonly threads: number;
  /** What its pipeline took to compile; next to nothing where the same one was compiled before. */
  readonly compileMs: number;
}

/** What a kernel is bound to and specialised with. */
export interface Specialised<Binding extends string> {
  readonly kernel: Kernel<Binding>;
  readonly constants: Readonly<Record<string, Constant>>;
  readonly libraries: readonly string[];
  readonly buffers: Readonly<Record<Binding, Bound>>;
  readonly threads: number;
}

/** A device on which single dispatches are verified and timed. */
export interface Bed {
  readonly device: GPUDevice;
  readonly description: string;
  /** What a sample is read from. */
  readonly clock: 'timestamp queries' | 'submit and wait';
  buffer(label: string, words: Words): GPUBuffer;
  drop(...buffers: readonly GPUBuffer[]): void;
  /** Throws `Error` where the kernel does not compile. */
  prepare<Binding extends string>(specialised: Specialised<Binding>): Promise<Timed>;
  /** Runs a dispatch once. */
  run(timed: Timed): Promise<void>;
  read(buffer: GPUBuffer, words: number): Promise<Words>;
  /** Milliseconds of one dispatch: as many in one pass as take `LEAST_MS`, and their number. */
  time(timed: Timed): Promise<number>;
  /** Submits so many of it in one pass and waits; milliseconds of all. */
  pass(timed: readonly Timed[], repeats: number): Promise<number>;
}

/** Of one sample: timestamps are as coarse as 0.07 ms, and waiting for the queue can take as long. */
const LEAST_MS = 6;
/** Where the end of a submit is polled for every 10 ms, as in Deno. */
const LEAST_WAITED_MS = 60;
const MOST_REPEATS = 20_000;

/** Opens a device with all that the adapter allows. Throws `Error` where there is none. */
export async function openBed(provider: GpuProvider): Promise<Bed> {
  const adapter = (await provider.requestAdapter()) as GPUAdapter | null;
  if (!adapter) throw new Error('There is no adapter');
  const clock = adapter.features.has('timestamp-query') ? 'timestamp queries' : 'submit and wait';
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredFeatures: (['timestamp-query', 'subgroups'] as const).filter((feature) => adapter.features.has(feature)),
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
  });
  const { vendor, architecture, description } = adapter.info;
  const buffers = createBuffers(device);
  const pass = clock === 'timestamp queries' ? timestamps(device) : waits(device);
  return {
    device,
    description: [vendor, architecture, description].filter((word) => word !== '').join(' '),
    clock,
    ...contents(device, buffers),
    ...preparing(createPipelines(device, buffers)),
    run: async (timed) => void (await pass([timed], 1)),
    pass,
    time: timer(pass, clock === 'timestamp queries' ? LEAST_MS : LEAST_WAITED_MS),
  };
}

function preparing(pipelines: Pipelines): Pick<Bed, 'prepare'> {
  return {
    prepare: async ({ kernel, constants, libraries, buffers, threads }) => {
      const began = performance.now();
      const pipeline = await pipelines.get(kernel, { constants, libraries });
      const compileMs = performance.now() - began;
      return { dispatch: pipelines.bind(pipeline, buffers), threads, compileMs };
    },
  };
}

function contents(device: GPUDevice, buffers: Buffers): Pick<Bed, 'buffer' | 'drop' | 'read'> {
  return {
    buffer: (label, words) => {
      const buffer = buffers.storage(label, words.byteLength);
      device.queue.writeBuffer(buffer, 0, words);
      return buffer;
    },
    drop: (...all) => {
      for (const buffer of all) buffers.drop(buffer);
    },
    read: async (buffer, words) => {
      const back = buffers.readback('read', words * 4);
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, 0, back, 0, words * 4);
      device.queue.submit([encoder.finish()]);
      await back.mapAsync(MAP_READ_MODE);
      const found = new Uint32Array(back.getMappedRange().slice(0, words * 4));
      buffers.drop(back);
      return found;
    },
  };
}

function timer(pass: Bed['pass'], leastMs: number): Bed['time'] {
  const repeats = new WeakMap<Timed, number>();
  return async (timed) => {
    let count = repeats.get(timed) ?? 1;
    for (;;) {
      const ms = await pass([timed], count);
      if (repeats.has(timed) || ms >= leastMs || count >= MOST_REPEATS) {
        repeats.set(timed, count);
        return ms / count;
      }
      count = Math.min(MOST_REPEATS, Math.ceil(count * Math.min(32, Math.max(1.5, (1.3 * leastMs) / Math.max(ms, 0.05)))));
    }
  };
}

function encode(
  encoder: GPUCommandEncoder,
  timed: readonly Timed[],
  repeats: number,
  timestampWrites?: GPUComputePassTimestampWrites,
): void {
  const pass = encoder.beginComputePass(timestampWrites && { timestampWrites });
  for (let i = 0; i < repeats; i++) for (const { dispatch, threads } of timed) record(pass, dispatch, threads);
  pass.end();
}

function waits(device: GPUDevice): Bed['pass'] {
  return async (timed, repeats) => {
    const began = performance.now();
    const encoder = device.createCommandEncoder();
    encode(encoder, timed, repeats);
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    return performance.now() - began;
  };
}

const QUERY_RESOLVE = 0x200;
const COPY_SRC = 0x4;
const COPY_DST = 0x8;
const MAP_READ = 0x1;

function timestamps(device: GPUDevice): Bed['pass'] {
  const querySet = device.createQuerySet({ type: 'timestamp', count: 2 });
  const resolved = device.createBuffer({ size: 256, usage: QUERY_RESOLVE | COPY_SRC });
  const back = device.createBuffer({ size: 16, usage: MAP_READ | COPY_DST });
  return async (timed, repeats) => {
    const encoder = device.createCommandEncoder();
    encode(encoder, timed, repeats, { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 });
    encoder.resolveQuerySet(querySet, 0, 2, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, back, 0, 16);
    device.queue.submit([encoder.finish()]);
    await back.mapAsync(MAP_READ_MODE);
    const [began, ended] = new BigInt64Array(back.getMappedRange());
    const ms = Number(ended! - began!) / 1e6;
    back.unmap();
    return ms;
  };
}
