import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openHarness, type Harness, type OpenPage } from './harness.ts';
import type { Death, Ended } from './worker-deaths-page.ts';

const MOST_MS = 2000;
const DEATHS: readonly Death[] = [
  'throw',
  'close',
  'terminate',
  'terminate, unseen',
  'script',
  'early throw',
  'early close',
  'early terminate',
];

let harness: Harness;
let open: OpenPage;

beforeAll(async () => {
  harness = await openHarness();
  open = await harness.open('/test/browser/worker-deaths.html');
  await open.page.waitForFunction(() => 'die' in globalThis);
});

afterAll(async () => {
  await harness?.close();
});

describe('a worker that dies ends every open call and stream', () => {
  test.each(DEATHS)('by %s', async (death) => {
    const ended = await open.page.evaluate((how) => (globalThis as unknown as { die(how: string): Promise<Ended[]> }).die(how), death);
    expect(ended).toHaveLength(/script|early/.test(death) ? 1 : 5);
    for (const { code, message, ms } of ended) {
      expect([code, message]).toEqual(['worker_lost', expect.stringContaining(death.endsWith('throw') ? 'on purpose' : '')]);
      expect(ms).toBeLessThan(MOST_MS);
    }
    console.log(`${death}: ${Math.max(...ended.map(({ ms }) => ms)).toFixed(0)} ms, "${ended[0]?.message}"`);
  });
});
