import { expect } from 'vitest';
import type { AdapterCache, ByteTier, Demand } from '../../src/adapters/cache.ts';
import type { Random } from './core-random.ts';

export const HISTORIES = 3000;
export const OPERATIONS = 60;

/** As `expect(actual).toBe(expected)`, which is too slow for millions of calls. */
export function same(actual: unknown, expected: unknown): void {
  if (!Object.is(actual, expected)) expect(actual).toBe(expected);
}

export function refused(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    if (error instanceof RangeError) return;
    throw error;
  }
  expect.fail('no RangeError');
}

/** What the rules say, by sorting everything each time. */
export interface Model {
  readonly present: Map<string, { readonly size: number; lastUse: number; turn: number }>;
  readonly pinned: Set<string>;
  turns: number;
}

export const createModel = (): Model => ({ present: new Map(), pinned: new Set(), turns: 0 });

export function used(model: Model, key: string, step: number): void {
  const entry = model.present.get(key)!;
  entry.lastUse = step;
  entry.turn = model.turns++;
}

export function expectedVictims({ present, pinned }: Model, demand: Demand, before: number | undefined) {
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

export function randomDemand(random: Random, keys: readonly string[]): Demand {
  const inUse = new Set(keys.filter(() => random.chance(0.2)));
  const share = random.below(3) / 2; // nobody waits, some do, all do
  const places = new Map<string, number>();
  for (const key of keys) if (random.chance(share)) places.set(key, random.chance(0.2) ? Number.POSITIVE_INFINITY : random.below(6));
  return { inUse: (key) => inUse.has(key), place: (key) => places.get(key) };
}

export const NOTHING: Demand = { inUse: () => false, place: () => undefined };
export const KEYS = Array.from({ length: 9 }, (_, i) => `adapter ${i}`);

export interface Tier {
  readonly model: Model;
  readonly random: Random;
  readonly step: { now: number };
}

/** An operation that both tiers know; false where the dice ask for another. */
export function commonOperation(tier: AdapterCache | ByteTier, { model, random, step }: Tier, key: string, dice: number): boolean {
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

export function checkCommon(tier: AdapterCache | ByteTier, { model }: Tier): void {
  same([...tier.keys()].sort().join(), [...model.present.keys()].sort().join());
  for (const key of KEYS) {
    same(tier.has(key), model.present.has(key));
    same(tier.isPinned(key), model.pinned.has(key));
  }
}
