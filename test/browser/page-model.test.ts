import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Page } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { HubFault } from '../servers/hub-orders.ts';
import { openHubDouble, type HubDouble } from '../servers/hub.ts';
import { root, type Harness } from './harness.ts';
import { answersOf, drop, openDemo, PATIENCE, references, untilAnswered } from './page.ts';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const BASE = 'public/models/frontdesk/base';
const GGUF = join(root, '.cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf');
const SMOL_ADAPTERS = join(root, '../shared/models/smollm2/adapters');
const SMOL_REFERENCES = join(root, '../shared/references/smollm2/reference.json');
const MESSAGE = 'Hi, I am still waiting for order 16024. Thanks.';
const names = readdirSync(join(root, BASE));

let hub: HubDouble;
let harness: Harness;
let page: Page;
const errors: string[] = [];

beforeAll(async () => {
  hub = await openHubDouble('localhost');
  const files = Object.fromEntries(names.map((name) => [name, { path: `${BASE}/${name}` }]));
  for (const repository of ['owner/frontdesk', 'owner/damaged']) await tell('/_repository', { repository, commit: 'e'.repeat(40), files });
  await faults('owner/damaged', { on: 'store', kind: 'wrong' });
  harness = await openDemo();
  // axe is no script of the page's own, which its policy refuses
  const tab = await harness.open(`/?hub=${hub.url}`, { viewport: { width: 1280, height: 860 }, bypassCSP: true });
  ({ page } = tab);
  page.on('pageerror', (error) => errors.push(String(error)));
  // what the loading line says, also between two looks
  await page.addInitScript(() => {
    const said: string[] = [];
    Object.assign(globalThis, { said });
    addEventListener('DOMContentLoaded', () => {
      const line = document.querySelector('#loading')!;
      new MutationObserver(() => said.push(line.textContent!)).observe(line, { subtree: true, childList: true, characterData: true });
    });
  });
});

afterAll(async () => {
  await harness?.close();
  hub?.close();
});

const tell = (path: string, body: unknown): Promise<unknown> => fetch(hub.url + path, { method: 'POST', body: JSON.stringify(body) });
const faults = (repository: string, ...given: Omit<HubFault, 'repository'>[]): Promise<unknown> =>
  tell(
    `/_faults?repository=${repository}`,
    given.map((fault) => ({ ...fault, repository })),
  );

/** Waits until the model answers. */
const isReady = (): Promise<unknown> =>
  page.waitForFunction(() => document.querySelector<HTMLButtonElement>('#everyone-send')?.disabled === false, undefined, {
    timeout: PATIENCE,
  });

/** Waits until the model answers, and asks it. */
async function answerOfBase(): Promise<string> {
  await isReady();
  await page.locator('#everyone-message').fill(MESSAGE);
  await page.locator('#everyone-send').click();
  await untilAnswered(page);
  return (await answersOf(page))['base']!;
}

/** Types a model into the dialog and submits it, all by keyboard. */
async function choose(id: string): Promise<void> {
  await page.locator('#model-open').focus();
  await page.keyboard.press('Enter');
  await page.locator('#model-id').fill(id);
  await page.keyboard.press('Enter');
}

async function findings(): Promise<readonly string[]> {
  await page.addScriptTag({ path: AXE });
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: readonly { id: string; impact: string; nodes: readonly { html: string }[] }[] }> };
    };
    const serious = (await axe.run()).violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    return serious.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
  });
}

test('the dialog is there while a model loads, by keyboard, for axe, and on a telephone', async () => {
  await choose('no model');
  expect(await page.locator('#model-id-error').textContent()).toContain('“no model” is no model of the hub');
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await findings()).toEqual([]);
  }
  await page.setViewportSize({ width: 360, height: 740 });
  expect((await page.locator('#model').boundingBox())!.width).toBeLessThanOrEqual(360);
  await page.keyboard.press('Escape');
  expect(await page.locator('#model').isVisible()).toBe(false);
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  await page.setViewportSize({ width: 1280, height: 860 });
});

test('a hub id becomes the base model, fetched with bytes told', async () => {
  await choose('https://huggingface.co/owner/frontdesk/tree/main');
  await page.waitForFunction(() => document.querySelector('#model-name')?.textContent === 'owner/frontdesk@main');
  expect(await answerOfBase()).toBe((await references(MESSAGE))['base']);
  expect(await page.locator('.card').count()).toBe(1); // the page's own adapters are for its own model
  const said = await page.evaluate(() => (globalThis as unknown as { said: string[] }).said);
  expect(
    said.some((line) => /Fetching model\.safetensors.*[\d.]+ MB of [\d.]+ MB/.test(line)),
    said.join('\n'),
  ).toBe(true);
  expect(await page.locator('#tab-thousand').isVisible()).toBe(false);
});

test('it is there after a reload without the hub', async () => {
  await faults('owner/frontdesk', { on: 'api', kind: 'down' }, { on: 'resolve', kind: 'down' }, { on: 'store', kind: 'down' });
  await page.reload();
  expect(await answerOfBase()).toBe((await references(MESSAGE))['base']);
  expect(await page.locator('#model-name').textContent()).toBe('owner/frontdesk@main');
  await page.setViewportSize({ width: 360, height: 740 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  await page.locator('#model-open').click();
  expect(await page.locator('#model').evaluate(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)).toBeLessThanOrEqual(0);
  await page.keyboard.press('Escape');
  await page.setViewportSize({ width: 1280, height: 860 });
});

test('one that is not there, or arrives damaged, is told of in words, with a way back', async () => {
  await choose('owner/none');
  const trouble = page.locator('#trouble');
  await expect.poll(() => trouble.textContent(), { timeout: 60_000 }).toMatch(/could not be fetched.*There is no owner\/none on/s);
  expect(await findings()).toEqual([]);
  await choose('owner/damaged');
  await expect.poll(() => trouble.textContent(), { timeout: 60_000 }).toMatch(/arrived damaged.*twice with other bytes/s);
  await trouble.getByRole('button', { name: 'Back to Frontdesk' }).click();
  await page.waitForFunction(() => document.querySelector('#model-name')?.textContent === 'Frontdesk');
  expect(await page.locator('#tab-thousand').isVisible()).toBe(true);
});

const isCalled = (name: string): Promise<unknown> =>
  page.waitForFunction((wanted) => document.querySelector('#model-name')?.textContent === wanted, name, { timeout: PATIENCE });

test('a dropped folder is kept in the browser and answers, after a reload too', async () => {
  await isReady(); // nothing takes a drop before the page's scripts run
  await drop(page, join(root, BASE));
  await isCalled('base');
  expect(await answerOfBase()).toBe((await references(MESSAGE))['base']);
  await page.reload();
  expect(await answerOfBase()).toBe((await references(MESSAGE))['base']);
});

test('what is dropped and is no model of its own is told of, and the model that was kept stays', async () => {
  await drop(page, join(root, BASE), join(root, 'public/models/frontdesk/adapters/title'));
  const attempts = page.locator('#attempts li');
  await expect.poll(() => attempts.allTextContents()).toContainEqual(expect.stringMatching(/^base.*is a base model: drop it by itself/));
  await page.keyboard.press('Escape');
  await page.evaluate(() => {
    const { storage } = navigator;
    Object.defineProperty(storage, 'estimate', { configurable: true, value: async () => ({ quota: 0, usage: 1e12 }) });
  });
  await drop(page, join(root, 'test/fixtures/gguf/blocks.gguf'));
  await expect.poll(() => page.locator('#model-kept-error').textContent()).toMatch(/needs .* in this browser, which has 0 B left/);
  await page.reload();
  await isCalled('base');
  expect(await answerOfBase()).toBe((await references(MESSAGE))['base']);
});

test('a .gguf that is no language model says so', async () => {
  await drop(page, join(root, 'test/fixtures/gguf/blocks.gguf'));
  await isCalled('blocks');
  await expect.poll(() => page.locator('#trouble').textContent(), { timeout: 60_000 }).toMatch(/cannot be read|not served/);
});

test('files of a model may be chosen; where the browser cleared its copy that is said', async () => {
  await page.locator('#model-open').click();
  await page.locator('#model-file').setInputFiles(names.map((name) => join(root, BASE, name)));
  await isCalled('Your files');
  expect(await answerOfBase()).toBe((await references(MESSAGE))['base']);
  const folders = await page.evaluate(async () => {
    const top = await navigator.storage.getDirectory();
    const found: string[] = [];
    for await (const name of top.keys()) if (name.startsWith('weblora-dropped')) found.push(name);
    for (const name of found) await top.removeEntry(name, { recursive: true });
    return found;
  });
  expect(folders).toHaveLength(1);
  await page.reload();
  await expect
    .poll(() => page.locator('#trouble').textContent(), { timeout: 60_000 })
    .toMatch(/has cleared its copy of .*drop it once more/);
});

interface SmolAnswer {
  readonly model: string;
  readonly message: string;
  readonly text: string;
}

/** What transformers and PEFT answer to the message of which no token is a near tie, by model. */
function smolAnswers(): { readonly message: string; readonly texts: Readonly<Record<string, string>> } {
  const all = JSON.parse(readFileSync(SMOL_REFERENCES, 'utf8')) as readonly SmolAnswer[];
  const { message } = all.find((answer) => answer.message.includes('order 81899'))!;
  return { message, texts: Object.fromEntries(all.filter((answer) => answer.message === message).map(({ model, text }) => [model, text])) };
}

const hasSmol = [GGUF, SMOL_ADAPTERS, SMOL_REFERENCES].every((path) => existsSync(path));
test.skipIf(!process.env['WEBLORA_SLOW'] || !hasSmol)(
  'SmolLM2’s .gguf and its five adapters, dropped, answer as the references do',
  { timeout: 3_600_000 },
  async () => {
    const { message, texts } = smolAnswers();
    const adapters = readdirSync(SMOL_ADAPTERS);
    await drop(page, GGUF);
    await isCalled('SmolLM2-135M-Instruct.Q4_1');
    const send = page.locator('#everyone-send:enabled');
    await send.waitFor({ timeout: 900_000 });
    await drop(page, ...adapters.map((name) => join(SMOL_ADAPTERS, name)));
    for (const name of adapters) await page.locator(`.card[data-voice="${name}"]`).waitFor({ timeout: 900_000 });
    await page.locator('#everyone-message').fill(message);
    await send.click();
    // The references end after 64 tokens, where the base does not.
    const isThere = (said: Readonly<Record<string, string>>): boolean => said['base']!.length >= texts['base']!.length;
    const done = adapters.map((name) => page.locator(`.card[data-voice="${name}"][data-state="done"]`).waitFor({ timeout: 3_000_000 }));
    await Promise.all([
      ...done,
      expect.poll(async () => isThere(await answersOf(page)), { timeout: 3_000_000, interval: 1000 }).toBe(true),
    ]);
    const { base, ...said } = await answersOf(page);
    await page.keyboard.press('Escape');
    expect(base!.slice(0, texts['base']!.length)).toBe(texts['base']);
    expect({ ...said, base: texts['base'] }).toEqual(texts);
  },
);

test('no script failed', () => expect(errors).toEqual([]));
