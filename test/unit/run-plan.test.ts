import { describe, expect, test } from 'vitest';
import { createPageSet } from '../../src/engine/page-set.ts';
import { planRun, type Ground } from '../../src/engine/run-plan.ts';

/** A pool as text: `.` free, `k` held by a request, `i` idle, a letter A to Z a page of that adapter. Victims in the order given. */
function ground(pool: string, victims: readonly (readonly [string, number])[], more: Partial<Ground> = {}): Ground {
  return {
    open: () => {
      const free = createPageSet(pool.length);
      for (const [page, what] of [...pool].entries()) if (what === '.') free.add(page);
      return free;
    },
    isIdle: (page) => pool[page] === 'i',
    eachIdle: (act) => [...pool].forEach((what, page) => what === 'i' && act(page)),
    victims: () => victims.map(([key, lastUse]) => ({ key, lastUse, wanted: undefined })),
    placement: (key) => ({ slot: 1, firstPage: pool.indexOf(key), pages: pool.split(key).length - 1 }),
    hasSlot: () => true,
    oldestIdle: () => (pool.includes('i') ? 5 : undefined),
    ...more,
  };
}

describe('who leaves for a run', () => {
  test('the first whose pages join what is free, and nobody whose pages lie apart', () => {
    expect(
      planRun(
        ground('AAkBB.kCC', [
          ['A', 1],
          ['B', 2],
          ['C', 3],
        ]),
        3,
      ),
    ).toEqual({ adapters: ['B'], idle: [] });
  });
  test('nobody where no run would come together', () => {
    expect(
      planRun(
        ground('AAkBBk.', [
          ['A', 1],
          ['B', 2],
        ]),
        3,
      ),
    ).toBeUndefined();
  });
  test('idle pages in their turn, and only those in the run', () => {
    expect(planRun(ground('ikiiAA', [['A', 9]]), 2)).toEqual({ adapters: [], idle: [2, 3] });
    expect(planRun(ground('ikiiAA', [['A', 1]]), 2)).toEqual({ adapters: ['A'], idle: [] });
    expect(planRun(ground('ikiiAA', [['A', 9]]), 4)).toEqual({ adapters: ['A'], idle: [2, 3] });
  });
  test('one for its slot where pages are free', () => {
    const full = { hasSlot: () => false };
    expect(planRun(ground('kA..', [['A', 9]], full), 2)).toEqual({ adapters: ['A'], idle: [] });
    expect(planRun(ground('k...', [], full), 2)).toBeUndefined();
    expect(planRun(ground('kii', [], full), 2)).toBeUndefined();
  });
});
