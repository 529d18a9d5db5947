import { createBuffers, MAP_READ_MODE, USAGE } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import type { Pipelines } from '../gpu/pipelines.ts';
import { record } from '../gpu/recorder.ts';
import type { KernelCase } from './kernel-data.ts';
import { bindRun, type BoundRun, type Candidate } from './kernel-runs.ts';

/** Tells how long a device takes. */
export interface Clock {
  readonly kind: 'timestamps' | 'results';
  /** Milliseconds of one of so many repetitions in one pass. */
  time(run: Pick<BoundRun, 'dispatches'>, repeats: number): Promise<number>;
  destroy(): void;
}

const QUERY_RESOLVE = 0x200;

/** By the device's own timestamps where it has them, else from the submit until a result is in JS. */
export function createClock({ device }: Gpu): Clock {
  const kind = device.features.has('timestamp-query') ? 'timestamps' : 'results';
  const queries = kind === 'timestamps' ? device.createQuerySet({ type: 'timestamp', count: 2 }) : undefined;
  const resolved = device.createBuffer({ label: 'timestamps', size: 256, usage: QUERY_RESOLVE | USAGE.COPY_SRC | USAGE.COPY_DST });
  const readback = device.createBuffer({ label: 'timestamps in JS', size: 256, usage: USAGE.MAP_READ | USAGE.COPY_DST });
  return {
    kind,
    time: async ({ dispatches }, repeats) => {
      const started = performance.now();
      const encoder = device.createCommandEncoder();
      const timestampWrites = queries && { querySet: queries, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
      const pass = encoder.beginComputePass(timestampWrites && { timestampWrites });
      for (let i = 0; i < repeats; i++) for (const { dispatch, threads } of dispatches) record(pass, dispatch, threads);
      pass.end();
      if (queries) encoder.resolveQuerySet(queries, 0, 2, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, readback, 0, 16);
      device.queue.submit([encoder.finish()]);
      await readback.mapAsync(MAP_READ_MODE);
      const [begin, end] = new BigUint64Array(readback.getMappedRange(0, 16).slice(0)) as unknown as [bigint, bigint];
      readback.unmap();
      // timestamps may go backwards
      const ms = queries ? Math.max(0, Number(end - begin) / 1e6) : performance.now() - started;
      return ms / repeats;
    },
    destroy: () => {
      queries?.destroy();
      resolved.destroy();
      readback.destroy();
    },
  };
}

/** Milliseconds of one dispatch; `ms` is the median. */
export interface Timing {
  readonly candidate: Candidate;
  readonly ms: number;
  readonly least: number;
  readonly most: number;
}

const SAMPLES = 7;
/** Of a dispatch that takes longer than this, fewer samples tell enough. */
const SLOW_MS = 60;
const SLOW_SAMPLES = 3;

/**
 * Times candidates on a case, in turns, so that what else the machine does meets all of them. Those that do not run are left out.
 * @param time as `createTimer` makes it: it repeats each of them until its clock tells.
 */
export async function timeCandidates(
  gpu: Gpu,
  pipelines: Pipelines,
  time: (dispatches: BoundRun['dispatches']) => Promise<number>,
  of: KernelCase,
  candidates: readonly Candidate[],
): Promise<readonly Timing[]> {
  const buffers = createBuffers(gpu.device);
  try {
    const timed: { candidate: Candidate; run: BoundRun; count: number; samples: number[] }[] = [];
    for (const candidate of candidates) {
      const run = await bindRun(gpu.device, pipelines, buffers, { candidate, of });
      await buffers.settled();
      if ('failure' in run) continue;
      const ms = await time(run.dispatches);
      timed.push({ candidate, run, count: ms > SLOW_MS ? SLOW_SAMPLES : SAMPLES, samples: [] });
    }
    for (let i = 0; i < SAMPLES; i++) {
      for (const { run, count, samples } of timed) if (i < count) samples.push(await time(run.dispatches));
    }
    return timed.map(({ candidate, samples }) => {
      const sorted = samples.toSorted((a, b) => a - b);
      return { candidate, ms: sorted[sorted.length >> 1]!, least: sorted[0]!, most: sorted.at(-1)! };
    });
  } finally {
    buffers.destroy();
  }
}
