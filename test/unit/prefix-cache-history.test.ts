import { expect, test } from 'vitest';
import { createPages, type Pages } from '../../src/engine/pages.ts';
import { createPrefixCache, type PrefixCache } from '../../src/engine/prefix-cache.ts';
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
  readonly page: number;
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
  step: number;
}

const joined = (tokens: readonly number[], count: number): string => tokens.slice(0, count * PAGE_TOKENS).join();

const keptAt = (model: Model, root: string, text: string): Kept | undefined =>
  model.kept.find((entry) => entry.root === root && entry.text === text);

const follows = (later: Kept, earlier: Kept): boolean => later.root === earlier.root && later.text.startsWith(`${earlier.text},`);

const users = (model: Model, page: number): number => model.running.filter((sequence) => sequence.pages.includes(page)).length;

const isKept = (model: Model, page: number): boolean => model.kept.some((entry) => entry.page === page);

function beginning(model: Model, root: string, tokens: readonly number[], limit: number): number[] {
  const found: number[] = [];
  for (let count = 1; count <= Math.min(limit, Math.floor(tokens.length / PAGE_TOKENS)); count++) {
    const entry = keptAt(model, root, joined(tokens, count));
    if (entry === undefined) break;
    found.push(entry.page);
  }
  return found;
}

/** Those that may be evicted now: nobody runs on them, nothing follows; of these the ones used longest ago. */
function nextOut(model: Model): Kept[] {
  const leaves = model.kept.filter((entry) => users(model, entry.page) === 0 && !model.kept.some((other) => follows(other, entry)));
  const oldest = Math.min(...leaves.map((entry) => entry.lastUse));
  return leaves.filter((entry) => entry.lastUse === oldest);
}

function remove(model: Model, gone: (entry: Kept) => boolean): void {
  model.kept.splice(0, model.kept.length, ...model.kept.filter((entry) => !gone(entry)));
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
  const contents = found.map((_, index) => `${root}:${joined(tokens, index + 1)}`);
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
    if (keptAt(model, root, text) === undefined) model.kept.push({ root, text, page: pages[index]!, lastUse: -1 });
  }
  sequence.settled = upTo;
}

function end({ random, pages, model }: History): void {
  const [sequence] = model.running.splice(random(model.running.length), 1) as [Sequence];
  pages.give(sequence.pages);
  for (const entry of model.kept) {
    if (sequence.pages.includes(entry.page) && users(model, entry.page) === 0) entry.lastUse = model.step;
  }
}

function evict({ pages, cache, model }: History): void {
  const out = nextOut(model);
  same([cache.oldest()], [out[0]?.lastUse]);
  same([cache.evict()], [out.length > 0]);
  const freed = model.kept.filter((entry) => pages.holders(entry.page) === 0);
  same([freed.length, ...freed.map((entry) => out.includes(entry))], out.length === 0 ? [0] : [1, true]);
  remove(model, (entry) => freed.includes(entry));
}

function forget({ random, cache, model }: History, sequence: Sequence): void {
  const wrong = sequence.pages.slice(random(sequence.pages.length + 1));
  const tops = model.kept.filter((entry) => wrong.includes(entry.page));
  cache.forget(wrong);
  remove(model, (entry) => tops.includes(entry) || tops.some((top) => follows(entry, top)));
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
  } else if (action < 86) end(history);
  else if (action < 96) evict(history);
  else if (action < 99) forget(history, sequence);
  else {
    cache.clear();
    remove(model, () => true);
  }
}

function check({ random, pages, cache, model }: History, total: number): void {
  const expected = new Array<number>(total).fill(0);
  for (const page of model.running.flatMap((sequence) => sequence.pages)) expected[page]!++;
  const idle = model.kept.filter((entry) => expected[entry.page] === 0).length;
  for (const entry of model.kept) expected[entry.page]!++;
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
    const model: Model = { kept: [], running: [], contents: new Map(), step: 0 };
    const history: History = { random, pages, cache: createPrefixCache(pages, () => model.step), model };
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
