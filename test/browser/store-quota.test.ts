import type { BrowserContext } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchProfile, openHarness, type Harness } from './harness.ts';
import { openOrigin, widened, type AdapterOrigin } from './store-origin.ts';
import { answerAnew, expected, firstUse, openStoreTab, untilEvent, untilWhole } from './store.ts';

/** Of the stored adapters of this test there is room for one: each has from 1.7 to 2.3 MB, as a browser may press them. */
const ROOM_FOR_ONE = 2_900_000;

let harness: Harness;
let origin: AdapterOrigin;
/** On the disk: databases that Chromium keeps in memory do not become smaller when something is deleted. */
let profile: BrowserContext;

beforeAll(async () => {
  harness = await openHarness();
  origin = await openOrigin();
  for (const seed of [1, 2]) origin.adapters.set(`wide-${seed}`, widened(seed, 256));
  profile = await launchProfile();
});

afterAll(async () => {
  await profile?.close();
  await harness?.close();
  origin?.close();
});

test('where the browser gives no room, requests are served, and the adapter is kept when there is room again', async () => {
  // from another page, before the engine's first small record: for half a minute after one Chromium goes by the room that it had then
  const session = await profile.newCDPSession(await profile.newPage());
  const allow = (quotaSize: number) => session.send('Storage.overrideQuotaForOrigin', { origin: harness.origin, quotaSize });
  await allow(100_000);
  const tab = await openStoreTab(harness, profile, { memory: { heap: 0 } });
  await firstUse(tab, origin, 'wide-1', 'r8-all');
  await untilEvent(tab, 'wide-1', 'fail disk');
  const refused = { bytes: 0, evictions: 0, failures: 1, lastFailure: expect.stringContaining('QuotaExceededError') };
  expect(await tab.call('stats')).toMatchObject({ disk: refused });
  expect(await tab.call('found')).toEqual([]);

  await allow(ROOM_FOR_ONE);
  expect(await answerAnew(tab, 'wide-1')).toEqual(expected('r8-all'));
  await untilEvent(tab, 'wide-1', 'load disk');
  await untilWhole(tab, 1);

  // who was not used for longest makes room
  origin.forget();
  await firstUse(tab, origin, 'wide-2', 'r8-all');
  await untilEvent(tab, 'wide-2', 'load disk');
  await untilEvent(tab, 'wide-1', 'evict disk');
  await untilWhole(tab, 1);
  const { disk, origin: far } = await tab.call('stats');
  const [kept] = await tab.call('found');
  expect(disk).toMatchObject({ evictions: 1, failures: 1, bytes: kept!.bytes });
  expect(await answerAnew(tab, 'wide-2')).toEqual(expected('r8-all'));
  expect(await tab.call('stats')).toMatchObject({ disk: { hits: disk.hits + 1 }, origin: { loads: far.loads } });
});
