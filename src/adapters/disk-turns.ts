import type { DiskCounters } from './disk-contract.ts';
import type { DiskIndex, IndexChange } from './disk-index.ts';
import { storeFailed } from './store.ts';
import type { Store } from './store.ts';

export type Counters = { -readonly [K in keyof DiskCounters]: DiskCounters[K] };
/** Counts what a store threw; what to throw in its place. */
export type CountFailure = (what: string, cause: unknown) => Error;

export function failureCounter(counters: Counters): CountFailure {
  return (what, cause) => {
    const error = storeFailed(what, cause);
    counters.failures++;
    counters.lastFailure = error.message;
    return error;
  };
}

/** How changes wait for each other. */
export interface Turns {
  /**
   * Runs one change when those before it have ended, alone in the store, on an index that is up to date; `prepare` before that, when
   * others may still use the store. Failures are counted.
   */
  change<T>(what: string, work: () => Promise<T>, prepare?: () => Promise<void>): Promise<T>;
  /** Fulfilled when none is left, also of those that were asked for meanwhile. */
  settled(): Promise<void>;
}

/** @param changed hears what others did, before the change that found it. */
export function createTurns(store: Store, index: DiskIndex, fail: CountFailure, changed: (change: IndexChange) => void): Turns {
  let last: Promise<unknown> = Promise.resolve();
  const alone = async <T>(work: () => Promise<T>): Promise<T> => {
    const change = await index.refresh();
    if (change.gone.length + change.added.length > 0) changed(change);
    try {
      return await work();
    } catch (error) {
      index.distrust(); // part of it may have been done
      throw error;
    }
  };
  return {
    change: (what, work, prepare) => {
      const turn = last.then(async () => {
        try {
          await prepare?.();
          return await store.exclusive(() => alone(work));
        } catch (cause) {
          throw fail(what, cause);
        }
      });
      last = turn.catch(() => undefined); // told to who asked for it; those behind it go on
      return turn;
    },
    settled: async () => {
      for (let seen: unknown; seen !== last;) await (seen = last);
    },
  };
}
