import { describe, expect, test } from 'vitest';
import { MOST_DEPTH, ringDepth } from '../../src/engine/depth.ts';
import { createMeter, createSeries } from '../../src/engine/meter.ts';

const BATCH = { promptRows: 10, decodeRows: 2, sequences: 3, adapters: 1 };

describe('series', () => {
  test('zeros while it is empty', () => {
    expect(createSeries().spread()).toEqual({ p50: 0, p95: 0, max: 0 });
  });

  test('nearest ranks of what was added, in any order', () => {
    const series = createSeries();
    for (let i = 0; i < 100; i++) series.add(((i * 37) % 100) + 1);
    expect(series.spread()).toEqual({ p50: 50, p95: 95, max: 100 });
  });

  test('one value is all three', () => {
    const series = createSeries();
    series.add(7);
    expect(series.spread()).toEqual({ p50: 7, p95: 7, max: 7 });
  });

  test('only the latest 1024 count', () => {
    const series = createSeries();
    series.add(1e6);
    for (let i = 0; i < 1023; i++) series.add(1);
    expect(series.spread().max).toBe(1e6);
    series.add(2);
    expect(series.spread()).toEqual({ p50: 1, p95: 1, max: 2 });
  });
});

describe('meter', () => {
  test('an engine that did nothing reports zeros', () => {
    const none = { p50: 0, p95: 0, max: 0 };
    expect(createMeter().report(1e6)).toEqual({
      batch: { promptRows: 0, decodeRows: 0, sequences: 0, adapters: 0 },
      tokensPerSecond: 0,
      firstTokenMs: none,
      betweenTokensMs: none,
      stepMs: none,
      busyMs: 0,
    });
    expect(createMeter().stepMs()).toBe(0);
  });

  test('each time goes to its own spread', () => {
    const meter = createMeter();
    meter.firstToken(1);
    meter.betweenTokens(2);
    meter.step(BATCH, 3);
    const { firstTokenMs, betweenTokensMs, stepMs } = meter.report(0);
    expect([firstTokenMs.max, betweenTokensMs.max, stepMs.max]).toEqual([1, 2, 3]);
  });

  test('the batch is the mean of the latest 64 steps', () => {
    const meter = createMeter();
    meter.step({ promptRows: 640, decodeRows: 0, sequences: 1, adapters: 0 }, 1);
    meter.step({ promptRows: 0, decodeRows: 4, sequences: 3, adapters: 2 }, 1);
    expect(meter.report(0).batch).toEqual({ promptRows: 320, decodeRows: 2, sequences: 2, adapters: 1 });
    for (let i = 0; i < 63; i++) meter.step(BATCH, 1);
    expect(meter.report(0).batch.promptRows).toBeCloseTo((63 * 10) / 64);
  });

  test('the running step time follows a change', () => {
    const meter = createMeter();
    meter.step(BATCH, 10);
    expect(meter.stepMs()).toBe(10);
    for (let i = 0; i < 50; i++) meter.step(BATCH, 20);
    expect(meter.stepMs()).toBeGreaterThan(19);
  });

  test('only time in which something ran counts', () => {
    const meter = createMeter();
    meter.begin(1000);
    meter.begin(1200);
    meter.tokens(30, 1500);
    expect(meter.report(2000)).toMatchObject({ busyMs: 1000, tokensPerSecond: 30 });
    meter.rest(2000);
    meter.rest(2500);
    expect(meter.report(1e9)).toMatchObject({ busyMs: 1000, tokensPerSecond: 30 });
    meter.begin(1e9);
    meter.tokens(10, 1e9 + 1000);
    expect(meter.report(1e9 + 1000)).toMatchObject({ busyMs: 2000, tokensPerSecond: 20 });
  });

  test('the rate is that of the last 10 s', () => {
    const meter = createMeter();
    meter.begin(0);
    for (let now = 0; now < 20_000; now += 50) meter.tokens(5, now);
    expect(meter.report(20_000).tokensPerSecond).toBeCloseTo(100, 0);
    for (let now = 20_000; now < 30_000; now += 50) meter.tokens(1, now);
    expect(meter.report(30_000).tokensPerSecond).toBeCloseTo(20, 0);
    expect(meter.report(60_000).tokensPerSecond).toBe(0);
  });
});

describe('steps in flight', () => {
  test.each([
    ['Dawn on a GPU', 0.2, 10, 2],
    ['Deno', 11, 5, 4],
    ['Firefox', 97, 5, 8],
    ['no read-back at all', 0, 10, 1],
    ['no step was timed', 97, 0, 2],
    ['neither', 0, 0, 2],
    ['no number', Number.NaN, 5, 2],
  ])('%s', (_, readbackMs, stepMs, depth) => {
    expect(ringDepth(readbackMs, stepMs)).toBe(depth);
  });

  test('from 1 to 8, more with a slower read-back', () => {
    let before = 1;
    for (let readbackMs = 0; readbackMs < 100; readbackMs += 0.5) {
      const depth = ringDepth(readbackMs, 4);
      expect(depth).toBeGreaterThanOrEqual(before);
      expect(depth).toBeLessThanOrEqual(MOST_DEPTH);
      before = depth;
    }
  });
});
