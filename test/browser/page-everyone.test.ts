import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright';
import type { Harness } from './harness.ts';
import { answersOf, openDemo, openTab, references, untilAnswered, type DemoTab } from './page.ts';

const TRACK = 'Hi, I am still waiting for order 16024. Thanks.';
const MEETING = 'Hey there, can I meet Selena Sanders on Sunday at 9 am? You are always so helpful!';

let harness: Harness;
let tab: DemoTab;

beforeAll(async () => {
  harness = await openDemo();
  tab = await openTab(harness);
});

afterAll(async () => {
  await harness?.close();
});

test('a typed message is answered by all nine, as PEFT answers it', async () => {
  const { page } = tab;
  await page.locator('#everyone-message').fill('');
  await page.locator('#everyone-message').pressSequentially(TRACK);
  await page.keyboard.press('Enter');
  await untilAnswered(page);
  expect(await answersOf(page)).toEqual(await references(TRACK));
  // Text that a model wrote is text.
  expect(await page.locator('.card-answer *').count()).toBe(0);
  expect(await page.locator('#announce').textContent()).toMatch(/^9 answers in [\d.]+ seconds$/);
});

test('every card tells rank, bytes, tier and speed, and the strip has drawn the steps', async () => {
  const { page } = tab;
  const card = page.locator('.card[data-voice="spanish"]');
  await expect.poll(() => card.locator('.card-facts').textContent()).toMatch(/^rank 32 · [\d.]+ MB · GPU$/);
  expect(await card.locator('.card-speed').textContent()).toMatch(/^17 tokens · [\d.]+ tokens\/s$/);
  const strip = page.locator('#strip');
  expect(Number(await strip.getAttribute('data-steps'))).toBeGreaterThan(20);
  // Colours beside grey: rows of adapters beside those of the base.
  const colours = await strip.evaluate((canvas: HTMLCanvasElement) => {
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set<number>();
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) seen.add((data[i]! << 16) | (data[i + 1]! << 8) | data[i + 2]!);
    return seen.size;
  });
  expect(colours).toBeGreaterThanOrEqual(9);
});

const ways: readonly (readonly [string, (page: Page) => Promise<void>])[] = [
  ['Escape', (page) => page.keyboard.press('Escape')],
  ['the Stop button', (page) => page.locator('#everyone-send', { hasText: 'Stop' }).click()],
];

test.each(ways)('%s stops all while text streams; what was said stays', async (_, stop) => {
  const { page } = tab;
  await page.locator('#everyone-message').fill(MEETING);
  await page.locator('#everyone-send').click();
  const json = page.locator('.card[data-voice="json"] .card-answer');
  await expect.poll(() => json.textContent(), { timeout: 60_000, interval: 50 }).toMatch(/^\{"intent/);
  await stop(page);
  await expect.poll(() => page.locator('.card[data-voice="json"]').getAttribute('data-state'), { interval: 50 }).toBe('stopped');
  await untilAnswered(page);
  const [said, expected] = [await answersOf(page), await references(MEETING)];
  expect(said['json']!.length).toBeLessThan(expected['json']!.length);
  for (const [voice, text] of Object.entries(said)) expect(expected[voice]).toContain(text.trimEnd());
});

test('an empty message is refused in words, beside the field', async () => {
  const { page } = tab;
  await page.locator('#everyone-message').fill('   ');
  await page.keyboard.press('Enter');
  await expect.poll(() => page.locator('#everyone-error').textContent()).toContain('no message yet');
});

test('nothing was complained about on the way', () => {
  expect(tab.errors).toEqual([]);
});
