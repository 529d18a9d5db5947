import type { Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Harness } from './harness.ts';
import { openDemo, openTab, PATIENCE, untilAnswered, type DemoTab } from './page.ts';

const REQUESTS = 60;
/** Little enough that a storm of so few requests moves adapters, too: about a dozen fit on the GPU beside the requests. */
const PATH = `/?requests=${REQUESTS}&pool=24&heap=8`;
const CHARTS = ['where', 'moves', 'hits', 'tokens'] as const;

let harness: Harness;
let tab: DemoTab;

beforeAll(async () => {
  harness = await openDemo();
  tab = await openTab(harness, PATH);
  await showThousand(tab.page);
});

afterAll(async () => {
  await harness?.close();
});

async function showThousand(page: Page): Promise<void> {
  await page.evaluate(() => (location.hash = 'thousand'));
  await page.locator('#view-thousand').waitFor();
}

/** How many of the thousand each tier has, as the table says. */
async function counts(page: Page): Promise<Readonly<Record<string, number>>> {
  const pairs = await page
    .locator('.tier-table tbody tr')
    .evaluateAll((rows) => rows.map((row) => [row.id.replace('tier-', ''), Number((row as HTMLTableRowElement).cells[1]!.textContent)]));
  return Object.fromEntries(pairs) as Record<string, number>;
}

/** Cells of each colour in the picture of the thousand, by the legend's colours. */
async function cellCounts(page: Page): Promise<Readonly<Record<string, number>>> {
  return page.locator('#cells').evaluate((canvas: HTMLCanvasElement) => {
    const context = canvas.getContext('2d')!;
    const { width, height } = canvas;
    const columns = Math.round(Math.sqrt((1000 * width) / height));
    const pitch = width / columns;
    const rgb = (colour: string): string => {
      const probe = document.createElement('canvas').getContext('2d')!;
      probe.fillStyle = colour;
      probe.fillRect(0, 0, 1, 1);
      return String(probe.getImageData(0, 0, 1, 1).data);
    };
    const tiers = ['gpu', 'heap', 'disk', 'origin'];
    const colours = tiers.map((tier) => rgb(getComputedStyle(document.getElementById(`legend-${tier}`)!).backgroundColor));
    const found: Record<string, number> = { gpu: 0, heap: 0, disk: 0, origin: 0 };
    for (let cell = 0; cell < 1000; cell++) {
      const [x, y] = [((cell % columns) + 0.45) * pitch, (Math.floor(cell / columns) + 0.45) * pitch];
      const tier = tiers[colours.indexOf(String(context.getImageData(x, y, 1, 1).data))];
      if (tier !== undefined) found[tier]!++;
    }
    return found;
  });
}

/** Pixels in a chart that are not empty, without those of scale and grid: an empty chart's. */
async function inked(page: Page, chart: string): Promise<number> {
  return page.locator(`#chart-${chart} canvas`).evaluate((canvas: HTMLCanvasElement) => {
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0;
    for (let i = 3; i < data.length; i += 4) if (data[i]! > 0) sum++;
    return sum;
  });
}

const sum = (by: Readonly<Record<string, number>>): number => Object.values(by).reduce((all, each) => all + each, 0);

describe('a storm over a thousand adapters', () => {
  test('nothing but a plan is shown before it begins', async () => {
    const { page } = tab;
    expect(await page.locator('#storm-words').textContent()).toContain(`Start sends ${REQUESTS} short requests`);
    expect(await counts(page)).toEqual({ gpu: 0, heap: 0, disk: 0, origin: 1000 });
    expect(await page.locator('#storm-forget').isDisabled()).toBe(true);
    for (const chart of CHARTS) await page.locator(`#chart-${chart} canvas`).waitFor();
  });

  test('it runs to its end, adapters move, and the charts follow', async () => {
    const { page } = tab;
    const empty = await Promise.all(CHARTS.map((chart) => inked(page, chart)));
    const place = (): Promise<string> =>
      page.evaluate(() =>
        JSON.stringify([...document.querySelectorAll('#view-thousand *')].map((each) => (each as HTMLElement).offsetTop)),
      );
    const before = await place();
    await page.locator('#storm-send').click();
    await expect.poll(() => counts(page), { timeout: PATIENCE }).toSatisfy((now: Record<string, number>) => now['gpu']! > 3);
    expect(await place()).toBe(before);
    await untilAnswered(page);
    expect(await page.locator('#storm-words').textContent()).toMatch(
      new RegExp(`^${REQUESTS} requests to \\d+ adapters in [\\d.]+ s, [\\d.]+ tokens/s\\. \\d+ % found theirs on the GPU`),
    );
    expect(await page.locator('#storm-progress').textContent()).toMatch(new RegExp(`^${REQUESTS} of ${REQUESTS} · \\d+ adapters$`));
    for (const [index, chart] of CHARTS.entries()) {
      expect(Number(await page.locator(`#chart-${chart} .chart-box`).getAttribute('data-points')), chart).toBeGreaterThan(10);
      expect(await inked(page, chart), chart).toBeGreaterThan(empty[index]! + 200);
    }
  });

  test('the tiers add up to a thousand, in the table and in the picture, as the engine says', async () => {
    const { page } = tab;
    const table = await counts(page);
    expect(sum(table)).toBe(1000);
    // The mark of a cell that has just changed is gone soon.
    await expect.poll(() => cellCounts(page), { timeout: 10_000 }).toEqual(table);
    const asked = Number(/to (\d+) adapters/.exec((await page.locator('#storm-words').textContent())!)![1]);
    expect(table['gpu']! + table['heap']! + table['disk']!).toBe(asked);
    for (const tier of ['gpu', 'disk']) expect(table[tier], tier).toBeGreaterThan(0);
  });

  test('adapters made room: those of the page, too, and their cards say where they are', async () => {
    const { page } = tab;
    const evicted = await page.locator('#tier-gpu td').nth(4).textContent();
    expect(Number(evicted)).toBeGreaterThan(0);
    await page.evaluate(() => (location.hash = 'everyone'));
    const places = (): Promise<readonly (string | undefined)[]> =>
      page
        .locator('.card[data-voice]:not([data-voice=""]) .tier')
        .evaluateAll((all) => all.map((each) => (each as HTMLElement).dataset['tier']));
    expect((await places()).filter((tier) => tier !== 'gpu').length).toBeGreaterThan(0);
    // Asked again, they come back.
    await page.locator('#everyone-send').click();
    await untilAnswered(page);
    await expect.poll(places).toEqual(Array.from({ length: 8 }, () => 'gpu'));
    await showThousand(page);
  });

  test('Escape stops one, and what was answered is told', async () => {
    const { page } = tab;
    await page.locator('#storm-send').click();
    await expect.poll(() => page.locator('#storm-progress').textContent(), { timeout: PATIENCE }).toMatch(/^[1-9]/);
    await page.keyboard.press('Escape');
    await untilAnswered(page);
    expect(await page.locator('#storm-words').textContent()).toMatch(/^Stopped: \d+ requests? to \d+ adapters/);
  });

  test('forgetting brings all of them back to the origin, and the page’s own stay', async () => {
    const { page } = tab;
    await page.locator('#storm-forget').click();
    await expect.poll(() => counts(page), { timeout: PATIENCE }).toEqual({ gpu: 0, heap: 0, disk: 0, origin: 1000 });
    expect(await page.locator('#storm-error').isVisible()).toBe(false);
    expect(await page.locator('.card[data-voice]').count()).toBe(9);
    await page.reload();
    await page.locator('#storm-send:not(:disabled)').waitFor({ timeout: PATIENCE });
    expect(await counts(page)).toEqual({ gpu: 0, heap: 0, disk: 0, origin: 1000 });
  });

  test('nothing was complained about on the way', () => {
    expect(tab.errors).toEqual([]);
  });
});
