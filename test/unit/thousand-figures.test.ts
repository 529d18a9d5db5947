import { describe, expect, test } from 'vitest';
import { createRate } from '../../demo/rate.ts';
import { thousandId } from '../../demo/thousand-adapter.ts';
import { createSeries } from '../../demo/thousand-series.ts';
import { spreadInWords, summaryOf } from '../../demo/thousand-summary.ts';
import { countTiers, whereabouts } from '../../demo/thousand-where.ts';
import type { Stats, Tier, TierStats } from '../../src/index.ts';

const NONE: TierStats = { hits: 0, misses: 0, loads: 0, evictions: 0, bytes: 0, budget: 0, loadMs: { p50: 0, p95: 0, max: 0 } };
const statsOf = (tokens: number, tiers: Partial<Record<Tier, Partial<TierStats>>> = {}): Stats =>
  ({
    tokens,
    tiers: {
      gpu: { ...NONE, ...tiers.gpu },
      heap: { ...NONE, ...tiers.heap },
      disk: { ...NONE, failures: 0, ...tiers.disk },
      origin: { ...NONE, ...tiers.origin },
    },
  }) as Stats;

describe('where they are', () => {
  test('who is not in the list is at the origin, and others’ adapters do not count', () => {
    const places = whereabouts([
      { id: thousandId(1), tier: 'gpu' },
      { id: thousandId(3), tier: 'heap' },
      { id: thousandId(1000), tier: 'disk' },
      { id: 'json', tier: 'gpu' },
    ]);
    expect(places.slice(0, 4)).toEqual(['gpu', 'origin', 'heap', 'origin']);
    expect(places.at(-1)).toBe('disk');
    expect(countTiers(places)).toEqual({ gpu: 1, heap: 1, disk: 1, origin: 997 });
  });
});

describe('a rate', () => {
  test('is what was added over the window, and begins anew after a silence or a smaller total', () => {
    const rate = createRate({ window: 1000, silence: 5000 });
    expect(rate.push(0, 100)).toBeUndefined();
    expect(rate.push(500, 110)).toBe(20);
    expect(rate.push(1000, 130)).toBe(30);
    expect(rate.push(2000, 130)).toBe(0);
    expect(rate.push(4000, 180)).toBe(25);
    expect(rate.push(9100, 200)).toBeUndefined();
    expect(rate.push(9600, 250)).toBe(100);
    expect(rate.push(9700, 0)).toBeUndefined();
  });
});

describe('the charts’ lines', () => {
  const series = createSeries(1000);
  const counts = { gpu: 5, heap: 3, disk: 2, origin: 990 };
  series.push({ at: 1000, stats: statsOf(10) }, { gpu: 0, heap: 0, disk: 0, origin: 1000 });
  const moved = {
    gpu: { loads: 8, evictions: 3, hits: 6, misses: 2 },
    heap: { loads: 6, evictions: 1 },
    disk: { loads: 4, evictions: 0 },
  };
  series.push({ at: 2000, stats: statsOf(90, moved) }, counts);

  test('adapters lie on each other, the outermost line first', () => {
    expect(series.where()).toEqual([
      [0, 1],
      [0, 10],
      [0, 8],
      [0, 5],
    ]);
  });

  test('loads go up, evictions down', () => {
    expect(series.moves().map((line) => line.at(-1))).toEqual([1, 18, 14, 8, -4, -4, -3]);
  });

  test('the share found on the GPU is of those who asked; of nobody there is none', () => {
    expect(series.hits()[1]).toEqual([null, 75]);
  });

  test('tokens are by the second', () => {
    expect(series.tokens()[1]).toEqual([0, 80]);
  });

  test('readings that are further apart than the window give a rate all the same', () => {
    const rare = createSeries(0);
    for (const at of [0, 10_000, 20_000]) rare.push({ at, stats: statsOf(at / 100) }, counts);
    expect(rare.tokens()[1]).toEqual([0, 10, 10]);
  });

  test('the longer the storm, the longer the time over which a rate is taken; a first moment counts as a second', () => {
    const long = createSeries(0);
    const rates = (): readonly (number | null)[] => long.tokens()[1]!;
    // 100 tokens in the first tenth of a second, then ten each half second, and twenty each from the 50th second on.
    long.push({ at: 0, stats: statsOf(0) }, counts);
    long.push({ at: 100, stats: statsOf(100) }, counts);
    expect(rates()).toEqual([0, 100]);
    let tokens = 100;
    for (let at = 500; at <= 100_000; at += 500) long.push({ at, stats: statsOf((tokens += at > 50_000 ? 20 : 10)) }, counts);
    expect(rates()[61]).toBe(20);
    expect(rates().at(-1)).toBe(40);
    // Four seconds of a hundred: half of them before the change.
    const [seconds] = long.tokens();
    expect(rates()[seconds.indexOf(52)]).toBe(30);
  });
});

describe('the summary', () => {
  const before = statsOf(100, { gpu: { hits: 9, misses: 8, loads: 8 }, origin: { loads: 8 } });
  const after = statsOf(4900, {
    gpu: { hits: 309, misses: 308, loads: 208, evictions: 150 },
    heap: { hits: 60, evictions: 100, loadMs: { p50: 1.24, p95: 7, max: 9 } },
    disk: { hits: 40, evictions: 1, loadMs: { p50: 12.4, p95: 41, max: 50 } },
    origin: { loads: 108, loadMs: { p50: 30, p95: 80, max: 100 } },
  });
  const counted = { answered: 600, failed: 0, distinct: 235, trouble: undefined };

  test('tells what came of this storm alone', () => {
    expect(summaryOf({ before, after, counted, ms: 48_000, end: 'done' })).toBe(
      '600 requests to 235 adapters in 48.0 s, 100 tokens/s. 50 % found theirs on the GPU; 200 loads onto it, 60 of them from memory, ' +
        '40 reads from disk, 100 from the origin; 251 made room. ' +
        'p50 / p95 in ms: from memory 1.2 / 7.0, from disk 12 / 41, from the origin 30 / 80.',
    );
  });

  test('says that it was stopped, and why requests failed', () => {
    const text = summaryOf({ before, after, counted: { ...counted, failed: 2, trouble: 'Gone.' }, ms: 1000, end: 'stopped' });
    expect(text).toMatch(/^Stopped: 600 requests/);
    expect(text).toMatch(/2 requests failed: Gone\.$/);
  });

  test('nothing was measured: a dash', () => {
    expect(spreadInWords(NONE.loadMs)).toBe('–');
  });
});
