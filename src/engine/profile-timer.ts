import type { BoundRun } from './kernel-runs.ts';
import type { Clock } from './kernel-timing.ts';

export type TimedDispatches = BoundRun['dispatches'];

/** Milliseconds of all of these once, from a sample in which they are repeated until it is long enough for the clock. */
export type Timer = (dispatches: TimedDispatches) => Promise<number>;

/** What a sample takes at least: timestamps may be as coarse as 0.1 ms. */
const SAMPLE_MS = 5;
/** How many times a sample is longer than the way back of its result, where that is in it. */
const SAMPLE_OF_WAY = 4;
const MOST_DISPATCHES = 20_000;
/** A clock that stands still must not make samples grow for ever. */
const LONGEST_MS = 2000;
const WAYS = 5;

/** How often something is repeated that took `ms` when it was repeated `count` times, for it to take `least`. */
export function nextCount(count: number, ms: number, least: number): number {
  return Math.ceil(count * Math.min(32, Math.max(1.5, (1.3 * least) / Math.max(ms, 0.05))));
}

/**
 * Makes a timer. Where a clock ends when a result is in JS, what an empty pass takes to come back is measured here and taken off.
 * How often each list is repeated is found at its first sample and kept for it.
 */
export async function createTimer(clock: Pick<Clock, 'kind' | 'time'>): Promise<Timer> {
  const ways: number[] = [];
  for (let i = 0; clock.kind === 'results' && i < WAYS; i++) ways.push(await clock.time({ dispatches: [] }, 1));
  const way = ways.sort((a, b) => a - b)[WAYS >> 1] ?? 0;
  const least = Math.max(SAMPLE_MS, SAMPLE_OF_WAY * way);
  const counts = new WeakMap<TimedDispatches, number>();
  return async (dispatches) => {
    const most = Math.max(1, Math.floor(MOST_DISPATCHES / dispatches.length));
    const known = counts.get(dispatches);
    if (known === undefined) await clock.time({ dispatches }, 1); // what is done once only
    for (let count = known ?? 1; ;) {
      const began = performance.now();
      const ms = Math.max(0, count * (await clock.time({ dispatches }, count)) - way);
      if (known !== undefined || ms >= least || count >= most || performance.now() - began >= LONGEST_MS) {
        counts.set(dispatches, count);
        return ms / count;
      }
      count = Math.min(most, nextCount(count, ms, least));
    }
  };
}
