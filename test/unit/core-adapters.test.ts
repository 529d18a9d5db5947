import { describe, expect, test } from 'vitest';
import { PATIENCE_MS } from '../../src/engine/admission.ts';
import type { Sequence } from '../../src/engine/sequence.ts';
import { createSmall, facts, one, type Small, type SmallOptions } from './core-small.ts';

const phases = (...sequences: readonly Sequence[]): string[] => sequences.map(({ phase }) => phase);

/** An engine whose adapters have so many pages. */
function withAdapters(sizes: Readonly<Record<string, number>>, options: SmallOptions = {}): Small {
  const small = createSmall(options);
  for (const [adapter, pages] of Object.entries(sizes)) small.read(adapter, pages);
  return small;
}

function runAll(small: Small): void {
  for (let step = 0; small.core.scheduler.counts().waiting + small.core.scheduler.counts().running > 0; step++) {
    if (step > 1000) throw new Error('It never ends');
    small.run();
  }
}

describe('adapters on their way', () => {
  test('are read in the order of the queue, eight at once, and the others run meanwhile', () => {
    const small = createSmall();
    const names = Array.from({ length: 10 }, (_, i) => `a${i}`);
    const waiting = names.map((name) => small.add(1, 1, one(name)));
    const base = small.add(1, 1);
    const { traffic, scheduler } = small.core;
    const fromOrigin = (contents: readonly string[]) => contents.map((content) => ({ content, from: 'origin' }));
    expect(traffic.turn(0)).toEqual({ write: [], read: fromOrigin(names.slice(0, 8)) });
    expect(traffic.turn(0).read).toEqual([]);
    expect(scheduler.schedule(0, 1).work).toMatchObject([{ sequence: base }]);
    traffic.arrived('a3', facts('x', 2), 'origin');
    traffic.failed('a0');
    scheduler.finish(waiting[0]!);
    expect(traffic.turn(0)).toMatchObject({ write: [{ content: 'x', placement: { pages: 2 } }], read: fromOrigin(['a8', 'a9']) });
    expect(scheduler.schedule(0, 1).work).toEqual([]); // it is not written yet
    traffic.written('x');
    expect(scheduler.schedule(0, 1).work).toMatchObject([{ sequence: waiting[3] }]);
    expect([small.core.inUse('x'), small.core.inUse('a4')]).toEqual([true, false]);
  });

  test('are read again where they were forgotten or failed, as long as somebody waits', () => {
    const small = createSmall();
    const { traffic } = small.core;
    const sequence = small.add(1, 1, one('a'));
    const read = [{ content: 'a', from: 'origin' }];
    expect(traffic.turn(0).read).toEqual(read);
    traffic.failed('a');
    expect(traffic.turn(0).read).toEqual(read);
    traffic.forget('a');
    expect(traffic.turn(0).read).toEqual(read);
    small.core.scheduler.finish(sequence);
    traffic.failed('a');
    expect(traffic.turn(0).read).toEqual([]);
  });
});

describe('room for adapters', () => {
  test('is made by what nobody waits for, whichever was not used for longer: a beginning or an adapter', () => {
    const small = withAdapters({ old: 2, young: 2, new: 2, newer: 2 }, { pages: 6 });
    const serve = (prompt: number, adapter?: string): void => {
      small.add(prompt, 1, adapter === undefined ? {} : one(adapter));
      runAll(small);
    };
    serve(1, 'old');
    serve(20);
    serve(1, 'young');
    const { pages, cache } = small.core;
    expect([[...cache.keys()], pages.counts().idle]).toEqual([['old', 'young'], 1]);
    serve(1, 'new');
    expect([[...cache.keys()], pages.counts().idle, small.evicted]).toEqual([['young', 'new'], 1, ['old']]);
    serve(33);
    expect([[...cache.keys()], pages.counts().idle, small.evicted]).toEqual([['new'], 2, ['old', 'young']]);
    serve(1, 'newer');
    expect([[...cache.keys()], pages.counts().idle]).toEqual([['newer'], 2]);
  });

  test('is made by the adapter whose last row lies furthest back, not by the one that came first', () => {
    const small = withAdapters({ long: 2, short: 2, new: 2 }, { slots: 3 });
    small.add(1, 10, one('long'));
    small.run();
    small.add(1, 2, one('short'));
    runAll(small);
    small.add(1, 1, one('new'));
    runAll(small);
    expect(small.evicted).toEqual(['short']);
  });

  test('is left for the rows of who runs: a page each', () => {
    const small = withAdapters({ a: 2 }, { pages: 6 });
    const running = [small.add(1, 40), small.add(1, 40)];
    small.run();
    const waits = small.add(1, 1, one('a'));
    small.step();
    expect([small.core.cache.has('a'), waits.phase]).toEqual([true, 'waiting']); // 2 free pages are for the two who run
    expect(running[0]!.pages.length + running[1]!.pages.length).toBe(2);
    const crowded = withAdapters({ a: 2 }, { pages: 5 });
    crowded.add(1, 40);
    crowded.add(1, 40);
    crowded.run();
    crowded.add(1, 1, one('a'));
    crowded.step();
    expect(crowded.core.cache.has('a')).toBe(false);
  });

  test('is not made by what is needed sooner, nor by who runs', () => {
    const small = withAdapters({ a: 3, b: 3, c: 3 }, { pages: 8, sequences: 1 });
    const [first, second, third] = [small.add(1, 20, one('a')), small.add(1, 1, one('b')), small.add(1, 1, one('c'))];
    small.run();
    small.run(); // the next one's is placed as soon as it is the next
    expect([phases(first, second, third), [...small.core.cache.keys()]]).toEqual([
      ['running', 'waiting', 'waiting'],
      ['a', 'b'],
    ]);
    for (let i = 0; i < 5; i++) small.run();
    expect(small.counts()).toEqual({ loads: 2, evictions: 0 });
    runAll(small);
    expect(small.counts()).toEqual({ loads: 3, evictions: 1 });
  });

  test('who waits for it is passed, but not once it has waited long', () => {
    const small = withAdapters({ a: 4 }, { pages: 5 });
    const first = small.add(16, 30);
    small.run();
    const waits = small.add(1, 1, one('a'));
    small.now = 1;
    const passing = small.add(1, 30);
    small.run();
    expect(phases(first, waits, passing)).toEqual(['running', 'waiting', 'running']);
    small.now = PATIENCE_MS;
    const behind = small.add(1, 1);
    small.run();
    expect(phases(waits, behind)).toEqual(['waiting', 'waiting']);
    for (let i = 0; i < 60 && waits.phase === 'waiting'; i++) small.run();
    expect(phases(first, passing, waits)).toEqual(['finished', 'finished', 'finished']);
  });

  test('what is placed by hand takes it from all but who runs, and from what is pinned', () => {
    const small = withAdapters({ used: 2, idle: 2, pinned: 2 }, { pages: 9 });
    const { traffic, cache } = small.core;
    cache.pin('pinned');
    for (const adapter of ['pinned', 'used', 'idle']) {
      small.add(1, adapter === 'used' ? 20 : 1, one(adapter));
      small.run();
    }
    traffic.arrived('hand', facts('hand', 3), 'origin');
    expect(traffic.place('hand')).toMatchObject({ pages: 3 });
    expect(traffic.place('hand')).toBe(cache.get('hand'));
    expect([...cache.keys()]).toEqual(['pinned', 'used', 'hand']);
    traffic.arrived('large', facts('large', 5), 'origin');
    expect(traffic.place('large')).toBeUndefined();
    traffic.evict('hand');
    expect(small.evicted).toEqual(['idle', 'hand']);
  });
});

describe('distinct adapters of a step', () => {
  test('have a limit, which the base and those that run do not count against', () => {
    const small = withAdapters({ a: 1, b: 1, c: 1 }, { adapters: 2 });
    const [a, b, c, again, base] = [one('a'), one('b'), one('c'), one('a'), {}].map((parts) => small.add(1, 3, parts));
    small.run();
    expect(phases(a!, b!, c!, again!, base!)).toEqual(['running', 'running', 'waiting', 'running', 'running']);
    small.now = PATIENCE_MS;
    const late = small.add(1, 3, one('a'));
    small.run();
    expect(phases(c!, late)).toEqual(['waiting', 'waiting']);
    small.run();
    small.run();
    expect(c!.phase).toBe('running');
  });

  test('a blend of more runs alone, beside the base', () => {
    const small = withAdapters({ a: 1, b: 1 }, { adapters: 1 });
    const blend = small.add(1, 4, one('a', 'b'));
    small.run();
    const [base, part] = [small.add(1, 1), small.add(1, 1, one('a'))];
    small.step();
    expect(phases(blend, base, part)).toEqual(['running', 'running', 'waiting']);
    small.commit();
    runAll(small);
    expect(part.phase).toBe('finished');
  });
});

describe('what can never run is told so, and keeps nobody waiting', () => {
  const blocked = (small: Small, adapters: readonly string[]): void => {
    const sequence = small.add(1, 1, one(...adapters));
    small.now = PATIENCE_MS;
    const other = small.add(1, 1);
    const unfit = Array.from({ length: 20 }, () => small.run().unfit).flat();
    expect(unfit).toEqual([sequence]);
    expect(phases(sequence, other)).toEqual(['finished', 'finished']);
  };

  test('an adapter that is larger than the pool, or leaves nothing beside it', () => {
    blocked(withAdapters({ a: 9 }, { pages: 8 }), ['a']);
    blocked(withAdapters({ a: 8 }, { pages: 8 }), ['a']);
  });

  test('a blend that is larger than the pool, or has more adapters than there are slots', () => {
    blocked(withAdapters({ a: 4, b: 5 }, { pages: 8 }), ['a', 'b']);
    blocked(withAdapters({ a: 1, b: 1, c: 1 }, { slots: 3 }), ['a', 'b', 'c']);
  });

  test('one that does not fit beside what is pinned, by its pages or in one piece', () => {
    const small = withAdapters({ below: 3, pinned: 2, a: 4 }, { pages: 8 });
    for (const adapter of ['below', 'pinned']) small.add(1, 1, one(adapter));
    runAll(small);
    small.core.cache.pin('pinned');
    expect(small.core.cache.get('pinned')).toMatchObject({ firstPage: 3 });
    blocked(small, ['a']);
    small.core.cache.unpin('pinned');
    const fits = small.add(1, 1, one('a'));
    runAll(small);
    expect(fits.generated).toEqual([1000]);
  });

  test('but a blend that fits once its own adapters lie otherwise is given room', () => {
    const small = withAdapters({ above: 2, a: 2, b: 4 }, { pages: 7 });
    for (const adapter of ['above', 'a']) small.add(1, 1, one(adapter));
    runAll(small);
    expect(small.core.cache.get('a')).toMatchObject({ firstPage: 3 });
    small.core.traffic.forget('above');
    const blend = small.add(1, 1, one('a', 'b'));
    runAll(small);
    expect([blend.generated, small.evicted]).toEqual([[1000], ['above', 'a']]);
  });

  test('and what was placed meanwhile is written, pinned or not', () => {
    const small = withAdapters({}, { pages: 8 });
    const { traffic, cache } = small.core;
    small.add(1, 1, one('large'));
    small.add(1, 1, one('pinned'));
    for (const [adapter, pages] of [
      ['large', 9],
      ['pinned', 2],
    ] as const)
      traffic.arrived(adapter, facts(adapter, pages), 'origin');
    cache.pin('pinned');
    expect(traffic.turn(0).write).toEqual([{ content: 'pinned', placement: cache.get('pinned') }]);
  });

  test('and one of several in a blend may still run alone', () => {
    const small = withAdapters({ a: 4, b: 5 }, { pages: 8 });
    const [blend, alone] = [small.add(1, 1, one('a', 'b')), small.add(1, 1, one('b'))];
    runAll(small);
    expect([blend.generated, alone.generated]).toEqual([[], [1000]]);
  });
});
