import { WebLoraError } from '../errors.ts';
import { createBuffers, MAP_READ_MODE, type Buffers } from './buffers.ts';

/**
 * A ring of buffers that the GPU copies results into and JS maps, so that a step never waits for the one before.
 * Buffers are made once and reused in turn; one grows only when a request first asks for more bytes (log-probabilities).
 */
export interface ReadbackRing {
  /** The next buffer, at least `bytes` long. Call `read` after the submit that fills it, and before the ring comes round. */
  next(bytes: number): GPUBuffer;
  /** Maps it and hands its bytes to `use`, which must copy what it keeps. Throws `device_lost` where the device is gone. */
  read<T>(buffer: GPUBuffer, bytes: number, use: (bytes: ArrayBuffer) => T): Promise<T>;
}

/** How to wait for a map: `submit` makes empty submits meanwhile; in Firefox and Deno it resolves sooner then. */
export interface Waiting {
  readonly nudge: 'none' | 'submit';
  readonly queue: GPUQueue;
}

/** How long a result takes back. */
export interface ReadbackTime {
  /** Milliseconds from a submit with next to nothing to do to its bytes in JS, waiting as `nudge` says. */
  readonly ms: number;
  /** The way that is clearly faster here; `none` where none is. */
  readonly nudge: Waiting['nudge'];
}

const NUDGE_MS = 2;
/** Measured pairs, and milliseconds after which no further pair begins. */
const MOST_PAIRS = 5;
const MOST_MS = 250;
/** Nudging costs submits: it has to save this share of the time, and this many milliseconds. */
const LEAST_SHARE_SAVED = 0.3;
const LEAST_MS_SAVED = 2;

export function createReadbackRing(buffers: Buffers, label: string, depth: number, bytes: number, waiting?: Waiting): ReadbackRing {
  const ring = Array.from({ length: depth }, () => buffers.readback(label, bytes));
  const nudged = createNudge(waiting);
  let turn = 0;
  return {
    next: (wanted) => {
      const index = turn;
      turn = (turn + 1) % depth;
      if (ring[index]!.size < wanted) {
        buffers.drop(ring[index]!);
        ring[index] = buffers.readback(label, wanted);
      }
      return ring[index]!;
    },
    read: async (buffer, length, use) => {
      await mapped(buffer, length, nudged);
      const value = use(buffer.getMappedRange(0, length));
      buffer.unmap();
      return value;
    },
  };
}

/**
 * Measures, in about 300 ms at most where maps resolve within 100, what a result takes on its way back; leaves nothing behind.
 * @throws WebLoraError `device_lost`, `out_of_memory`.
 */
export async function measureReadback(device: GPUDevice): Promise<ReadbackTime> {
  const buffers = createBuffers(device);
  try {
    const source = buffers.storage('read-back measured', 4);
    const target = buffers.readback('read-back measured', 4);
    await buffers.settled();
    const { queue } = device;
    const time = async (nudge: Waiting['nudge']): Promise<number> => {
      const began = performance.now();
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(source, 0, target, 0, 4);
      queue.submit([encoder.finish()]);
      await mapped(target, 4, createNudge({ nudge, queue }));
      const ms = performance.now() - began;
      target.unmap();
      return ms;
    };
    return await compare(time);
  } finally {
    buffers.destroy();
  }
}

/** Both ways in turn, after one warm-up, so that what else the machine does meets both. */
async function compare(time: (nudge: Waiting['nudge']) => Promise<number>): Promise<ReadbackTime> {
  const began = performance.now();
  await time('none');
  const waited: number[] = [];
  const nudged: number[] = [];
  do {
    waited.push(await time('none'));
    nudged.push(await time('submit'));
  } while (waited.length < MOST_PAIRS && performance.now() - began < MOST_MS);
  const none = median(waited);
  const submit = median(nudged);
  const isFaster = none - submit > Math.max(LEAST_MS_SAVED, LEAST_SHARE_SAVED * none);
  return isFaster ? { ms: submit, nudge: 'submit' } : { ms: none, nudge: 'none' };
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

type Nudged = (map: Promise<undefined>) => Promise<undefined>;

/** Nudges while a map that it was given waits; one timer for all of them, none where nobody waits. */
function createNudge(waiting: Waiting | undefined): Nudged {
  if (waiting?.nudge !== 'submit') return (map) => map;
  const { queue } = waiting;
  let maps = 0;
  let timer: ReturnType<typeof setInterval> | undefined;
  return async (map) => {
    maps += 1;
    timer ??= setInterval(() => queue.submit([]), NUDGE_MS);
    try {
      return await map;
    } finally {
      maps -= 1;
      if (maps === 0) {
        clearInterval(timer);
        timer = undefined;
      }
    }
  };
}

async function mapped(buffer: GPUBuffer, bytes: number, nudged: Nudged): Promise<void> {
  try {
    await nudged(buffer.mapAsync(MAP_READ_MODE, 0, bytes));
  } catch (cause) {
    throw new WebLoraError('device_lost', `The GPU device was lost while a step ran: ${String(cause)}`, { cause });
  }
}
