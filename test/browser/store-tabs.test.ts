import type { BrowserContext } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openHarness, type Harness } from './harness.ts';
import { openOrigin, widened, type AdapterOrigin } from './store-origin.ts';
import { answerAnew, closeTab, expected, openStoreTab, untilWhole, type StoreTab } from './store.ts';

/** What one adapter of these tests takes in the store, with its header; and how many of them have room. */
const STORED = 145_000;
const ROOM = 5;
const OPTIONS = { memory: { heap: 0, disk: ROOM * STORED } };

let harness: Harness;
let origin: AdapterOrigin;
let context: BrowserContext;
let left: StoreTab;
let right: StoreTab;

beforeAll(async () => {
  harness = await openHarness();
  origin = await openOrigin();
  const ids = ['same', ...['left', 'right'].flatMap((side) => [1, 2, 3, 4, 5].map((number) => `${side}-${number}`))];
  ids.forEach((id, seed) => origin.adapters.set(id, widened(seed, 16)));
  context = await harness.browser.newContext();
  [left, right] = [await openStoreTab(harness, context, OPTIONS), await openStoreTab(harness, context, OPTIONS)];
});

afterAll(async () => {
  await harness?.close();
  origin?.close();
});

/** Uses all of them at once. */
async function useAll(tab: StoreTab, ids: readonly string[]): Promise<void> {
  const use = async (id: string): Promise<void> => {
    await tab.call('add', id, origin.url(id));
    expect(await tab.answer(id), id).toEqual(expected('r8-all'));
  };
  await Promise.all(ids.map(use));
}

/** Waits until the store holds no more than it may, all of it whole, and keeps doing so. */
async function untilWithinBudget(): Promise<void> {
  const isWithin = async (): Promise<string> => {
    const found = await left.call('found');
    const bytes = found.reduce((sum, { bytes }) => sum + bytes, 0);
    return found.every(({ state }) => state === 'whole') && bytes <= OPTIONS.memory.disk ? 'within' : JSON.stringify(found);
  };
  let times = 0;
  const settled = async (): Promise<string | number> => {
    const state = await isWithin();
    times = state === 'within' ? times + 1 : 0;
    return times >= 5 ? 'within' : state;
  };
  await expect.poll(settled, { timeout: 20_000, interval: 100 }).toBe('within');
}

test('two tabs take turns', async () => {
  const sums = await Promise.all([left.call('count', 50), right.call('count', 50)]);
  expect(Math.max(...sums)).toBe(100);
});

test('two tabs write the same adapter and different ones at once, and a third has them all', async () => {
  await Promise.all([useAll(left, ['same', 'left-1', 'left-2']), useAll(right, ['same', 'right-1', 'right-2'])]);
  await untilWhole(left, 5);

  origin.health = 'broken';
  const third = await openStoreTab(harness, context, OPTIONS);
  expect(third.known.toSorted()).toEqual(['left-1', 'left-2', 'right-1', 'right-2', 'same']);
  for (const id of third.known) expect(await third.answer(id), id).toEqual(expected('r8-all'));
  expect(await third.call('stats')).toMatchObject({ disk: { hits: 5, misses: 0, failures: 0 }, origin: { loads: 0 } });
  await closeTab(third);
  origin.health = 'well';
  // who comes second with the one that both have may find it there already
  const disks = [(await left.call('stats')).disk, (await right.call('stats')).disk];
  expect(disks.map(({ failures }) => failures)).toEqual([0, 0]);
  expect([5, 6]).toContain(disks.reduce((sum, { loads }) => sum + loads, 0));
});

test('what two tabs write at once stays within the budget that they share', async () => {
  await Promise.all([useAll(left, ['left-3', 'left-4', 'left-5']), useAll(right, ['right-3', 'right-4', 'right-5'])]);
  await untilWithinBudget();
  expect((await left.call('found')).length).toBeGreaterThanOrEqual(ROOM - 1);
});

test('what another tab evicted is read from its origin, and kept again', async () => {
  for (const id of ['right-1', 'right-2', 'right-3', 'right-4', 'right-5', 'same']) {
    expect(await answerAnew(right, id), id).toEqual(expected('r8-all'));
    await untilWithinBudget();
  }
  await left.call('unload', 'left-5');
  expect(await left.call('tiers')).toMatchObject({ 'left-5': 'disk' }); // it has no way to know
  const { disk: before } = await left.call('stats');
  origin.forget();
  expect(await left.answer('left-5')).toEqual(expected('r8-all'));
  expect(new Set(origin.asked())).toEqual(new Set(['left-5']));
  await untilWithinBudget();
  const { misses, loads } = before;
  expect(await left.call('stats')).toMatchObject({ disk: { misses: misses + 1, loads: loads + 1, failures: 0 } });
  origin.forget();
  expect(await answerAnew(left, 'left-5')).toEqual(expected('r8-all'));
  expect(origin.asked()).toEqual([]);
});
