import { describe, expect, test } from 'vitest';
import { runHistory } from './core-events.ts';
import { createTally, type Tally } from './core-settings.ts';

const BLOCK = 1000;

/** How often each thing must have happened in a block: histories that never reach a situation prove nothing about it. */
const LEAST: Partial<Tally> = {
  finished: 4000,
  cancelled: 200,
  expired: 150,
  unfit: 100,
  failed: 150,
  poisoned: 100,
  resets: 200,
  preemptions: 100,
  recomputed: 300,
  shared: 500,
  gpuEvictions: 1000,
  heapEvictions: 500,
  diskLoads: 500,
  diskEvictions: 100,
  refused: 10,
  changed: 1,
  handPlaced: 20,
  gone: 5000,
  sharedGone: 30,
};

function run(seed: number, tally: Tally): number {
  try {
    return runHistory(seed, tally);
  } catch (error) {
    throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
  }
}

describe('the core over random histories', { timeout: 120_000 }, () => {
  test.each(Array.from({ length: 10 }, (_, block) => [block * BLOCK, (block + 1) * BLOCK - 1]))('seeds %i to %i', (first, last) => {
    const tally = createTally();
    for (let seed = first; seed <= last; seed++) run(seed, tally);
    for (const [what, least] of Object.entries(LEAST)) {
      expect(tally[what as keyof Tally], what).toBeGreaterThanOrEqual(least);
    }
  });

  test('the same seed gives the same decisions', () => {
    const seeds = Array.from({ length: 200 }, (_, seed) => seed);
    const [first, again] = [1, 2].map(() => seeds.map((seed) => run(seed, createTally())));
    expect(again).toEqual(first);
    expect(new Set(first).size).toBeGreaterThan(190);
  });
});
