import { describe, expect, test } from 'vitest';
import { createPages } from '../../src/engine/pages.ts';

function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('pages', () => {
  test('takes the lowest free pages, all or nothing', () => {
    const pages = createPages(70);
    expect(pages.take(3)).toEqual([0, 1, 2]);
    pages.give([1]);
    expect(pages.take(2)).toEqual([1, 3]);
    expect(pages.take(67)).toBeUndefined();
    expect(pages.counts()).toEqual({ total: 70, kv: 4, adapters: 0 });
    expect(pages.take(66)).toEqual(Array.from({ length: 66 }, (_, index) => index + 4));
    expect(pages.take(0)).toEqual([]);
    expect(pages.take(1)).toBeUndefined();
  });

  test('takes the highest run that fits', () => {
    const pages = createPages(100);
    expect(pages.takeRun(10)).toBe(90);
    expect(pages.takeRun(40)).toBe(50);
    expect(pages.takeRun(5)).toBe(45);
    pages.giveRun(50, 40);
    expect(pages.takeRun(41)).toBe(4);
    expect(pages.takeRun(38)).toBe(52);
    expect(pages.counts()).toEqual({ total: 100, kv: 0, adapters: 94 });
    expect(pages.takeRun(5)).toBeUndefined();
    expect(pages.take(6)).toEqual([0, 1, 2, 3, 50, 51]);
  });

  test('refuses what is not taken, without freeing anything', () => {
    const pages = createPages(40);
    const [first, second] = pages.take(2) as [number, number];
    const run = pages.takeRun(4)!;
    const wrong = [() => pages.give([first, 5]), () => pages.give([first, first]), () => pages.give([run]), () => pages.give([-1])];
    wrong.push(
      () => pages.give([40]),
      () => pages.give([0.5]),
      () => pages.giveRun(run, 3),
      () => pages.giveRun(run + 1, 3),
    );
    wrong.push(
      () => pages.giveRun(first, 1),
      () => pages.takeRun(0),
      () => pages.take(-1),
      () => pages.take(Number.NaN),
    );
    for (const act of wrong) expect(act).toThrow(RangeError);
    expect(pages.counts()).toEqual({ total: 40, kv: 2, adapters: 4 });
    pages.give([second, first]);
    pages.giveRun(run, 4);
    expect(() => pages.give([first])).toThrow(RangeError);
    expect(() => pages.giveRun(run, 4)).toThrow(RangeError);
    expect(pages.take(40)).toHaveLength(40);
  });

  test('agrees with a plain list over random histories', () => {
    for (let seed = 0; seed < 300; seed++) {
      const random = createRandom(seed);
      const total = 1 + random(100);
      const pages = createPages(total);
      const owner = new Array<'free' | 'kv' | 'adapter'>(total).fill('free');
      const held: number[][] = [];
      const runs: [number, number][] = [];
      for (let step = 0; step < 60; step++) {
        const action = random(4);
        if (action === 0) {
          const count = random(Math.min(total, 12) + 1);
          const free = [...owner.keys()].filter((page) => owner[page] === 'free');
          const taken = pages.take(count);
          expect(taken).toEqual(free.length < count ? undefined : free.slice(0, count));
          for (const page of taken ?? []) owner[page] = 'kv';
          if (taken !== undefined) held.push(taken);
        } else if (action === 1) {
          const count = 1 + random(40);
          let expected: number | undefined;
          for (let at = total - count; at >= 0 && expected === undefined; at--) {
            if (owner.slice(at, at + count).every((state) => state === 'free')) expected = at;
          }
          expect(pages.takeRun(count)).toBe(expected);
          if (expected !== undefined) {
            owner.fill('adapter', expected, expected + count);
            runs.push([expected, count]);
          }
        } else if (action === 2 && held.length > 0) {
          const [given] = held.splice(random(held.length), 1) as [number[]];
          pages.give(given);
          for (const page of given) owner[page] = 'free';
        } else if (action === 3 && runs.length > 0) {
          const [[at, count]] = runs.splice(random(runs.length), 1) as [[number, number]];
          pages.giveRun(at, count);
          owner.fill('free', at, at + count);
        }
        const count = (state: string): number => owner.filter((other) => other === state).length;
        expect(pages.counts()).toEqual({ total, kv: count('kv'), adapters: count('adapter') });
      }
    }
  });
});
