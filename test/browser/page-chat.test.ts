import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Page } from 'playwright';
import type { Harness } from './harness.ts';
import { openDemo, openTab, references, runBatchAnswer, untilAnswered, type DemoTab } from './page.ts';

const TRACK = 'Hi, I am still waiting for order 16024. Thanks.';
const REFUND = 'Hey there, I want a refund for order 81899 because the clock stopped working. Thanks.';

let harness: Harness;
let tab: DemoTab;

beforeAll(async () => {
  harness = await openDemo();
  tab = await openTab(harness, '/#chat');
});

afterAll(async () => {
  await harness?.close();
});

const choose = (page: Page, voice: string): Promise<void> => page.locator(`label.voice:has(input[value="${voice}"])`).click();

async function sendMessage(page: Page, message: string): Promise<void> {
  await page.locator('#chat-message').pressSequentially(message);
  await page.keyboard.press('Enter');
  await page.locator('.stopping').waitFor({ state: 'attached' });
}

/** There is nothing to leave behind before the first message. */
async function startAnew(page: Page): Promise<void> {
  const button = page.locator('#chat-new');
  if (await button.isEnabled()) await button.click();
}

/** Who said what so far; `you` for the person. */
function conversation(page: Page): Promise<readonly (readonly string[])[]> {
  return page
    .locator('.turn')
    .evaluateAll((turns) =>
      turns.map((turn) => [turn.querySelector('.turn-name')?.textContent ?? 'you', turn.querySelector('.bubble')!.textContent!]),
    );
}

/** Which order it is, only the conversation before tells. */
const ADDRESS = 'Please send it to 16 Rivera Street, Danielmouth.';

test('another voice takes over in mid-conversation, and earlier turns keep their names', async () => {
  const { page } = tab;
  await choose(page, 'pirate');
  await sendMessage(page, TRACK);
  // Chosen while the first one still speaks: it takes effect with the next message.
  await choose(page, 'json');
  await untilAnswered(page);
  const first = (await references(TRACK))['pirate']!;
  expect(await conversation(page)).toEqual([
    ['you', TRACK],
    ['pirate', first],
  ]);
  await sendMessage(page, ADDRESS);
  await untilAnswered(page);
  const second = await runBatchAnswer('json', [
    { role: 'user', content: TRACK },
    { role: 'assistant', content: first },
    { role: 'user', content: ADDRESS },
  ]);
  expect(second).toContain('16024');
  expect(await conversation(page)).toEqual([
    ['you', TRACK],
    ['pirate', first],
    ['you', ADDRESS],
    ['json', second],
  ]);
  expect(await page.locator('#talk-with').textContent()).toBe('json answers next');
});

test('the keyboard alone chooses a voice, asks and stops', async () => {
  const { page } = tab;
  await startAnew(page);
  await page.locator('input[name="voice"]:checked').focus();
  await page.keyboard.press('ArrowDown');
  expect(await page.locator('input[name="voice"]:checked').getAttribute('value')).toBe('sql');
  await page.locator('#chat-message').focus();
  await page.keyboard.type('Hi,');
  await page.keyboard.press('Shift+Enter');
  expect(await page.locator('#chat-message').inputValue()).toBe('Hi,\n');
  await page.locator('#chat-message').fill('');
  await sendMessage(page, REFUND);
  const bubble = page.locator('.theirs .bubble');
  await expect.poll(() => bubble.textContent(), { timeout: 60_000, interval: 30 }).toMatch(/^INSERT/);
  await page.keyboard.press('Escape');
  await untilAnswered(page);
  expect(await page.locator('.theirs').getAttribute('data-state')).toBe('stopped');
  const said = (await bubble.textContent())!;
  const whole = (await references(REFUND))['sql']!;
  expect(said.length).toBeLessThan(whole.length);
  expect(whole.startsWith(said)).toBe(true);
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('chat-message');
});

test('what a person writes is shown as they wrote it, never as HTML', async () => {
  const { page } = tab;
  await startAnew(page);
  await choose(page, 'sentiment');
  const message = '<img src="/nothing" alt="x"><b>bold</b> & more';
  await sendMessage(page, message);
  await untilAnswered(page);
  const answer = await runBatchAnswer('sentiment', [{ role: 'user', content: message }]);
  expect(await conversation(page)).toEqual([
    ['you', message],
    ['sentiment', answer],
  ]);
  expect(await page.locator('.turns :is(img, b)').count()).toBe(0);
});

test('the skip link leads to the content of the view that is shown', async () => {
  const { page } = tab;
  await page.locator('#skip').focus();
  await page.keyboard.press('Enter');
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('main');
  expect(await page.locator('#view-chat').isVisible()).toBe(true);
});

test('a message longer than the context is refused in words, beside it', async () => {
  const { page } = tab;
  await startAnew(page);
  await page.locator('#chat-message').fill('order ten pink shirts and nine white lamps '.repeat(80));
  await page.keyboard.press('Enter');
  await expect.poll(() => page.locator('.theirs .said.error').textContent()).toMatch(/512.*Start a new conversation/s);
});

test('nothing was complained about on the way', () => {
  expect(tab.errors).toEqual([]);
});
