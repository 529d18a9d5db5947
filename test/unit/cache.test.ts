import { describe, expect, test } from 'vitest';
import { createAdapterCache, createByteTier } from '../../src/adapters/cache.ts';
import type { AdapterCache, ByteTier, Demand, PageRuns, Victim } from '../../src/adapters/cache.ts';

const HISTORIES = 3000;
const OPERATIONS = 60;

interface Random {
  below(limit: number): number;
  chance(probability: number): boolean;
}

function createRandom(seed: number): Random {
  let state = (seed * 2654435769) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { below: (limit) => Math.floor(next() * limit), chance: (probability) => next() < probability };
}

/** As `expect(actual).toBe(expected)`, which is too slow for millions of calls. */
function same(actual: unknown, expected: unknown): void {
  if (!Object.is(actual, expected)) expect(actual).toBe(expected);
}

function refused(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    if (error instanceof RangeError) return;
    throw error;
  }
  expect.fail('no RangeError');
}

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

/** What the rules say, by sorting everything each time. */
interface Model {
  readonly present: Map<string, { readonly size: number; lastUse: number; turn: number }>;
  readonly pinned: Set<string>;
  turns: number;
}

const createModel = (): Model => ({ present: new Map(), pinned: new Set(), turns: 0 });

function used(model: Model, key: string, step: number): void {
  const entry = model.present.get(key)!;
  entry.lastUse = step;
  entry.turn = model.turns++;
}

function expectedVictims({ present, pinned }: Model, demand: Demand, before: number | undefined) {
  const distance = (key: string): number => demand.place(key) ?? Number.POSITIVE_INFINITY;
  const idle = [...present].filter(([key]) => !pinned.has(key) && !demand.inUse(key)).sort(([, a], [, b]) => a.turn - b.turn);
  const unwanted = idle.filter(([key]) => demand.place(key) === undefined);
  const wanted = idle.filter(([key]) => demand.place(key) !== undefined && before !== undefined && demand.place(key)! > before);
  // Furthest first by insertion, so that nothing is asked of a sort's arithmetic on infinities.
  const furthestFirst: typeof wanted = [];
  for (const entry of wanted) {
    const at = furthestFirst.findIndex(([key]) => distance(key) < distance(entry[0]));
    furthestFirst.splice(at < 0 ? furthestFirst.length : at, 0, entry);
  }
  return [...unwanted, ...furthestFirst].map(([key, { lastUse, size }]) => ({ key, lastUse, size, wanted: demand.place(key) }));
}

function randomDemand(random: Random, keys: readonly string[]): Demand {
  const inUse = new Set(keys.filter(() => random.chance(0.2)));
  const share = random.below(3) / 2; // nobody waits, some do, all do
  const places = new Map<string, number>();
  for (const key of keys) if (random.chance(share)) places.set(key, random.chance(0.2) ? Number.POSITIVE_INFINITY : random.below(6));
  return { inUse: (key) => inUse.has(key), place: (key) => places.get(key) };
}

const NOTHING: Demand = { inUse: () => false, place: () => undefined };
const KEYS = Array.from({ length: 9 }, (_, i) => `adapter ${i}`);

interface Tier {
  readonly model: Model;
  readonly random: Random;
  readonly step: { now: number };
}

/** An operation that both tiers know; false where the dice ask for another. */
function commonOperation(tier: AdapterCache | ByteTier, { model, random, step }: Tier, key: string, dice: number): boolean {
  if (dice === 0) step.now++;
  else if (dice <= 3) {
    if (model.present.has(key)) {
      tier.touch(key);
      used(model, key, step.now);
    } else refused(() => tier.touch(key));
  } else if (dice === 4) {
    tier.pin(key);
    model.pinned.add(key);
  } else if (dice === 5) {
    tier.unpin(key);
    if (model.pinned.delete(key) && model.present.has(key)) used(model, key, step.now);
  } else if (dice === 6 && random.chance(0.1)) {
    tier.clear();
    model.present.clear();
  } else return false;
  return true;
}

function checkCommon(tier: AdapterCache | ByteTier, { model }: Tier): void {
  same([...tier.keys()].sort().join(), [...model.present.keys()].sort().join());
  for (const key of KEYS) {
    same(tier.has(key), model.present.has(key));
    same(tier.isPinned(key), model.pinned.has(key));
  }
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

function byteHistory(seed: number): void {
  const random = createRandom(seed);
  const budget = random.below(40);
  const step = { now: 0 };
  const tier = createByteTier(budget, () => step.now);
  const state = { model: createModel(), random, step };
  const { present } = state.model;
  const sum = (): number => [...present.values()].reduce((bytes, { size }) => bytes + size, 0);
  const remove = (key: string): void => {
    tier.remove(key);
    present.delete(key);
  };
  for (let i = 0; i < OPERATIONS; i++) {
    const key = KEYS[random.below(KEYS.length)]!;
    const bytes = random.below(12);
    const demand = randomDemand(random, KEYS);
    const before = random.chance(0.5) ? random.below(6) : undefined;
    const dice = random.below(14);
    if (commonOperation(tier, state, key, dice)) {
      // done
    } else if (present.has(key)) {
      refused(() => tier.add(key, bytes));
      refused(() => tier.admit(key, bytes, demand, before));
      if (dice === 7) remove(key);
    } else {
      const victims = expectedVictims(state.model, demand, before);
      let room = budget - sum();
      const leaving: string[] = [];
      for (const { key: name, size } of victims) {
        if (room >= bytes) break;
        leaving.push(name);
        room += size;
      }
      const admitted = tier.admit(key, bytes, demand, before);
      same(admitted?.join(), room >= bytes ? leaving.join() : undefined);
      if (!admitted || (admitted.length > 0 && random.chance(0.1))) {
        if (sum() + bytes > budget) refused(() => tier.add(key, bytes));
      } else {
        admitted.forEach(remove);
        tier.add(key, bytes);
        present.set(key, { size: bytes, lastUse: 0, turn: 0 });
        used(state.model, key, step.now);
      }
    }
    checkCommon(tier, state);
    same(tier.bytes(), sum());
    same(tier.bytes() <= budget, true);
  }
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

describe('a tier of bytes', () => {
  test(`obeys the rules over ${HISTORIES} random histories`, () => {
    for (let seed = 1; seed <= HISTORIES; seed++) byteHistory(seed);
  });

  test('what is larger than the budget evicts nobody', () => {
    const tier = createByteTier(10, () => 0);
    tier.add('a', 4);
    expect(tier.admit('b', 11, NOTHING, Number.NEGATIVE_INFINITY)).toBeUndefined();
    expect(tier.admit('b', 6, NOTHING, undefined)).toEqual([]);
    expect(tier.admit('b', 10, NOTHING, undefined)).toEqual(['a']);
  });

  test('refuses numbers that are none', () => {
    expect(() => createByteTier(-1, () => 0)).toThrow(RangeError);
    const tier = createByteTier(10, () => 0);
    expect(() => tier.add('a', Number.NaN)).toThrow(RangeError);
    expect(() => tier.admit('a', -1, NOTHING, undefined)).toThrow(RangeError);
  });
});
