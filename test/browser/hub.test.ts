import type { Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoryHubStore } from '../../src/formats/hub-store-memory.ts';
import { openHubDouble, type HubDouble } from '../servers/hub.ts';
import { openBench, PIECE, ranges, sentBytes, settledRequests, SIZE, type Bench } from '../suites/hub-bench.ts';
import { hubCases } from '../suites/hub.ts';
import { openHarness, type Harness, type OpenPage } from './harness.ts';

let double: HubDouble;
let harness: Harness;
let open: OpenPage;

beforeAll(async () => {
  double = await openHubDouble();
  harness = await openHarness();
  open = await harness.open('/test/browser/hub.html');
  await open.page.waitForFunction('globalThis.ask !== undefined');
});

afterAll(async () => {
  await harness?.close();
  double?.close();
});

const ask = (page: Page, asked: object): Promise<unknown> =>
  page.evaluate((given) => (globalThis as unknown as { ask(asked: object): Promise<unknown> }).ask(given), {
    ...asked,
    endpoint: double.url,
  });

describe("the hub in Chromium, kept in the page's files", () => {
  for (const { name } of hubCases({ endpoint: '', store: () => memoryHubStore() })) {
    test(name, async () => {
      const failure = await ask(open.page, { what: 'case', name });
      expect(failure, String(failure)).toBeUndefined();
    });
  }
});

describe('a page that is closed in the middle of a download', () => {
  let bench: Bench;
  beforeAll(async () => void (bench = await openBench({ endpoint: double.url, store: () => memoryHubStore() }, 'closed')));

  test('is followed by one that asks for what is missing', async () => {
    await bench.faults({ on: 'store', kind: 'hang', after: 1000, skip: 6 });
    const first = await open.page.context().newPage();
    await first.goto(open.page.url());
    await first.waitForFunction('globalThis.ask !== undefined');
    void ask(first, { what: 'read', repository: bench.repository }).catch(() => undefined);
    const piecesNow = async (): Promise<number[]> => (await ask(open.page, { what: 'pieces', repository: bench.repository })) as number[];
    await expect.poll(async () => (await piecesNow()).length, { timeout: 60_000 }).toBe(6);
    const kept = await piecesNow();
    await first.close();
    const before = await settledRequests(bench);
    await bench.faults();
    expect(await ask(open.page, { what: 'read', repository: bench.repository })).toBe('the same');
    const log = await bench.log();
    const again = ranges(log.slice(before));
    for (const piece of kept) expect(again.filter(([from, to]) => from < (piece + 1) * PIECE && to > piece * PIECE)).toEqual([]);
    expect(sentBytes(log, 'store')).toBeLessThanOrEqual(SIZE + 4 * PIECE);
  });

  test('has its model after a reload without the network', async () => {
    await bench.faults({ on: 'api', kind: 'down' }, { on: 'resolve', kind: 'down' }, { on: 'store', kind: 'down' });
    await open.page.reload();
    await open.page.waitForFunction('globalThis.ask !== undefined');
    const sent = sentBytes(await bench.log(), 'store');
    expect(await ask(open.page, { what: 'read', repository: bench.repository })).toBe('the same');
    expect(sentBytes(await bench.log(), 'store')).toBe(sent);
  });
});
