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
    expect(pages.counts()).toEqual({ total: 70, kv: 4, idle: 0, adapters: 0 });
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
    expect(pages.counts()).toEqual({ total: 100, kv: 0, idle: 0, adapters: 94 });
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
    expect(pages.counts()).toEqual({ total: 40, kv: 2, idle: 0, adapters: 4 });
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
        expect(pages.counts()).toEqual({ total, kv: count('kv'), idle: 0, adapters: count('adapter') });
      }
    }
  });

  test('a page is free when its last holder is gone', () => {
    const pages = createPages(10);
    const idle: number[] = [];
    pages.whenIdle((page) => idle.push(page));
    const [first, second, third] = pages.take(3) as [number, number, number];
    pages.hold([first, second]);
    pages.keep(second);
    expect([first, second, third, 3, 10, -1].map(pages.holders)).toEqual([2, 3, 1, 0, 0, 0]);
    pages.give([first, second, third]);
    expect(pages.take(1)).toEqual([third]);
    pages.give([second, first]);
    expect(idle).toEqual([second]);
    expect(pages.counts()).toEqual({ total: 10, kv: 2, idle: 1, adapters: 0 });
    pages.hold([second]);
    expect(pages.counts().idle).toBe(0);
    pages.drop(second);
    pages.give([second]);
    expect(idle).toEqual([second]);
    expect(pages.counts()).toEqual({ total: 10, kv: 1, idle: 0, adapters: 0 });
  });

  test('refuses holders that are none, without changing anything', () => {
    const pages = createPages(10);
    const [held, kept] = pages.take(2) as [number, number];
    const run = pages.takeRun(2)!;
    pages.keep(kept);
    pages.give([kept]);
    const wrong = [
      () => pages.give([held, kept]), // only the cache holds it
      () => pages.hold([held, 5]),
      () => pages.hold([held, held]),
      () => pages.hold([run]),
      () => pages.keep(kept),
      () => pages.keep(5),
      () => pages.keep(run),
      () => pages.drop(held),
      () => pages.drop(5),
      () => pages.drop(10),
    ];
    for (const act of wrong) expect(act).toThrow(RangeError);
    expect([held, kept, 5].map(pages.holders)).toEqual([1, 1, 0]);
    expect(pages.counts()).toEqual({ total: 10, kv: 2, idle: 1, adapters: 2 });
    pages.drop(kept);
    expect(() => pages.drop(kept)).toThrow(RangeError);
    expect(pages.take(2)).toEqual([1, 2]);
  });

  test('agrees with plain counts of holders over random histories', () => {
    for (let seed = 0; seed < 300; seed++) {
      const random = createRandom(seed);
      const total = 1 + random(40);
      const pages = createPages(total);
      const callers = new Array<number>(total).fill(0);
      const kept = new Array<boolean>(total).fill(false);
      const heard: number[] = [];
      pages.whenIdle((page) => heard.push(page));
      for (let step = 0; step < 80; step++) {
        const action = random(5);
        const chosen = [...callers.keys()].filter(() => random(4) === 0);
        const taken = (page: number): boolean => callers[page]! > 0 || kept[page]!;
        const idle: number[] = [];
        if (action === 0) {
          const free = [...callers.keys()].filter((page) => !taken(page));
          const count = random(8);
          expect(pages.take(count)).toEqual(free.length < count ? undefined : free.slice(0, count));
          if (free.length >= count) for (const page of free.slice(0, count)) callers[page] = 1;
        } else if (action === 1) {
          const held = chosen.filter(taken);
          pages.hold(held);
          for (const page of held) callers[page]!++;
        } else if (action === 2) {
          const given = chosen.filter((page) => callers[page]! > 0);
          pages.give(given);
          for (const page of given) if (--callers[page]! === 0 && kept[page]!) idle.push(page);
        } else {
          for (const page of chosen.filter((page) => (action === 3 ? taken(page) && !kept[page] : kept[page]))) {
            if (action === 3) pages.keep(page);
            else pages.drop(page);
            kept[page] = action === 3;
          }
        }
        expect(heard.splice(0)).toEqual(idle);
        expect(callers.map((_, page) => pages.holders(page))).toEqual(callers.map((count, page) => count + Number(kept[page])));
        const count = (is: (page: number) => boolean): number => [...callers.keys()].filter(is).length;
        const idleCount = count((page) => kept[page]! && callers[page] === 0);
        expect(pages.counts()).toEqual({ total, kv: count(taken), idle: idleCount, adapters: 0 });
      }
    }
  });
});
