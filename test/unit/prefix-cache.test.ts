import { describe, expect, test, vi } from 'vitest';
import { createPages, type Pages } from '../../src/engine/pages.ts';
import { createPrefixCache, type PrefixCache } from '../../src/engine/prefix-cache.ts';
import { PAGE_TOKENS } from '../../src/kernels/step-layout.ts';
import { textOf } from './prefix-texts.ts';

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
