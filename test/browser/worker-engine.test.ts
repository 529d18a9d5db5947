import { afterAll, beforeAll, expect, test } from 'vitest';
import { openHarness, type Harness } from './harness.ts';
import type { everything } from './worker-engine-page.ts';

let harness: Harness;

beforeAll(async () => {
  harness = await openHarness();
});

afterAll(async () => {
  await harness?.close();
});

test('the engine itself, behind a worker', async () => {
  const { page, errors, close } = await harness.open('/test/browser/worker-engine.html');
  await page.waitForFunction(() => 'everything' in globalThis);
  const seen = await page.evaluate(
    (base) => (globalThis as unknown as { everything: typeof everything }).everything(base),
    '/models/frontdesk',
  );
  expect(seen.total).toBeGreaterThan(1e6);
  expect(seen.loaded).toBe(seen.total);
  expect(seen.asked).toEqual(['pirate', 'nobody']);
  expect(seen.chunks.map(({ text }) => text).join('')).toBe(seen.result.text);
  expect(seen.chunks.flatMap(({ tokens }) => tokens)).toEqual(seen.result.tokens);
  expect(seen.result.tokens).toHaveLength(4);
  expect(seen.whole.choices[0]!.message.content).toBe(seen.result.text);
  expect(seen.streamed).toBe(seen.pirate.text);
  expect(seen.missing).toBe('adapter_unknown');
  expect(seen.event).toMatchObject({ version: 1 });
  expect(seen.stats).toMatchObject({ version: 1, software: true });
  expect(seen.models).toEqual(['base', 'json', 'pirate']);
  expect(seen.closed).toBe('closed');
  expect(errors).toEqual([]);
  await close();
});
