import type { BrowserContext } from 'playwright';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { openHarness, type Harness } from './harness.ts';
import { fixtureAdapter, openOrigin, type AdapterOrigin } from './store-origin.ts';
import { answerAnew, closeTab, expected, firstUse, openStoreTab, untilEvent, untilWhole } from './store.ts';

let harness: Harness;
let origin: AdapterOrigin;
let context: BrowserContext;

beforeAll(async () => {
  harness = await openHarness();
  origin = await openOrigin();
});

afterAll(async () => {
  await harness?.close();
  origin?.close();
});

beforeEach(async () => {
  context = await harness.browser.newContext();
  for (const id of ['r8-all', 'r3-qv']) origin.adapters.set(id, fixtureAdapter(id));
  Object.assign(origin, { tags: 'exposed', health: 'well' });
  origin.forget();
});

afterEach(async () => {
  await context.close();
});

test('a reload finds adapters whose server cannot be reached any more, in a page as in a worker', async () => {
  const first = await openStoreTab(harness, context, { where: 'worker' });
  for (const id of ['r8-all', 'r3-qv']) await firstUse(first, origin, id);
  await untilWhole(first, 2);
  expect(await first.events('r8-all')).toEqual(['load heap', 'load gpu', 'load disk']);
  await first.page.close();

  await context.route(origin.covers, (route) => route.abort());
  for (const where of ['page', 'worker'] as const) {
    const { known, call, answer, page } = await openStoreTab(harness, context, { where });
    expect(known.toSorted()).toEqual(['r3-qv', 'r8-all']);
    await call('add', 'another', origin.url('another'));
    expect(await answer('another')).toMatch(/^file_unreadable: /);
    expect(await call('tiers')).toEqual({ 'r8-all': 'disk', 'r3-qv': 'disk', another: 'origin' });
    for (const id of known) expect(await answer(id), id).toEqual(expected(id));
    const { disk, origin: far } = await call('stats');
    expect(disk).toMatchObject({ hits: 2, loads: 0, evictions: 0, failures: 0 });
    expect(far).toMatchObject({ hits: 0, misses: 1, loads: 0, bytes: 0 });
    await page.close();
  }
  expect(origin.asked()).toEqual([]);
});

test('a byte that changed in the database is found, and the adapter kept anew', async () => {
  const tab = await openStoreTab(harness, context, { memory: { heap: 0 } });
  await firstUse(tab, origin, 'r8-all');
  await untilWhole(tab, 1);
  await tab.call('flip');
  expect((await tab.call('found')).map(({ state }) => state)).toEqual(['torn']);
  expect(await answerAnew(tab, 'r8-all')).toEqual(expected('r8-all'));
  await untilWhole(tab, 1);
  expect(await tab.call('stats')).toMatchObject({ disk: { hits: 0, misses: 2, loads: 2, failures: 0 }, origin: { loads: 2 } });
  origin.health = 'broken';
  origin.forget();
  expect(await answerAnew(tab, 'r8-all')).toEqual(expected('r8-all'));
  expect(await tab.call('stats')).toMatchObject({ disk: { hits: 1, misses: 2 }, origin: { loads: 2 } });
  expect(origin.asked()).toEqual([]);
  // with neither bytes nor origin there is nothing to answer from, and nothing is made up
  await tab.call('flip');
  expect(await answerAnew(tab, 'r8-all')).toMatch(/^file_unreadable: .*503/);
  expect(await tab.call('found')).toEqual([]);
});

test.each(['exposed', 'hidden'] as const)('an adapter that changed at its origin is noticed, with ETags that are %s', async (tags) => {
  origin.tags = tags;
  const tab = await openStoreTab(harness, context, { revalidateAfter: 0 });
  await firstUse(tab, origin, 'r8-all');
  origin.adapters.set('r8-all', fixtureAdapter('r64-mlp'));
  expect(await tab.answer('r8-all')).toEqual(expected('r8-all'));
  await untilEvent(tab, 'r8-all', 'renew origin');
  expect(await tab.answer('r8-all')).toEqual(expected('r64-mlp'));

  origin.health = 'broken';
  await expect
    .poll(
      async () => {
        expect(await tab.answer('r8-all')).toEqual(expected('r64-mlp')); // one that comes while a check is under way begins none
        return tab.events('r8-all');
      },
      { timeout: 20_000 },
    )
    .toContain('fail origin');
  expect(await tab.answer('r8-all')).toEqual(expected('r64-mlp'));
  await closeTab(tab);
});
