import { createServer, type Server } from 'node:http';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root, type Harness } from './harness.ts';
import { answersOf, drop, openDemo, openTab, PATIENCE, references, untilAnswered, untilReady, type DemoTab } from './page.ts';

const TRACK = 'Hi, I am still waiting for order 16024. Thanks.';
const PIRATE = `${root}public/models/frontdesk/adapters/pirate`;
const TITLE = `${root}public/models/frontdesk/adapters/title`;

let harness: Harness;
let tab: DemoTab;
let elsewhere: Server;
let folders: string;
const asked: string[] = [];

/** Another origin on this computer, which the page's policy lets it ask. */
function serveAdapter(): Server {
  return createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader('access-control-allow-headers', 'range');
    response.setHeader('access-control-expose-headers', 'content-range, content-length');
    if (request.method === 'OPTIONS') return void response.end();
    const [, folder, file] = request.url!.split('/');
    if (folder !== 'corsair' || !file) return void response.writeHead(404).end();
    readFile(join(PIRATE, file)).then(
      (bytes) => {
        const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
        if (from === undefined) return response.end(bytes);
        const part = bytes.subarray(Number(from), Number(to) + 1);
        response.writeHead(206, { 'content-range': `bytes ${from}-${Number(from) + part.length - 1}/${bytes.length}` });
        return response.end(part);
      },
      () => response.writeHead(404).end(),
    );
  });
}

beforeAll(async () => {
  elsewhere = serveAdapter();
  await new Promise<void>((resolve) => elsewhere.listen(0, 'localhost', resolve));
  folders = await mkdtemp(join(tmpdir(), 'weblora-folders-'));
  await cp(TITLE, join(folders, 'headline'), { recursive: true });
  await mkdir(join(folders, 'broken'));
  const config = JSON.parse(await readFile(join(PIRATE, 'adapter_config.json'), 'utf8')) as object;
  await writeFile(join(folders, 'broken', 'adapter_config.json'), JSON.stringify({ ...config, peft_type: 'IA3' }));
  await mkdir(join(folders, 'holiday'));
  await writeFile(join(folders, 'holiday', 'photo.txt'), 'the sea');
  harness = await openDemo();
  tab = await openTab(harness);
});

afterAll(async () => {
  await harness?.close();
  elsewhere?.close();
  await rm(folders, { recursive: true, force: true });
});

const addressOf = (): string => `http://localhost:${(elsewhere.address() as AddressInfo).port}/corsair/`;
const card = (page: Page, voice: string) => page.locator(`.card[data-voice="${voice}"]`);

/** How many adapters the browser keeps. */
function recordsOnDisk(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const settled = <T>(request: IDBRequest<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        request.addEventListener('success', () => resolve(request.result));
        request.addEventListener('error', () => reject(request.error!));
      });
    const database = await settled(indexedDB.open('weblora'));
    const [name] = database.objectStoreNames;
    const keys = name === undefined ? [] : await settled(database.transaction(name).objectStore(name).getAllKeys());
    database.close();
    return keys.filter((key) => String(key).startsWith('m:a:')).length;
  });
}

test('an adapter is added by its address, from another origin', async () => {
  const { page } = tab;
  await page.locator('#add-open').click();
  await page.locator('#add-url').fill(`${addressOf()}adapter_config.json`);
  await page.keyboard.press('Enter');
  await card(page, 'corsair').waitFor({ timeout: PATIENCE });
  expect(await page.locator('#add').isVisible()).toBe(false);
  expect(await card(page, 'corsair').locator('.card-facts').textContent()).toMatch(/^rank 16 · [\d.]+ MB · GPU$/);
  expect(asked.length).toBeGreaterThan(0);
});

test('wrong addresses are told of in words beside the field, and leave nothing behind', async () => {
  const { page } = tab;
  await page.locator('#add-open').click();
  const error = page.locator('#add-url-error');
  const tryAddress = async (address: string, name = ''): Promise<string> => {
    await page.locator('#add-url').fill(address);
    await page.locator('#add-name').fill(name);
    await page.locator('#add-send').click();
    await page.waitForFunction(() => document.querySelector('#add-send')!.textContent === 'Add');
    return (await error.textContent())!;
  };
  expect(await tryAddress('')).toContain('no address yet');
  expect(await tryAddress('http://example.org/pirate/')).toContain('https addresses');
  expect(await tryAddress(addressOf(), 'pirate')).toContain('called “pirate” already');
  const missing = addressOf().replace('corsair', 'nobody');
  expect(await tryAddress(missing)).toContain(`${missing}adapter_config.json`);
  expect(await card(page, 'nobody').count()).toBe(0);
  // The name is free: it may be given to what is there.
  await page.locator('#add-url').fill(addressOf());
  await page.locator('#add-name').fill('nobody');
  await page.locator('#add-send').click();
  await card(page, 'nobody').waitFor({ timeout: PATIENCE });
  expect(await page.locator('#add').isVisible()).toBe(false);
  await card(page, 'nobody').locator('.card-remove').click();
  await expect.poll(() => card(page, 'nobody').count()).toBe(0);
});

test('a dropped folder becomes an adapter; bad ones are told of by name', async () => {
  const { page } = tab;
  await drop(page, join(folders, 'headline'));
  await card(page, 'headline').waitFor({ timeout: PATIENCE });
  expect(await page.locator('#add').isVisible()).toBe(false);
  expect(await card(page, 'headline').locator('.card-facts').textContent()).toMatch(/^rank 4 · [\d.]+ kB · GPU$/);
  await drop(page, join(folders, 'broken'), join(folders, 'holiday'));
  const attempts = page.locator('#attempts li');
  await expect.poll(() => attempts.locator('.error').count(), { timeout: 30_000 }).toBe(2);
  const said = await attempts.allTextContents();
  expect(said[0]).toMatch(/^broken.*broken\/adapter_config\.json.*IA3/s);
  expect(said[1]).toMatch(/^holiday.*adapter_config\.json/s);
  await page.locator('#add-close').click();
  expect(await page.locator('.card').count()).toBe(11);
});

test('a telephone’s width holds the cards of added adapters', async () => {
  const { page } = tab;
  const { width, height } = page.viewportSize()!;
  await page.setViewportSize({ width: 360, height: 740 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBe(0);
  await page.setViewportSize({ width, height });
});

test('a folder is chosen with the browser’s own dialog, and gets a free name', async () => {
  const { page } = tab;
  await page.locator('#add-open').click();
  await page.locator('#add-folder').setInputFiles(join(folders, 'headline'));
  await card(page, 'headline-2').waitFor({ timeout: PATIENCE });
});

test('after a reload the added ones are there under their names, without the network, until they are removed', async () => {
  const { page } = tab;
  // Writing goes on beside the answers: eight shipped adapters, and three that were added here.
  await expect.poll(() => recordsOnDisk(page), { timeout: 30_000 }).toBe(11);
  elsewhere.closeAllConnections();
  await new Promise((resolve) => elsewhere.close(resolve));
  asked.length = 0;
  await page.locator('.card[data-voice="headline-2"] .card-remove').click();
  await expect.poll(() => card(page, 'headline-2').count()).toBe(0);
  await page.reload();
  await untilReady(page);
  expect(await page.locator('.card').count()).toBe(11);
  for (const voice of ['corsair', 'headline']) expect(await card(page, voice).locator('.card-facts').textContent()).toContain('GPU');
  await page.locator('#everyone-message').fill(TRACK);
  await page.locator('#everyone-send').click();
  await untilAnswered(page);
  const expected = await references(TRACK);
  expect(await answersOf(page)).toEqual({ ...expected, corsair: expected['pirate'], headline: expected['title'] });
  expect(asked).toEqual([]);
});

test('the page complained about nothing but what was asked for in vain', () => {
  const vain = tab.errors.filter((error) => !error.includes(`/nobody/`));
  expect(vain, basename(folders)).toEqual([]);
});
