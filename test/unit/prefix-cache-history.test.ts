import { expect, test } from 'vitest';
import { createPages, type Pages } from '../../src/engine/pages.ts';
import { createPrefixCache, type PrefixCache } from '../../src/engine/prefix-cache.ts';
import { GONE } from '../../src/engine/window.ts';
import { PAGE_TOKENS } from '../../src/kernels/step-layout.ts';
import { textOf } from './prefix-texts.ts';

function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

interface Kept {
  readonly root: string;
  /** All tokens up to the end of the page, joined. */
  readonly text: string;
  /** Undefined: evicted, though something follows that can do without it. */
  page: number | undefined;
  lastUse: number;
}

interface Sequence {
  readonly root: string;
  readonly tokens: number[];
  readonly pages: number[];
  /** Pages that were taken from the cache or given to `keep`. */
  settled: number;
}

/** The same rules without any structure: lists that are searched from end to end. */
interface Model {
  readonly kept: Kept[];
  readonly running: Sequence[];
  /** What was computed into each page, root and all tokens before included. */
  readonly contents: Map<number, string>;
  readonly window: number;
  step: number;
}

const joined = (tokens: readonly number[], count: number): string => tokens.slice(0, count * PAGE_TOKENS).join();

const keptAt = (model: Model, root: string, text: string): Kept | undefined =>
  model.kept.find((entry) => entry.root === root && entry.text === text);

const follows = (later: Kept, earlier: Kept): boolean => later.root === earlier.root && later.text.startsWith(`${earlier.text},`);

const users = (model: Model, page: number): number => model.running.filter((sequence) => sequence.pages.includes(page)).length;

const isKept = (model: Model, page: number): boolean => model.kept.some((entry) => entry.page === page);

/** The longest beginning of which all pages are there that a row behind it reads; GONE for the others. */
function beginning(model: Model, root: string, tokens: readonly number[], limit: number): number[] {
  const pages: (number | undefined)[] = [];
  let best: number[] = [];
  for (let count = 1; count <= Math.min(limit, Math.floor(tokens.length / PAGE_TOKENS)); count++) {
    const entry = keptAt(model, root, joined(tokens, count));
    if (entry === undefined) break;
    pages.push(entry.page);
    const isRead = (page: number): boolean => (page + 1) * PAGE_TOKENS > count * PAGE_TOKENS - model.window + 1;
    const needed = pages.map((page, index) => (isRead(index) ? page : GONE));
    if (needed.every((page) => page !== undefined)) best = needed;
  }
  return best;
}

const isFollowed = (model: Model, entry: Kept): boolean => model.kept.some((other) => follows(other, entry));

/** Those that may be evicted now: nobody runs on them, nothing that follows needs them; of these the ones used longest ago. */
function nextOut(model: Model): Kept[] {
  const may = ({ page }: Kept): boolean => page !== undefined && users(model, page) === 0;
  const free = model.kept.filter((entry) => may(entry) && (model.window < Infinity || !isFollowed(model, entry)));
  const oldest = Math.min(...free.map((entry) => entry.lastUse));
  return free.filter((entry) => entry.lastUse === oldest);
}

/** Takes entries out, and those without a page that nothing follows then. */
function remove(model: Model, gone: (entry: Kept) => boolean): void {
  const left = model.kept.filter((entry) => !gone(entry));
  const useful = left.filter(
    (entry) => entry.page !== undefined || left.some((other) => other.page !== undefined && follows(other, entry)),
  );
  model.kept.splice(0, model.kept.length, ...useful);
}

/** An entry loses its page, and with it what cannot be found without it. */
function lose(model: Model, entry: Kept): void {
  if (model.window === Infinity) return remove(model, (other) => other === entry || follows(other, entry));
  entry.page = undefined;
  remove(model, () => false);
}

interface History {
  readonly random: (below: number) => number;
  readonly pages: Pages;
  readonly cache: PrefixCache;
  readonly model: Model;
}

/** As `toEqual`, in a fraction of its time: there are very many of these. */
function same(actual: readonly unknown[], expected: readonly unknown[]): void {
  if (actual.length !== expected.length || actual.some((value, at) => value !== expected[at])) expect(actual).toEqual(expected);
}

const ROOTS = ['', 'a', 'b'];

function compute({ pages, model }: History, sequence: Sequence, count: number): void {
  const taken = pages.take(count) ?? [];
  same(
    taken.filter((page) => users(model, page) > 0 || isKept(model, page)),
    [],
  ); // none was freed early
  for (const page of taken) {
    sequence.pages.push(page);
    model.contents.set(page, `${sequence.root}:${joined(sequence.tokens, sequence.pages.length)}`);
  }
}

function start(history: History): void {
  const { random, cache, model } = history;
  const root = ROOTS[random(2) * (1 + random(2))]!;
  const names = Array.from({ length: 1 + random(5) }, () => random(2) * (1 + random(2)));
  const tokens = [...textOf(...names), ...new Array<number>(random(PAGE_TOKENS)).fill(1)];
  const limit = 6 - Math.floor(random(49) ** 0.5);
  const expected = beginning(model, root, tokens, limit);
  same([cache.find(root, tokens, limit)], [expected.length]);
  const found = cache.take(root, tokens, limit);
  same(found, expected);
  const contents = found.map((page, index) => (page === GONE ? undefined : `${root}:${joined(tokens, index + 1)}`));
  same(
    found.map((page) => model.contents.get(page)),
    contents,
  );
  const sequence = { root, tokens, pages: found, settled: found.length };
  model.running.push(sequence);
  compute(history, sequence, names.length - found.length);
}

/** Keeps some of the pages that were computed since the last time. */
function settle({ random, cache, model }: History, sequence: Sequence): void {
  const { root, tokens, pages, settled } = sequence;
  const upTo = settled + random(pages.length - settled + 1);
  cache.keep(root, tokens, pages, settled, upTo);
  for (let index = settled; index < upTo; index++) {
    if (index > 0 && keptAt(model, root, joined(tokens, index)) === undefined) break;
    const text = joined(tokens, index + 1);
    const entry = keptAt(model, root, text);
    if (entry === undefined) model.kept.push({ root, text, page: pages[index]!, lastUse: -1 });
    else if (entry.page === undefined) Object.assign(entry, { page: pages[index]!, lastUse: -1 });
  }
  sequence.settled = upTo;
}

function end({ random, pages, model }: History): void {
  const [sequence] = model.running.splice(random(model.running.length), 1) as [Sequence];
  giveBack({ pages, model }, sequence, sequence.pages.length);
}

/** Ends the use of the first pages. */
function giveBack({ pages, model }: Pick<History, 'pages' | 'model'>, sequence: Sequence, upTo: number): void {
  const given = sequence.pages.slice(0, upTo).filter((page) => page !== GONE);
  sequence.pages.fill(GONE, 0, upTo);
  pages.give(given);
  for (const entry of model.kept) {
    if (entry.page !== undefined && given.includes(entry.page) && users(model, entry.page) === 0) entry.lastUse = model.step;
  }
}

function evict({ pages, cache, model }: History): void {
  const out = nextOut(model);
  same([cache.oldest()], [out[0]?.lastUse]);
  same([cache.evict()], [out.length > 0]);
  const freed = model.kept.filter(({ page }) => page !== undefined && pages.holders(page) === 0);
  same([freed.length, ...freed.map((entry) => out.includes(entry))], out.length === 0 ? [0] : [1, true]);
  for (const entry of freed) lose(model, entry);
}

function forget({ random, cache, model }: History, sequence: Sequence): void {
  if (random(3) === 0) {
    cache.forgetText(sequence.root, sequence.tokens);
    const first = keptAt(model, sequence.root, joined(sequence.tokens, 1));
    return remove(model, (entry) => first !== undefined && (entry === first || follows(entry, first)));
  }
  const wrong = sequence.pages.slice(random(sequence.pages.length + 1));
  const tops = model.kept.filter(({ page }) => page !== undefined && wrong.includes(page));
  cache.forget(wrong);
  for (const top of tops) lose(model, top);
}

function act(history: History): void {
  const { random, cache, model } = history;
  const sequence = model.running[random(model.running.length)];
  const action = random(100);
  model.step += random(2);
  if (action < 30 || sequence === undefined) start(history);
  else if (action < 55) settle(history, sequence);
  else if (action < 62 && sequence.tokens.length < 8 * PAGE_TOKENS) {
    const full = Math.floor(sequence.tokens.length / PAGE_TOKENS);
    sequence.tokens.splice(full * PAGE_TOKENS, PAGE_TOKENS, ...textOf(random(2)));
    if (sequence.pages.length === full) compute(history, sequence, 1);
  } else if (action < 70 && model.window < Infinity) giveBack(history, sequence, random(sequence.settled + 1));
  else if (action < 86) end(history);
  else if (action < 96) evict(history);
  else if (action < 99) forget(history, sequence);
  else {
    cache.clear();
    remove(model, () => true);
  }
}

function check({ random, pages, cache, model }: History, total: number): void {
  const expected = new Array<number>(total).fill(0);
  for (const page of model.running.flatMap((sequence) => sequence.pages)) if (page !== GONE) expected[page]!++;
  const kept = model.kept.flatMap(({ page }) => page ?? []);
  const idle = kept.filter((page) => expected[page] === 0).length;
  for (const page of kept) expected[page]!++;
  const kv = expected.filter((count) => count > 0).length;
  const root = ROOTS[random(3)]!;
  const tokens = textOf(random(3), random(3), random(3));
  const found = beginning(model, root, tokens, 3).length;
  const holders = expected.map((_, page) => pages.holders(page));
  same([...holders, ...Object.values(pages.counts())], [...expected, ...Object.values({ total, kv, idle, adapters: 0 })]);
  same([cache.find(root, tokens, 3)], [found]);
}

test('agrees with plain lists over random histories', { timeout: 60_000 }, () => {
  for (let seed = 0; seed < 3000; seed++) {
    const random = createRandom(seed);
    const total = 4 + random(40);
    const pages = createPages(total);
    const window = random(2) === 0 ? Infinity : 1 + random(60);
    const model: Model = { kept: [], running: [], contents: new Map(), window, step: 0 };
    const history: History = { random, pages, cache: createPrefixCache(pages, () => model.step, window), model };
    for (let count = 0; count < 40; count++) {
      act(history);
      check(history, total);
    }
    while (model.running.length > 0) end(history);
    while (model.kept.length > 0) evict(history);
    check(history, total);
    expect(pages.take(total)).toHaveLength(total);
  }
});
