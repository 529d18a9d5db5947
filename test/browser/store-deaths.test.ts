import type { BrowserContext, Page } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchProfile, openHarness, urlOf, type Harness } from './harness.ts';
import type { DiskTab } from './store-disk-page.ts';
import { openOrigin, widened, type AdapterOrigin } from './store-origin.ts';
import { closeTab, expected, openStoreTab, untilWhole } from './store.ts';

const DEATHS = 20;
/** 4.6 MB each in the store: writing them takes longer than ending a tab. */
const ADAPTERS = { one: widened(1, 512), two: widened(2, 512), three: widened(3, 512) };
const MODEL = urlOf('test/fixtures/arch/llama/base')!;

let harness: Harness;
let origin: AdapterOrigin;
/** On the disk, as people have it: other contexts keep their databases in memory. */
let profile: BrowserContext;

beforeAll(async () => {
  harness = await openHarness();
  origin = await openOrigin();
  for (const [id, files] of Object.entries(ADAPTERS)) origin.adapters.set(id, files);
  profile = await launchProfile();
});

afterAll(async () => {
  await profile?.close();
  await harness?.close();
  origin?.close();
});

type End = (how: 'closed' | 'crashed') => Promise<void>;

/** Makes ready to end a tab without its doing: as the browser ends one that is closed, or as one ends whose memory ran out. */
async function endOf(page: Page): Promise<End> {
  const session = await profile.newCDPSession(page);
  return async (how) => {
    if (how === 'crashed') {
      const crashed = page.waitForEvent('crash');
      session.send('Page.crash').catch(() => undefined); // nobody is left to answer
      await crashed;
    }
    await page.close();
  };
}

/** What a tab says of its transactions with adapters' bytes: each `begins` and `ends`. */
class Writes {
  last = 'nothing';
  private readonly begun: (() => void)[] = [];

  readonly hear = (what: string): void => {
    this.last = what;
    if (what === 'begins') this.begun.pop()?.();
  };

  /** Fulfilled in the midst of so many beginnings from now. */
  untilBegun(count: number): Promise<void> {
    return new Promise((resolve) => this.begun.push(resolve, ...Array<() => void>(count - 1).fill(() => undefined)));
  }
}

/** Opens a tab with a disk in it. */
async function openDiskTab(writes: Writes) {
  const page = await profile.newPage();
  await page.exposeFunction('writing', writes.hear);
  await page.goto(new URL('/test/browser/store-disk.html', harness.origin).href);
  await page.waitForFunction(() => 'tab' in globalThis);
  type Global = { readonly tab: DiskTab };
  return {
    end: await endOf(page),
    found: () => page.evaluate(() => (globalThis as unknown as Global).tab.found()),
    open: () => page.evaluate((model) => (globalThis as unknown as Global).tab.open(model), MODEL),
    /** Ends with the tab. */
    writeOn: (adapters: Readonly<Record<string, string>>): Promise<void> =>
      page.evaluate((adapters) => (globalThis as unknown as Global).tab.writeOn(adapters), adapters),
  };
}

test(`${DEATHS} tabs that are killed while they write leave no torn adapter`, async () => {
  const last: string[] = [];
  for (let death = 0; death < DEATHS; death++) {
    const writes = new Writes();
    const tab = await openDiskTab(writes);
    const [before, read] = [await tab.found(), await tab.open()];
    expect([...before, ...(await tab.found())].map(({ state }) => state).filter((state) => state !== 'whole')).toEqual([]);
    expect(read).toEqual({ held: before.length, lost: 0 });
    const begun = writes.untilBegun(1 + (death % 6));
    const writing = tab.writeOn({ one: origin.url('one'), two: origin.url('two') });
    await Promise.race([begun, writing]);
    writing.catch(() => undefined);
    await tab.end(death % 2 === 0 ? 'closed' : 'crashed');
    last.push(writes.last);
  }
  expect(last.filter((what) => what === 'begins').length).toBeGreaterThanOrEqual(DEATHS / 2);
});

test('nor does an engine’s, and the next engine answers from what was kept', async () => {
  const writes = new Writes();
  const killed = await openStoreTab(harness, profile, { writing: writes.hear });
  const end = await endOf(killed.page);
  const begun = writes.untilBegun(1);
  await killed.call('add', 'three', origin.url('three'));
  await Promise.all([killed.answer('three').catch(() => undefined), begun.then(() => end('crashed'))]);

  const next = await openStoreTab(harness, profile);
  const kept = await next.call('found');
  for (const id of ['one', 'two', 'three']) {
    await next.call('add', id, origin.url(id));
    expect(await next.answer(id), id).toEqual(expected('r8-all'));
  }
  await untilWhole(next, 3);
  expect(await next.call('stats')).toMatchObject({ disk: { hits: kept.length, failures: 0 }, origin: { loads: 3 - kept.length } });
  await closeTab(next);
});
