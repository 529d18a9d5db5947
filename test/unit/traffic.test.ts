import { describe, expect, test } from 'vitest';
import type { Sequence } from '../../src/engine/sequence.ts';
import { createSmall, facts, one, type Small } from './core-small.ts';
import { check, createRandom } from './core-random.ts';

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `a${i}`);

/** An engine in which each of these adapters, of two pages and bytes, is asked for, and known though its bytes are nowhere. */
function waiting(adapters: readonly string[], heapBytes: number): Small {
  const small = createSmall({ heapBytes });
  for (const adapter of adapters) {
    small.core.traffic.learn(adapter, facts(adapter, 2));
    small.add(1, 1, one(adapter));
  }
  return small;
}

const begun = ({ core }: Small): string[] => core.traffic.turn(0).read.map(({ content }) => content);

describe('reads begin', () => {
  test('as far as memory holds what they bring, but one at least', () => {
    expect(begun(waiting(names(10), 100))).toEqual(names(8));
    expect(begun(waiting(names(10), 7))).toEqual(names(3));
    expect(begun(waiting(names(10), 1))).toEqual(names(1));
    expect(begun(waiting(names(10), 0))).toEqual(names(1));
  });

  test('and what is there, or on its way, for those before them counts', () => {
    const small = waiting(names(10), 5);
    expect(begun(small)).toEqual(['a0', 'a1']);
    expect(begun(small)).toEqual([]);
    small.core.traffic.arrived('a1', facts('a1', 2), 'origin');
    expect(begun(small)).toEqual([]); // a1 is being written
    small.core.traffic.written('a1');
    expect(begun(small)).toEqual(['a2']);
    small.core.traffic.failed('a0');
    expect(begun(small)).toEqual(['a0']);
  });

  test('beside one that is slow, after five seconds', () => {
    const small = waiting(names(10), 100);
    const { traffic } = small.core;
    expect(traffic.turn(0).read).toHaveLength(8);
    expect(traffic.turn(4999).read).toEqual([]);
    expect(traffic.turn(5000).read).toHaveLength(2);
  });

  test('on disk where it lies there, and at its origin where it was driven out', () => {
    const small = createSmall({ heapBytes: 2, diskBytes: 4 });
    for (const adapter of names(3)) small.read(adapter, 2);
    const runs = (adapter: string): unknown => {
      small.add(1, 1, one(adapter));
      const { read } = small.core.traffic.turn(0);
      for (const { content, from } of read) small.core.traffic.arrived(adapter, facts(content, 2), from);
      for (let i = 0; i < 2; i++) small.run();
      for (const content of [...small.core.cache.keys()]) small.core.traffic.evict(content);
      return read[0]?.from;
    };
    expect(['a0', 'a1', 'a0', 'a2', 'a0', 'a1'].map(runs)).toEqual(['origin', 'origin', 'disk', 'origin', 'disk', 'origin']);
  });
});

describe('adapters of one digest', () => {
  test('are read once where that is known, and placed once where it turns out', () => {
    const known = createSmall();
    for (const adapter of ['a', 'b']) known.core.traffic.learn(adapter, facts('D', 2));
    const unknown = createSmall();
    for (const small of [known, unknown]) {
      for (const adapter of ['a', 'b']) {
        small.read(adapter, 2, 'D');
        small.add(1, 1, one(adapter));
      }
    }
    expect([begun(known), begun(unknown)]).toEqual([['D'], ['a', 'b']]);
    known.core.traffic.failed('D');
    for (const adapter of ['a', 'b']) unknown.core.traffic.failed(adapter);
    for (const small of [known, unknown]) {
      expect(small.run().work).toHaveLength(2);
      expect([small.counts().loads, [...small.core.cache.keys()]]).toEqual([1, ['D']]);
      expect(small.moves.filter(({ kind }) => kind === 'load')).toEqual([{ tier: 'heap', kind: 'load', content: 'D' }]);
    }
  });

  test('stay while one of them is there', () => {
    const small = createSmall();
    for (const adapter of ['a', 'b']) small.read(adapter, 2, 'D');
    for (const adapter of ['a', 'b']) small.add(1, 1, one(adapter));
    small.run();
    const { traffic, cache, lower } = small.core;
    traffic.forget('a');
    expect([cache.has('D'), lower.heap.has('D')]).toEqual([true, true]);
    traffic.forget('b');
    expect([cache.has('D'), lower.heap.has('D'), small.evicted]).toEqual([false, false, ['D']]);
  });

  test('part where the origin of one has changed', () => {
    const small = createSmall({ heapBytes: 0 });
    for (const adapter of ['a', 'b']) small.read(adapter, 2, 'D');
    for (const adapter of ['a', 'b']) small.add(1, 1, one(adapter));
    for (let i = 0; i < 3; i++) small.run();
    const { traffic, contents } = small.core;
    traffic.evict('D');
    small.read('a', 2, 'E');
    const waits = small.add(1, 1, one('a'));
    small.run();
    expect([contents.of('a'), contents.of('b'), waits.generated, waits.blend[0]?.adapter]).toEqual(['E', 'D', [1000], 'a']);
    expect(traffic.digest('a')).toBe('E');
  });
});

describe('while it is being written to the GPU', () => {
  const placed = (options: Parameters<typeof createSmall>[0]) => {
    const small = createSmall(options);
    small.read('new', 4);
    small.core.traffic.learn('upload', facts('upload', 4));
    small.core.traffic.arrived('upload', facts('upload', 4), 'origin');
    expect(small.core.traffic.place('upload')).toBeDefined();
    return small;
  };

  test('an adapter makes room for nobody, on the GPU or in memory, and nobody is told that it never fits', () => {
    const small = placed({ pages: 7, heapBytes: 0 });
    const waits = small.add(1, 1, one('new'));
    for (let i = 0; i < 3; i++) {
      expect(small.run()).toMatchObject({ work: [], unfit: [] });
      expect([small.evicted, small.core.lower.heap.has('upload')]).toEqual([[], true]);
    }
    small.core.traffic.written('upload');
    for (let i = 0; i < 2; i++) small.run();
    expect([waits.generated, small.evicted]).toEqual([[1000], ['upload']]);
  });

  test('which nobody was told of yet it makes room: what was placed behind a blend that lacks pages side by side', () => {
    const small = createSmall({ pages: 7 });
    for (const [adapter, pages] of Object.entries({ above: 2, a: 2, b: 4, c: 2 })) {
      small.read(adapter, pages);
      small.core.traffic.arrived(adapter, facts(adapter, pages), 'origin');
      if (adapter === 'above' || adapter === 'a') small.core.traffic.place(adapter);
      small.core.traffic.written(adapter);
    }
    small.core.traffic.forget('above');
    const [blend, behind] = [small.add(1, 1, one('a', 'b')), small.add(1, 1, one('c'))];
    expect(small.core.traffic.turn(0).write.map(({ content }) => content)).toEqual(['b', 'a']);
    for (const content of ['a', 'b']) small.core.traffic.written(content);
    for (let i = 0; i < 3; i++) small.run();
    expect([blend.generated, behind.generated]).toEqual([[1000], [1000]]);
  });

  test('who runs waits for its pages', () => {
    const small = placed({ pages: 5 });
    const runs = small.add(14, 9);
    for (let i = 0; i < 8; i++) expect(small.run().unfit).toEqual([]);
    expect(runs.generated).toHaveLength(3);
    small.core.traffic.written('upload');
    for (let i = 0; i < 8; i++) small.run();
    expect([runs.phase, runs.generated.length, small.evicted]).toEqual(['finished', 9, ['upload']]);
  });
});

describe('a blend that memory cannot hold at once', () => {
  /** A pool in which 5, 3 and 3 pages are free between two that are pinned. */
  const inPieces = (): Small => {
    const small = createSmall({ pages: 13, heapBytes: 4 });
    const pieces = { f1: 5, p1: 1, f2: 3, p2: 1 };
    for (const [adapter, pages] of Object.entries(pieces)) {
      small.core.traffic.arrived(adapter, facts(adapter, pages), 'origin');
      small.core.traffic.place(adapter);
      small.core.traffic.written(adapter);
    }
    for (const adapter of ['p1', 'p2']) small.core.cache.pin(adapter);
    for (const adapter of ['f1', 'f2']) small.core.traffic.forget(adapter);
    return small;
  };

  test.each([
    [4, 3, 'runs where both have a place'],
    [4, 4, 'is told that it never fits where each has, and not both'],
  ])('%i and %i pages: it %s', (a, b) => {
    const small = inPieces();
    small.read('a', a);
    small.read('b', b);
    const blend = small.add(1, 1, one('a', 'b'));
    for (let i = 0; i < 20 && blend.phase !== 'finished'; i++) small.run();
    expect([blend.phase, blend.generated]).toEqual(['finished', b === 4 ? [] : [1000]]);
  });
});

test('an adapter may be forgotten while somebody waits for it', () => {
  const small = createSmall();
  small.read('a', 2);
  small.core.traffic.learn('a', facts('D', 2));
  const waits = small.add(1, 1, one('a'));
  small.core.traffic.forget('a');
  small.run();
  small.core.traffic.turn(0);
  expect([waits.phase, small.core.lower.heap.has('a')]).toEqual(['finished', true]);
  const victims = [...small.core.cache.victims({ inUse: small.core.inUse, place: () => undefined }, undefined)];
  expect(victims.map(({ key }) => key)).toEqual(['a']);
});

/** Reads that take their time in random histories with little memory; every request is served. Returns how many reads began. */
function serveAll(seed: number, heapBytes: number): number {
  const random = createRandom(seed);
  const small = createSmall({ heapBytes, diskBytes: random.pick([0, 6, 1000]), pages: 12, sequences: random.between(1, 4) });
  const { traffic, contents, lower, scheduler } = small.core;
  const all = names(random.between(2, 12));
  const digests = new Map(all.map((name) => [name, `D${random.below(10)}`]));
  const reads = new Map<string, { readonly from: 'disk' | 'origin'; turns: number }>();
  const sequences: Sequence[] = [];
  let began = 0;
  for (let turn = 0; turn < 40 || scheduler.counts().waiting + scheduler.counts().running > 0; turn++) {
    check(turn < 3000, `it never ends: ${[...reads.keys()].join()}`);
    if (turn < 40 && random.chance(0.5)) {
      const adapters = random.chance(0.2) ? [random.pick(all), random.pick(all)] : [random.pick(all)];
      sequences.push(small.add(random.between(1, 20), random.between(1, 6), one(...adapters)));
    }
    for (const [content, read] of reads) {
      read.turns -= 1;
      if (read.turns > 0) continue;
      reads.delete(content);
      const [adapter] = contents.names(content);
      if (random.chance(0.1)) traffic.failed(content);
      else traffic.arrived(adapter!, facts(digests.get(adapter!)!, 2), read.from);
    }
    const { write, read } = traffic.turn(small.now);
    for (const { content } of write) {
      check(lower.heap.has(content), 'written from nowhere');
      traffic.written(content);
    }
    for (const { content, from } of read) reads.set(content, { from, turns: random.below(5) });
    began += read.length;
    const { work } = scheduler.schedule(small.now, 1);
    small.flights.push(work);
    small.commit();
    small.now += 20;
  }
  check(
    sequences.every(({ generated, maxTokens }) => generated.length === maxTokens),
    'somebody was not served',
  );
  return began;
}

test.each([0, 2, 6, 1000])('every request is served where memory holds %i bytes', (heapBytes) => {
  let began = 0;
  for (let seed = 0; seed < 300; seed++) began += serveAll(seed, heapBytes);
  expect(began).toBeGreaterThan(1000);
});
