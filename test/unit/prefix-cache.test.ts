import { describe, expect, test, vi } from 'vitest';
import { createPages, type Pages } from '../../src/engine/pages.ts';
import { createPrefixCache, type PrefixCache } from '../../src/engine/prefix-cache.ts';
import { PAGE_TOKENS } from '../../src/kernels/step-layout.ts';

function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Tokens of whole pages, each named by a number: pages of different numbers differ in a single token, and in no joined digits. */
function textOf(...names: readonly number[]): number[] {
  return names.flatMap((name) => {
    const tokens = new Array<number>(PAGE_TOKENS).fill(1);
    tokens[(name * 5) % PAGE_TOKENS] = name % 2 === 0 ? 11 : 111;
    return tokens;
  });
}

interface Setup {
  readonly pages: Pages;
  readonly cache: PrefixCache;
  /** Runs a text as a request does: what is kept is taken, the rest computed and kept, everything given back at its end. */
  run(root: string, tokens: readonly number[]): number[];
  step: number;
}

function setup(total: number): Setup {
  const pages = createPages(total);
  const self: Setup = {
    pages,
    cache: createPrefixCache(pages, () => self.step),
    run(root, tokens) {
      const count = tokens.length / PAGE_TOKENS;
      const found = self.cache.take(root, tokens, count);
      const held = [...found, ...pages.take(count - found.length)!];
      self.cache.keep(root, tokens, held, found.length, count);
      pages.give(held);
      return held;
    },
    step: 0,
  };
  return self;
}

describe('prefix cache', () => {
  test('finds the longest kept beginning, in whole pages, below the limit', () => {
    const { cache, pages, run } = setup(10);
    const held = run('base', textOf(0, 1, 2));
    expect(cache.find('base', textOf(0, 1, 2), 3)).toBe(3);
    expect(cache.find('base', textOf(0, 1, 2).slice(0, -1), 3)).toBe(2);
    expect(cache.find('base', textOf(0, 1, 3), 3)).toBe(2);
    expect(cache.find('base', textOf(1, 2), 2)).toBe(0);
    expect(cache.take('base', textOf(0, 1, 2, 3), 4)).toEqual(held);
    expect(pages.counts()).toEqual({ total: 10, kv: 3, idle: 0, adapters: 0 });
    expect(cache.take('base', textOf(0, 1, 2), 1)).toEqual([held[0]]);
    expect(cache.take('base', textOf(0, 1, 2), 0)).toEqual([]);
    expect(held.map(pages.holders)).toEqual([3, 2, 2]);
  });

  test('compares roots and tokens exactly', () => {
    const { cache, run } = setup(10);
    const tokens = textOf(0);
    run('a', tokens);
    expect(['a ', 'A', '', 'b'].map((root) => cache.find(root, tokens, 1))).toEqual([0, 0, 0, 0]);
    expect(cache.find('a', [1, 111, ...tokens.slice(2)], 1)).toBe(0);
    expect(cache.find('a', [111, ...tokens.slice(1)], 1)).toBe(0);
    expect(cache.find('a', [11, ...tokens.slice(1)], 1)).toBe(1);
    for (const at of tokens.keys())
      expect(
        cache.find(
          'a',
          tokens.map((token, index) => (index === at ? 2 : token)),
          1,
        ),
      ).toBe(0);
  });

  test('evicts what was used longest ago, followers before what they follow, and nothing that runs', () => {
    const setting = setup(10);
    const { cache, pages, run } = setting;
    setting.step = 1;
    const [shared, oldest] = run('r', textOf(0, 1)) as [number, number];
    setting.step = 2;
    const other = run('r', textOf(5))[0]!;
    setting.step = 3;
    const younger = run('r', textOf(0, 2))[1]!;
    setting.step = 4;
    const taken = cache.take('r', textOf(5), 1);
    expect(cache.oldest()).toBe(1);
    const left = (): number[] => [shared, oldest, other, younger].filter((page) => pages.holders(page) > 0);
    expect(cache.evict()).toBe(true);
    expect(left()).toEqual([shared, other, younger]);
    expect(cache.oldest()).toBe(3);
    setting.step = 5;
    pages.give(taken); // in use until now, so younger than the others
    expect([cache.evict(), left(), cache.evict(), left(), cache.oldest(), cache.evict(), left()]).toEqual([
      true,
      [shared, other],
      true,
      [other],
      5,
      true,
      [],
    ]);
    expect([cache.oldest(), cache.evict()]).toEqual([undefined, false]);
    expect(pages.counts().kv).toBe(0);
  });

  test('what is kept already stays, and the page of who computed it again remains its own', () => {
    const { cache, pages, run } = setup(10);
    const [kept] = run('r', textOf(0)) as [number];
    const own = pages.take(2)!;
    cache.keep('r', textOf(0, 1), own, 0, 2);
    expect(cache.take('r', textOf(0, 1), 2)).toEqual([kept, own[1]]);
    pages.give([kept, own[1]!]);
    expect(cache.evict()).toBe(false); // the one is followed, the other in use
    pages.give(own);
    expect(pages.holders(own[0]!)).toBe(0);
    expect(pages.counts()).toEqual({ total: 10, kv: 2, idle: 2, adapters: 0 });
    expect([cache.evict(), cache.evict(), cache.evict()]).toEqual([true, true, false]);
  });

  test('keeps nothing beyond a gap', () => {
    const { cache, pages, run } = setup(10);
    run('r', textOf(0));
    const own = pages.take(3)!;
    const tokens = textOf(0, 1, 2);
    cache.keep('r', tokens, own, 0, 2); // its first page remains its own
    cache.keep('s', tokens, own, 2, 3);
    cache.keep('r', textOf(0, 0, 1, 2), [own[2]!, own[2]!, own[1]!, own[2]!], 3, 4); // another beginning than that of `own[1]`
    cache.keep('r', textOf(0, 4, 2), own, 2, 3);
    expect(pages.holders(own[2]!)).toBe(1);
    cache.forget([own[1]!]);
    cache.keep('r', tokens, own, 2, 3);
    expect([cache.find('r', tokens, 3), cache.find('s', tokens, 3)]).toEqual([1, 0]);
    pages.give(own);
    expect(pages.counts().kv).toBe(1);
    for (const [from, upTo] of [
      [0, 4],
      [-1, 1],
      [0, 0.5],
      [0, 2],
    ] as const) {
      expect(() => cache.keep('r', tokens.slice(0, 40), own, from, upTo === 2 ? 3 : upTo)).toThrow(RangeError);
    }
    expect(() => cache.keep('t', tokens, own, 0, 1)).toThrow(RangeError); // no longer taken
    expect(cache.find('t', tokens, 3)).toBe(0);
  });

  test('forgets a page with what follows it; who runs on them keeps them', () => {
    const { cache, pages, run } = setup(10);
    const held = run('r', textOf(0, 1, 2));
    const branch = run('r', textOf(0, 1, 3))[2]!;
    run('r', textOf(0, 4));
    const runner = cache.take('r', textOf(0, 1, 2), 3);
    cache.forget([held[1]!, held[2]!, 9]);
    expect([textOf(0, 1, 2), textOf(0, 1, 3), textOf(0, 4)].map((tokens) => cache.find('r', tokens, 9))).toEqual([1, 1, 2]);
    expect([...held, branch].map(pages.holders)).toEqual([2, 1, 1, 0]);
    pages.give(runner);
    expect(pages.counts()).toEqual({ total: 10, kv: 2, idle: 2, adapters: 0 });
    cache.clear();
    expect(pages.counts()).toEqual({ total: 10, kv: 0, idle: 0, adapters: 0 });
  });

  test('texts that came and went leave no trace', () => {
    const made: Map<unknown, unknown>[] = [];
    vi.stubGlobal(
      'Map',
      class<Key, Value> extends Map<Key, Value> {
        constructor() {
          super();
          made.push(this);
        }
      },
    );
    const { cache, pages, run } = setup(4);
    vi.unstubAllGlobals();
    for (let user = 0; user < 1000; user++) {
      const held = run(`salt ${user}`, textOf(user, 1, 2));
      if (user % 3 === 0) cache.forget([held[0]!]);
      else if (user % 3 === 1) cache.clear();
      else while (cache.evict());
      cache.find(`other salt ${user}`, textOf(user), 1);
      cache.keep(`third salt ${user}`, textOf(1), [], 0, 0);
    }
    expect(made.length).toBeGreaterThan(0);
    expect(made.map((map) => map.size)).toEqual(made.map(() => 0));
    expect(pages.counts().kv).toBe(0);
  });

  test('a very long beginning, and very many followers, come and go', { timeout: 60_000 }, () => {
    const total = 130_000;
    const { cache, pages, run } = setup(total);
    const long = new Array<number>(total * PAGE_TOKENS).fill(7);
    cache.forget(run('r', long));
    expect(pages.counts().kv).toBe(0);
    const first = run('r', textOf(0))[0]!;
    for (let name = 2; name < total; name++) run('r', [...textOf(0), ...new Array<number>(PAGE_TOKENS).fill(name)]);
    cache.forget([first]);
    expect(pages.counts().kv).toBe(0);
  });

  test('looks at few pages for each that it frees, however many are in use', () => {
    const pages = createPages(3000);
    const holders = vi.fn<(page: number) => number>(pages.holders);
    const cache = createPrefixCache({ ...pages, holders }, () => 0);
    const texts = Array.from({ length: 1000 }, (_, user) => new Array<number>(3 * PAGE_TOKENS).fill(user));
    const held = texts.map((text) => {
      const own = pages.take(3)!;
      cache.keep('r', text, own, 0, 3);
      return own;
    });
    held.forEach((own) => pages.give(own));
    for (const text of texts.slice(0, 500)) cache.take('r', text, 3); // the oldest run again
    let freed = 0;
    while (cache.evict()) freed++;
    expect(freed).toBe(1500);
    expect(holders.mock.calls.length).toBeLessThan(3 * 3000);
  });
});

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
