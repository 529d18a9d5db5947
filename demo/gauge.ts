import type { Stats } from 'weblora';
import type { PageEngine } from './engine.ts';
import { measured } from './frame.ts';

/** What the engine told of itself, and when: milliseconds of `performance.now()`. */
export interface Reading {
  readonly at: number;
  readonly stats: Stats;
}

/** Asks the engine for its figures while something happens, a few times a second. */
export interface Gauge {
  /** Something happened: the figures are read soon, and once more if this is said while they are. */
  tick(): void;
  watch(listener: (reading: Reading) => void): void;
}

/** Milliseconds. */
const BETWEEN = 250;

/** @param onTrouble told when the engine no longer answers; nothing is read after that. */
export function createGauge(engine: Pick<PageEngine, 'stats'>, onTrouble: (error: unknown) => void): Gauge {
  const listeners: ((reading: Reading) => void)[] = [];
  let state: 'idle' | 'reading' | 'again' | 'ended' = 'idle';
  const read = async (): Promise<void> => {
    try {
      const stats = await engine.stats();
      measured('gauge', () => {
        const reading = { at: performance.now(), stats };
        for (const listener of listeners) listener(reading);
      });
    } catch (error) {
      state = 'ended';
      onTrouble(error);
    }
    setTimeout(() => {
      if (state === 'ended') return;
      const again = state === 'again';
      state = again ? 'reading' : 'idle';
      if (again) void read();
    }, BETWEEN);
  };
  return {
    tick: () => {
      if (state === 'reading') state = 'again';
      if (state !== 'idle') return;
      state = 'reading';
      void read();
    },
    watch: (listener) => void listeners.push(listener),
  };
}
