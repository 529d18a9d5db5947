import { readFileSync } from 'node:fs';
import type { BrowserContext, Page } from 'playwright';
import { expect } from 'vitest';
import { root, urlOf, type Harness } from './harness.ts';
import type { AdapterOrigin } from './store-origin.ts';
import type { Tab, Where, StartOptions } from './store-page.ts';

const ARCH = 'test/fixtures/arch/llama';

interface Reference {
  readonly prompt: readonly number[];
  readonly greedy: readonly number[];
  readonly margins: readonly number[];
}

const REFERENCES = JSON.parse(readFileSync(`${root}${ARCH}/reference.json`, 'utf8')) as Readonly<Record<string, readonly Reference[]>>;
const LENGTH = 6;
/** Of the prompt at which no adapter of these tests is close to saying something else. */
const PROMPT = 3;

/** What PEFT answers to the tests' prompt with an adapter of the fixtures. */
export function expected(adapter: string): readonly number[] {
  const { greedy, margins } = REFERENCES[adapter]![PROMPT]!;
  expect(Math.min(...margins.slice(0, LENGTH)), `the margin of ${adapter}`).toBeGreaterThan(0.01);
  return greedy.slice(0, LENGTH);
}

/** A tab with an engine in it. */
export interface StoreTab {
  readonly page: Page;
  /** What the store knew when the engine started. */
  readonly known: readonly string[];
  /** Asks the engine, or the database under it. */
  call<K extends keyof Tab>(name: K, ...args: Parameters<Tab[K]>): Promise<Awaited<ReturnType<Tab[K]>>>;
  /** What an adapter answers to the tests' prompt. */
  answer(id: string): Promise<readonly number[] | string>;
  /** Kinds and tiers of what happened to an adapter so far, as `load disk`. */
  events(id: string): Promise<readonly string[]>;
}

export interface TabOptions extends Partial<StartOptions> {
  readonly where?: Where;
  /** Hears of the beginning and the end of each write of an adapter's bytes. */
  readonly writing?: (what: string) => void;
}

type Global = { readonly tab: Readonly<Record<string, (...args: readonly unknown[]) => unknown>> };

/** Opens a tab and starts an engine in it. */
export async function openStoreTab(harness: Harness, context: BrowserContext, options: TabOptions = {}): Promise<StoreTab> {
  const { where = 'worker', writing, ...start } = options;
  const page = await context.newPage();
  if (writing) await page.exposeFunction('writing', writing);
  const call: StoreTab['call'] = (name, ...args) =>
    page.evaluate(([name, args]) => (globalThis as unknown as Global).tab[name]!(...args) as never, [name, args] as const);
  await page.goto(new URL('/test/browser/store.html', harness.origin).href);
  await page.waitForFunction(() => 'tab' in globalThis);
  const known = await call('start', where, { model: urlOf(`${ARCH}/base`)!, ...start });
  const { prompt } = REFERENCES['base']![PROMPT]!;
  return {
    page,
    known,
    call,
    answer: (id) => call('answer', id, prompt, LENGTH),
    events: async (id) => (await call('events')).flatMap((event) => (event.id === id ? [`${event.kind} ${event.tier}`] : [])),
  };
}

/** Waits until the store has taken, or refused, what was on its way there; ends the engine and the tab. */
export async function closeTab({ page, call }: StoreTab): Promise<void> {
  await call('close');
  await page.close();
}

/** Waits until so many blobs lie in the database, all whole. */
export async function untilWhole({ call }: StoreTab, count: number): Promise<void> {
  await expect.poll(async () => (await call('found')).map(({ state }) => state), { timeout: 20_000 }).toEqual(Array(count).fill('whole'));
}

/** Adds an adapter and checks its answer, and that it came from its origin. */
export async function firstUse(tab: StoreTab, origin: AdapterOrigin, id: string, answers = id): Promise<void> {
  await tab.call('add', id, origin.url(id));
  expect(await tab.answer(id), id).toEqual(expected(answers));
  expect(new Set(origin.asked())).toEqual(new Set([id]));
  origin.forget();
}

/** Its answer when neither the GPU nor memory has it: `memory.heap` is to be 0. */
export async function answerAnew(tab: StoreTab, id: string): Promise<readonly number[] | string> {
  await tab.call('unload', id);
  return tab.answer(id);
}

/** Waits until the engine has told of it. */
export async function untilEvent(tab: StoreTab, id: string, event: string): Promise<void> {
  await expect.poll(() => tab.events(id), { timeout: 20_000 }).toContain(event);
}
