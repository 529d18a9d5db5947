import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Harness } from './harness.ts';
import { openDemo, openTab, untilAnswered, type DemoTab } from './page.ts';

const MESSAGE = 'Hey there, could you deliver ten pink shirts to West Jerryburgh? Your service is terrible.';
const RUNS = 3;
/** Milliseconds. */
const MOST_P99 = 10;

interface Seen {
  readonly measures: readonly { readonly name: string; readonly ms: number }[];
  readonly longTasks: readonly number[];
}

let harness: Harness;
let tab: DemoTab;

beforeAll(async () => {
  harness = await openDemo();
  tab = await openTab(harness);
  await tab.page.evaluate(() => {
    const seen = { measures: [] as object[], longTasks: [] as number[] };
    Object.assign(globalThis, { seen });
    new PerformanceObserver((list) => {
      for (const { name, duration } of list.getEntries()) if (name.startsWith('page:')) seen.measures.push({ name, ms: duration });
    }).observe({ type: 'measure' });
    new PerformanceObserver((list) => seen.longTasks.push(...list.getEntries().map(({ duration }) => duration))).observe({
      type: 'longtask',
    });
  });
});

afterAll(async () => {
  await harness?.close();
});

async function runOnce(): Promise<Seen> {
  const { page } = tab;
  await page.locator('#everyone-message').fill(MESSAGE);
  await page.evaluate(() => {
    const { seen } = globalThis as unknown as { seen: { measures: object[]; longTasks: number[] } };
    seen.measures.length = 0;
    seen.longTasks.length = 0;
  });
  await page.locator('#everyone-send').click();
  await untilAnswered(page);
  return page.evaluate(() => (globalThis as unknown as { seen: Seen }).seen);
}

function p99(measures: Seen['measures']): number {
  const sorted = measures.map(({ ms }) => ms).sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.99) - 1]!;
}

test(`while nine streams run, the page's own work takes at most ${MOST_P99} ms at p99, and the best of ${RUNS} runs has no long task`, async () => {
  const runs: Seen[] = [];
  for (let run = 0; run < RUNS; run++) runs.push(await runOnce());
  const all = runs.flatMap(({ measures }) => measures);
  const worst = all.toSorted((a, b) => b.ms - a.ms).slice(0, 3);
  console.info(
    `${all.length} pieces of work, p99 ${p99(all).toFixed(2)} ms; longest ${worst.map(({ name, ms }) => `${name} ${ms.toFixed(1)} ms`).join(', ')}; ` +
      `long tasks a run: ${runs.map(({ longTasks }) => `[${longTasks.map((ms) => `${ms} ms`).join(', ')}]`).join(' ')}`,
  );
  // Nine streams were heard, chunk by chunk, and drawn in frames.
  for (const { measures } of runs) {
    expect(measures.filter(({ name }) => name === 'page:chunk').length).toBeGreaterThan(50);
    expect(measures.filter(({ name }) => name === 'page:frame').length).toBeGreaterThan(20);
  }
  expect(p99(all)).toBeLessThanOrEqual(MOST_P99);
  expect(Math.min(...runs.map(({ longTasks }) => longTasks.length))).toBe(0);
});
