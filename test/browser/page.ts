import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { BrowserContextOptions, Page } from 'playwright';
import { diagnose } from '../../src/engine/diagnose.ts';
import { profile } from '../../src/engine/profile.ts';
import { createEngine } from '../../src/engine/engine.ts';
import { dawn } from '../../src/node.ts';
import type { BatchRecord } from '../../src/openai/batch.ts';
import { main } from '../../src/server/cli-main.ts';
import { openHarness, root, type Harness } from './harness.ts';

/** Software devices are slow, and other tests may be running beside these. */
export const PATIENCE = 180_000;

export const ADAPTERS = ['json', 'sql', 'spanish', 'pirate', 'redact', 'sentiment', 'emoji', 'title'] as const;

interface Reference {
  readonly model: string;
  readonly message: string;
  readonly text: string;
}

/** What PEFT answers to the message, by adapter (`base` too). */
export async function references(message: string): Promise<Readonly<Record<string, string>>> {
  const all = JSON.parse(await readFile(`${root}test/fixtures/frontdesk/reference.json`, 'utf8')) as readonly Reference[];
  const found = all.filter((reference) => reference.message === message).map(({ model, text }) => [model, text]);
  if (found.length === 0) throw new Error(`No reference for ${JSON.stringify(message)}`);
  return Object.fromEntries(found) as Record<string, string>;
}

/** The page as `npm run demo` serves it. */
export function openDemo(): Promise<Harness> {
  return openHarness({ vite: { configFile: `${root}demo/vite.config.ts` } });
}

/** A tab of the page; `open` waits until every voice is ready. */
export interface DemoTab {
  readonly page: Page;
  readonly errors: readonly string[];
  close(): Promise<void>;
}

export async function openTab(harness: Harness, path = '/', options: BrowserContextOptions = {}): Promise<DemoTab> {
  const tab = await harness.open(path, { viewport: { width: 1280, height: 860 }, ...options });
  await untilReady(tab.page);
  return tab;
}

/** Waits until the engine is there and no adapter is still on its way. */
export async function untilReady(page: Page): Promise<void> {
  await page.waitForFunction(
    () => {
      const cards = [...document.querySelectorAll<HTMLElement>('.card')];
      const send = document.querySelector<HTMLButtonElement>('#everyone-send');
      return send?.disabled === false && cards.length > 8 && cards.every(({ dataset }) => dataset['state'] !== 'loading');
    },
    undefined,
    { timeout: PATIENCE },
  );
}

/** What the cards say, by voice; the base is `base`. */
export async function answersOf(page: Page): Promise<Readonly<Record<string, string>>> {
  const pairs = await page
    .locator('.card')
    .evaluateAll((cards) =>
      cards.map((card) => [(card as HTMLElement).dataset['voice'] || 'base', card.querySelector('.card-answer')!.textContent] as const),
    );
  return Object.fromEntries(pairs);
}

/** Drops files and folders from the disk on the page, as a file manager does. */
export async function drop(page: Page, ...paths: readonly string[]): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: [...paths], dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await session.send('Input.dispatchDragEvent', { type, x: 400, y: 400, data });
  }
  await session.detach();
}

/** Waits until nobody answers any more, in either view. */
export async function untilAnswered(page: Page): Promise<void> {
  await page.waitForFunction(() => !document.querySelector('.stopping'), undefined, { timeout: PATIENCE });
}

export interface ChatMessage {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

/** What `weblora run-batch` answers to a conversation. */
export async function runBatchAnswer(adapter: (typeof ADAPTERS)[number], messages: readonly ChatMessage[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'weblora-page-'));
  try {
    const body = { model: adapter, messages, temperature: 0 };
    const request = { custom_id: 'one', method: 'POST', url: '/v1/chat/completions', body };
    const [input, output] = [join(folder, 'in.jsonl'), join(folder, 'out.jsonl')];
    await writeFile(input, `${JSON.stringify(request)}\n`);
    const model = `${root}public/models/frontdesk`;
    const files = ['-i', input, '-o', output, '--model', `${model}/base`];
    const said: string[] = [];
    const code = await main(['run-batch', ...files, '--lora-modules', `${adapter}=${model}/adapters/${adapter}`, '--software'], host(said));
    if (code !== 0) throw new Error(`run-batch ended with ${code}: ${said.join('')}`);
    const line = await readFile(output, 'utf8');
    const { body: answer } = (JSON.parse(line) as BatchRecord).response!;
    if ('error' in answer) throw new Error(`run-batch refused the conversation: ${line}`);
    return (answer as ChatAnswer).choices[0]!.message.content;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface ChatAnswer {
  readonly choices: readonly { readonly message: { readonly content: string } }[];
}

function host(said: string[]): Parameters<typeof main>[1] {
  const output = new Writable({
    write: (chunk, _encoding, done) => {
      said.push(String(chunk));
      done();
    },
  });
  const nothing = (async function* () {})();
  const { signal } = new AbortController();
  return {
    version: 'test',
    stdin: nothing,
    stdout: output,
    stderr: output,
    signal,
    terminal: 'plain',
    dawn,
    createEngine,
    diagnose,
    profile,
  };
}
