import { describe, expect, test } from 'vitest';
import { createByteTier, type ByteTier } from '../../src/adapters/cache.ts';
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
} from './cache-model.ts';
import { createRandom } from './core-random.ts';

interface Sized {
  readonly key: string;
  readonly size: number;
}

/** The first of these that free so many bytes, all where they are too few; and how many are still missing. */
function leaving(victims: readonly Sized[], over: number): { readonly keys: readonly string[]; readonly missing: number } {
  const keys: string[] = [];
  let missing = over;
  for (const { key, size } of victims) {
    if (missing <= 0) break;
    keys.push(key);
    missing -= size;
  }
  return { keys, missing };
}

function byteHistory(seed: number): void {
  const random = createRandom(seed);
  const budget = random.below(40);
  const step = { now: 0 };
  const tier: ByteTier = createByteTier(budget, () => step.now);
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
    } else if (dice === 7) {
      if (present.has(key)) remove(key);
      else refused(() => tier.remove(key));
    } else if (dice === 8) {
      const expected = leaving(expectedVictims(state.model, demand, before), sum() - budget);
      same(tier.trim(demand, before).join(), expected.keys.join());
      for (const gone of expected.keys) present.delete(gone);
      if (expected.missing <= 0) same(tier.bytes() <= budget, true);
    } else if (present.has(key)) refused(() => tier.add(key, bytes));
    else {
      const { keys, missing } = leaving(expectedVictims(state.model, demand, before), sum() + bytes - budget);
      const admitted = tier.admit(bytes, demand, before);
      same(admitted?.join(), missing > 0 ? undefined : keys.join());
      same(tier.bytes(), sum()); // asking takes nothing
      if (random.chance(0.8)) admitted?.forEach(remove);
      tier.add(key, bytes);
      present.set(key, { size: bytes, lastUse: 0, turn: 0 });
      used(state.model, key, step.now);
    }
    checkCommon(tier, state);
    same(tier.bytes(), sum());
    for (const [name, { size }] of present) same(tier.sizeOf(name), size);
  }
}

describe('a tier of bytes', () => {
  test(`obeys the rules over ${HISTORIES} random histories`, () => {
    for (let seed = 1; seed <= HISTORIES; seed++) byteHistory(seed);
  });

  test('what is larger than the budget evicts nobody', () => {
    const tier = createByteTier(10, () => 0);
    tier.add('a', 4);
    expect(tier.admit(11, NOTHING, Number.NEGATIVE_INFINITY)).toBeUndefined();
    expect(tier.admit(6, NOTHING, undefined)).toEqual([]);
    expect(tier.admit(10, NOTHING, undefined)).toEqual(['a']);
  });

  test('holds more than its budget until it is trimmed', () => {
    const tier = createByteTier(10, () => 0);
    for (const key of ['a', 'b', 'c']) tier.add(key, 8);
    const waits = { inUse: (key: string) => key === 'a', place: (key: string) => (key === 'b' ? 2 : undefined) };
    expect([tier.trim(waits, undefined), tier.bytes()]).toEqual([['c'], 16]);
    expect([tier.trim(waits, 2), tier.trim(waits, 1), tier.bytes()]).toEqual([[], ['b'], 8]);
  });

  test('refuses numbers that are none', () => {
    expect(() => createByteTier(-1, () => 0)).toThrow(RangeError);
    const tier = createByteTier(10, () => 0);
    expect(() => tier.add('a', Number.NaN)).toThrow(RangeError);
    expect(() => tier.add('a', -1)).toThrow(RangeError);
    expect([tier.has('a'), tier.bytes()]).toEqual([false, 0]);
  });
});
