import { describe, expect, test } from 'vitest';
import type { SequenceRequest } from '../../src/engine/sequence.ts';
import { createSmall, one, type Small, type SmallOptions } from './core-small.ts';

const COMMON = Array.from({ length: 200 }, (_, i) => i);

/** Runs until nobody is left; returns the prefill rows. */
function runAll(small: Small): number {
  let rows = 0;
  for (let step = 0; small.core.scheduler.counts().waiting + small.core.scheduler.counts().running > 0; step++) {
    if (step > 1000) throw new Error('It never ends');
    for (const { kind, count } of small.run().work) if (kind === 'prefill') rows += count;
  }
  return rows;
}

/** Prefill rows of a request whose text was computed before by one with other settings. */
function rowsAfter(
  first: Partial<SequenceRequest>,
  then: Partial<SequenceRequest>,
  between: (small: Small) => void = () => undefined,
): number {
  const small = createSmall();
  small.read('a', 1);
  small.read('b', 1);
  small.add(COMMON, 4, first);
  runAll(small);
  between(small);
  small.add(COMMON, 4, then);
  return runAll(small);
}

const SHARED = 200 - 12 * 16;

describe('a common beginning', () => {
  const tails = Array.from({ length: 8 }, (_, i) => [...COMMON, 1000 + i]);

  test.each<[string, SmallOptions]>([
    ['large steps', { batchRows: 512, prefillChunk: 512 }],
    ['small steps', { batchRows: 32 }],
  ])('is computed once by requests that come together, in %s', (_, options) => {
    const small = createSmall(options);
    const sequences = tails.map((prompt) => small.add(prompt, 3));
    small.step();
    expect(small.core.scheduler.counts()).toMatchObject({ running: 1, waiting: 7 });
    small.commit();
    expect(runAll(small) + Math.min(201, options.prefillChunk ?? 16)).toBe(192 + 8 * 9);
    expect(sequences.map(({ cached }) => cached)).toEqual([0, ...Array<number>(7).fill(192)]);
    expect(small.core.scheduler.counts().prefix).toEqual({ lookedUp: 8 * 201, found: 7 * 192 });
    expect(small.core.pages.counts()).toMatchObject({ kv: 12, idle: 12 });
  });

  test('is computed once by requests that come one after another', () => {
    const small = createSmall();
    const rows = tails.map((prompt) => {
      small.add(prompt, 3);
      return runAll(small);
    });
    expect(rows).toEqual([201, ...Array<number>(7).fill(9)]);
  });

  test('is shared page by page as its leader gets on, and by who is ahead of nobody', () => {
    const small = createSmall({ prefillChunk: 16 });
    const leader = small.add(tails[0]!, 1);
    small.run();
    const follower = small.add([...COMMON.slice(0, 30), 7, 7, 7], 1);
    const stranger = small.add(40, 1);
    small.step();
    expect([leader, follower, stranger]).toMatchObject([{ computed: 32 }, { shared: 1, computed: 32 }, { computed: 16 }]);
  });

  test('falls to the next where its leader ends', () => {
    const small = createSmall();
    const [leader, next, last] = tails.slice(0, 3).map((prompt) => small.add(prompt, 1));
    small.run();
    small.core.scheduler.finish(leader!);
    small.run();
    expect([next, last]).toMatchObject([{ phase: 'running', shared: 1 }, { phase: 'waiting' }]);
    expect(runAll(small)).toBe(201 - 16 - 16 + 9);
  });

  test('is computed anew, without waiting, where what its leader computed is no longer kept', () => {
    const small = createSmall();
    const leader = small.add(COMMON, 40);
    for (let i = 0; i < 13; i++) small.run();
    const wrong = small.add(COMMON, 40);
    small.run();
    expect([leader, wrong]).toMatchObject([{ generated: [1000, 1001] }, { shared: 12 }]);
    small.core.scheduler.discard(wrong);
    const next = small.add(COMMON, 1);
    small.run();
    expect(next).toMatchObject({ phase: 'running', shared: 0 });
  });

  test('of an answer is shared too', () => {
    const small = createSmall();
    const first = small.add(10, 40);
    runAll(small);
    const next = small.add([...first.prompt, ...first.generated, 1], 1);
    runAll(small);
    expect(next.cached).toBe(48);
  });

  test('leaves at least the last prompt token to compute', () => {
    expect(rowsAfter({ prompt: COMMON.slice(0, 64) }, { prompt: COMMON.slice(0, 64) })).toBe(16);
    expect(rowsAfter({ prompt: COMMON.slice(0, 65) }, { prompt: COMMON.slice(0, 65) })).toBe(1);
  });
});

describe('a beginning hits', () => {
  test('under the same adapter, salt and scale', () => {
    expect(rowsAfter({}, {})).toBe(SHARED);
    expect(rowsAfter(one('a'), one('a'))).toBe(SHARED);
    expect(rowsAfter({ cacheSalt: 'x' }, { cacheSalt: 'x' })).toBe(SHARED);
    expect(rowsAfter(one('a', 'b'), one('b', 'a'))).toBe(SHARED);
    const half = { adapter: 'a', scale: 0.5 };
    expect(rowsAfter({ parts: [half, half] }, one('a'))).toBe(SHARED);
  });

  test.each<[string, Partial<SequenceRequest>, Partial<SequenceRequest>]>([
    ['another adapter', one('a'), one('b')],
    ['none', one('a'), {}],
    ['a blend', one('a'), one('a', 'b')],
    ['another salt', { cacheSalt: 'x' }, { cacheSalt: 'y' }],
    ['no salt', { cacheSalt: 'x' }, {}],
    ['another scale', one('a'), { parts: [{ adapter: 'a', scale: 0.5 }] }],
    ['a salt that reads like a root', { cacheSalt: '["",[["a",1]]]' }, one('a')],
  ])('not under %s', (_, first, then) => {
    expect(rowsAfter(first, then)).toBe(200);
    expect(rowsAfter(then, first)).toBe(200);
  });

  test('never under an adapter that was reloaded with other weights, and again under the same', () => {
    const reload = (digest: string) => (small: Small) => {
      small.core.traffic.forget('a');
      small.read('a', 1, digest);
    };
    expect(rowsAfter(one('a'), one('a'), reload('other'))).toBe(200);
    expect(rowsAfter(one('a'), one('a'), reload('a'))).toBe(SHARED);
  });

  test('under another name of the same weights', () => {
    expect(rowsAfter(one('a'), one('b'), ({ read }) => read('b', 1, 'a'))).toBe(SHARED);
  });

  test('never for a request for prompt logits, which others may follow', () => {
    expect(rowsAfter({}, { logits: 'prompt' })).toBe(200);
    expect(rowsAfter({ logits: 'prompt' }, {})).toBe(SHARED);
  });

  test('never where beginnings are not shared', () => {
    const small = createSmall({ beginnings: 'own' });
    const [first, second] = [small.add(COMMON, 1), small.add(COMMON, 1)];
    small.run();
    expect([first, second]).toMatchObject([{ phase: 'running' }, { phase: 'running' }]);
    runAll(small);
    small.add(COMMON, 1);
    expect(runAll(small)).toBe(200);
    expect(small.core.pages.counts().kv).toBe(0);
  });
});

describe('pages that many use', () => {
  test('wrong numbers are shared with nobody, even where they came back before anyone saw it', () => {
    const small = createSmall();
    const wrong = small.add(COMMON, 4);
    for (let i = 0; i < 4; i++) small.run();
    expect(small.core.pages.counts()).toMatchObject({ kv: 13, idle: 0 });
    small.core.scheduler.discard(wrong);
    expect([wrong.phase, small.core.pages.counts().kv]).toEqual(['finished', 0]);
  });

  test('nor those that the failed one found kept from its own earlier admission', () => {
    const small = createSmall({ pages: 40 });
    small.add(COMMON, 1);
    runAll(small);
    const wrong = small.add(COMMON, 4);
    small.run();
    expect(wrong.shared).toBe(12);
    small.core.scheduler.discard(wrong);
    expect(small.core.pages.counts().kv).toBe(0);
  });

  test('what nobody runs on makes room, although somebody runs on what follows it', () => {
    const small = createSmall({ pages: 4 });
    const text = COMMON.slice(0, 10);
    const [first, second] = [small.add(text, 12), small.add(text, 50, { priority: 1 })]; // the same text at the same time, in pages of their own
    for (let i = 0; i < 36; i++) small.run();
    expect(first!.phase).toBe('finished');
    expect(second!.admissions).toBe(1);
    for (let i = 0; i < 30; i++) expect(small.run().unfit).toEqual([]);
    expect([second!.phase, second!.generated.length]).toEqual(['finished', 50]);
  });

  test('a lost device takes all with it, and everyone goes on from what came back', () => {
    const small = createSmall();
    small.read('a', 3);
    const [running, sharing] = [small.add(COMMON, 9, one('a')), small.add(COMMON, 9, one('a'))];
    for (let i = 0; i < 16; i++) small.run();
    small.step(4);
    expect([running, sharing]).toMatchObject([{ pending: 1 }, { phase: 'running', shared: 12 }]);
    const seen = [...running.generated];
    small.flights.length = 0;
    small.core.scheduler.reset();
    small.core.traffic.reset();
    expect(small.core.pages.counts()).toMatchObject({ kv: 0, adapters: 0 });
    expect([running, sharing]).toMatchObject([{ phase: 'waiting', pending: 0, generated: seen }, { phase: 'waiting' }]);
    expect(runAll(small)).toBeGreaterThan(200);
    expect([running, sharing].map(({ generated }) => generated.length)).toEqual([9, 9]);
  });
});
