import { describe, expect, test } from 'vitest';
import { createAdapterCache } from '../../src/adapters/cache.ts';
import type { AdapterCache, Demand, PageRuns, Victim } from '../../src/adapters/cache.ts';
import {
  checkCommon,
  commonOperation,
  createModel,
  expectedVictims,
  HISTORIES,
  KEYS,
  NOTHING,
  OPERATIONS,
  randomDemand,
  refused,
  same,
  used,
  type Tier,
} from './cache-model.ts';
import { createRandom } from './core-random.ts';

const words = (victim: Victim | undefined): string =>
  victim ? `${victim.key}, used ${victim.lastUse}, wanted ${victim.wanted}` : 'nobody';

/** Runs of pages as one flag a page, the lowest fitting run first; whatever is freed twice or was never taken is an error. */
function createRuns(total: number): PageRuns & { taken(): number; lies(first: number, count: number): boolean } {
  const owner = new Array<number | undefined>(total).fill(undefined);
  let next = 0;
  return {
    takeRun(count) {
      for (let first = 0; first + count <= total; first++) {
        if (owner.slice(first, first + count).some((run) => run !== undefined)) continue;
        owner.fill(next++, first, first + count);
        return first;
      }
      return undefined;
    },
    giveRun(first, count) {
      const run = owner[first];
      same(run === undefined, false);
      same(owner.filter((page) => page === run).length, count);
      same(owner[first + count - 1], run);
      owner.fill(undefined, first, first + count);
    },
    taken: () => owner.filter((run) => run !== undefined).length,
    lies: (first, count) => owner.slice(first, first + count).every((run) => run !== undefined && run === owner[first]),
  };
}

function gpuHistory(seed: number): void {
  const random = createRandom(seed);
  const [total, slots] = [4 + random.below(14), 1 + random.below(8)];
  const runs = createRuns(total);
  const step = { now: 0 };
  const cache = createAdapterCache(runs, slots, () => step.now);
  const state = { model: createModel(), random, step };
  const { present } = state.model;
  const placed = (): number => [...present.values()].reduce((sum, { size }) => sum + size, 0);
  const evict = (key: string): void => {
    const placement = cache.get(key)!;
    same(cache.evict(key), placement);
    present.delete(key);
  };
  for (let i = 0; i < OPERATIONS; i++) {
    const key = KEYS[random.below(KEYS.length)]!;
    const demand = randomDemand(random, KEYS);
    const before = random.chance(0.5) ? random.below(6) : undefined;
    const dice = random.below(14);
    if (commonOperation(cache, state, key, dice)) {
      // done
    } else if (dice <= 10) {
      const pages = 1 + random.below(4);
      if (present.has(key)) refused(() => cache.place(key, pages));
      else if (cache.place(key, pages)) {
        present.set(key, { size: pages, lastUse: 0, turn: 0 });
        used(state.model, key, step.now);
      } else if (present.size < slots - 1) same(runs.takeRun(pages), undefined);
    } else if (dice === 11) {
      if (present.has(key)) evict(key);
      else refused(() => cache.evict(key));
    } else if (random.chance(0.3)) drain(cache, state, demand, before, runs);
    const victims = expectedVictims(state.model, demand, before).map(words);
    same(words(cache.victim(demand, before)), victims[0] ?? words(undefined));
    same(Array.from(cache.victims(demand, before), words).join(), victims.join());
    same(cache.hasSlot(), present.size < slots - 1);
    checkCommon(cache, state);
    same(runs.taken(), placed());
    const places = [...present.keys()].map((name) => cache.get(name)!);
    same(new Set(places.map(({ slot }) => slot)).size, present.size);
    for (const { slot, firstPage, pages } of places) same(slot >= 1 && slot < slots && runs.lies(firstPage, pages), true);
  }
  for (const name of present.keys()) evict(name);
  same(runs.taken(), 0);
  for (let i = 1; i < Math.min(slots, total); i++) same(cache.place(`again ${i}`, 1) === undefined, false);
}

/** Evicts victim by victim: all of them, in the order of the rules, and `evictable` told how many pages that frees. */
function drain(cache: AdapterCache, { model }: Tier, demand: Demand, before: number | undefined, runs: { taken(): number }): void {
  const expected = expectedVictims(model, demand, before);
  const [promised, taken] = [cache.evictable(demand, before), runs.taken()];
  for (const victim of expected) {
    same(words(cache.victim(demand, before)), words(victim));
    cache.evict(victim.key);
    model.present.delete(victim.key);
  }
  same(cache.victim(demand, before), undefined);
  same(taken - runs.taken(), promised);
}

describe('the GPU tier', () => {
  test(`obeys the rules over ${HISTORIES} random histories`, () => {
    for (let seed = 1; seed <= HISTORIES; seed++) gpuHistory(seed);
  });

  test('the next victim among 10,000 costs a step or two, however often one is asked for', () => {
    let asked = 0;
    let now = 0;
    const cache = createAdapterCache({ takeRun: (count) => count, giveRun: () => undefined }, 10_002, () => now);
    for (let i = 0; i < 10_000; i++) cache.place(`adapter ${i}`, 1);
    for (let i = 0; i < 500; i++) cache.pin(`adapter ${i}`);
    const running = new Set(Array.from({ length: 64 }, (_, i) => `adapter ${500 + i * 5}`));
    const demand: Demand = {
      inUse: (key) => {
        asked++;
        return running.has(key);
      },
      place: (key) => (key === 'adapter 9000' ? 0 : undefined),
    };
    for (now = 1; now <= 1000; now++) {
      for (const key of running) cache.touch(key);
      const victim = cache.victim(demand, 3)!;
      expect(victim.lastUse).toBe(0);
      cache.evict(victim.key);
      cache.place(`new ${now}`, 1);
    }
    expect(asked).toBe(1000);
  });

  test('a pin holds through absence; unpinning counts as a use', () => {
    const cache = createAdapterCache(createRuns(8), 8, () => 0);
    cache.pin('a');
    for (const key of ['a', 'b', 'c']) cache.place(key, 1);
    expect(cache.victim(NOTHING, undefined)?.key).toBe('b');
    cache.evict('a');
    cache.place('a', 1);
    expect(cache.evictable(NOTHING, undefined)).toBe(2);
    cache.unpin('a');
    for (const key of ['b', 'c', 'a']) {
      expect(cache.victim(NOTHING, undefined)?.key).toBe(key);
      cache.evict(key);
    }
  });

  test('refuses numbers that are none', () => {
    expect(() => createAdapterCache(createRuns(1), 0, () => 0)).toThrow(RangeError);
    expect(() => createAdapterCache(createRuns(1), 1.5, () => 0)).toThrow(RangeError);
  });
});
