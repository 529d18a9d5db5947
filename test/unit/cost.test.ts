import { describe, expect, test } from 'vitest';
import { createCostEstimate, type CostEstimate, type StepLoad } from '../../src/engine/cost.ts';
import { seeded } from './text-files.ts';

const UNITS = { row: 100, logitRow: 30, key: 0.05, loraRow: 5 };

type Device = (load: StepLoad) => number;
type Random = () => number;

/** `keys` per row; prices of the step, of a row's worth of flops, and of that much attention. */
const device =
  (fixed: number, row: number, attention: number): Device =>
  (load) =>
    fixed +
    (row * (load.rows * UNITS.row + load.logitRows * UNITS.logitRow + load.loraRows * UNITS.loraRow)) / UNITS.row +
    (attention * load.keys * UNITS.key) / UNITS.row;

const SOFTWARE = device(2, 20, 40);
const GPU = device(5, 0.02, 0.05);
const BETWEEN = device(8, 1, 3);
const DEVICES = Object.entries({ SOFTWARE, GPU, BETWEEN });

const decode = (rows: number, keysEach: number): StepLoad => ({ rows, logitRows: rows, keys: rows * keysEach, loraRows: rows });
const chunk = (rows: number, keysEach: number): StepLoad => ({ rows, logitRows: 1, keys: rows * keysEach, loraRows: 200 });
const between = (random: Random, low: number, high: number): number => Math.floor(low + random() * (high - low));
const decodes = (random: Random): StepLoad => decode(between(random, 6, 10), 200);
const mixed = (random: Random): StepLoad =>
  random() < 0.3 ? chunk(between(random, 32, 256), between(random, 100, 500)) : decode(between(random, 1, 17), between(random, 50, 850));

const PROBES = [decode(8, 300), decode(16, 600), chunk(64, 200), chunk(256, 300)];

/** The worst of the probes' estimates over truths, as a factor of at least 1. */
function worst(estimate: CostEstimate, truth: Device): number {
  return Math.max(...PROBES.map((load) => estimate.of(load) / truth(load)).map((ratio) => Math.max(ratio, 1 / ratio)));
}

interface Run {
  readonly truth: Device;
  readonly loads: (random: Random) => StepLoad;
  readonly steps: number;
  /** Each step takes up to this share more or less. */
  readonly noise?: number;
}

function run(estimate: CostEstimate, random: Random, { truth, loads, steps, noise = 0.3 }: Run): void {
  for (let step = 0; step < steps; step++) {
    const load = loads(random);
    estimate.learn(load, truth(load) * (1 + noise * (2 * random() - 1)));
  }
}

/** The median over seeds of what `measure` gives: single noisy runs may be unlucky. */
function median(measure: (random: Random) => number): number {
  const values = Array.from({ length: 15 }, (_, seed) => measure(seeded(seed + 1)));
  return values.sort((a, b) => a - b)[7]!;
}

describe('before the first samples', () => {
  test('a row is guessed to take 10 ms', () => {
    const estimate = createCostEstimate(UNITS);
    expect(estimate.samples).toBe(0);
    expect(estimate.of({ rows: 10, logitRows: 0, keys: 0, loraRows: 0 })).toBeCloseTo(100);
  });

  test.each(DEVICES)('one sample is enough for a step like it: %s', (_, truth) => {
    const estimate = createCostEstimate(UNITS);
    const load = decode(4, 100);
    estimate.learn(load, truth(load));
    expect(estimate.samples).toBe(1);
    expect(estimate.of(load) / truth(load)).toBeCloseTo(1);
  });

  test('units are checked', () => {
    expect(() => createCostEstimate({ ...UNITS, key: Number.NaN })).toThrow('units.key');
    expect(() => createCostEstimate({ ...UNITS, row: 0 })).toThrow('units.row');
  });
});

describe.each(DEVICES)('on a device: %s', (_, truth) => {
  test('within 20 % after 20 mixed steps, without noise and with 30 % of it', () => {
    for (const noise of [0, 0.3]) {
      const off = median((random) => {
        const estimate = createCostEstimate(UNITS);
        run(estimate, random, { truth, loads: mixed, steps: 20, noise });
        return worst(estimate, truth);
      });
      expect(off).toBeLessThan(1.2);
    }
  });

  test('a device that becomes twice as slow or as quick is followed in 30 steps', () => {
    for (const factor of [2, 0.5]) {
      const after: Device = (load) => factor * truth(load);
      const off = median((random) => {
        const estimate = createCostEstimate(UNITS);
        run(estimate, random, { truth, loads: mixed, steps: 60 });
        run(estimate, random, { truth: after, loads: mixed, steps: 30 });
        return worst(estimate, after);
      });
      expect(off).toBeLessThan(1.3);
    }
  });

  test('a step that is 10 times too long moves it by at most 20 %', () => {
    for (const stalled of PROBES) {
      const moved = median((random) => {
        const estimate = createCostEstimate(UNITS);
        run(estimate, random, { truth, loads: mixed, steps: 60 });
        const before = PROBES.map(estimate.of);
        estimate.learn(stalled, 10 * truth(stalled));
        return Math.max(...PROBES.map((load, i) => Math.abs(estimate.of(load) / before[i]! - 1)));
      });
      expect(moved).toBeLessThan(0.2);
    }
  });

  test('a first step that is 100 times too long is forgotten in 20 steps', () => {
    const off = median((random) => {
      const estimate = createCostEstimate(UNITS);
      run(estimate, random, { truth: (load) => 100 * truth(load), loads: mixed, steps: 1 });
      run(estimate, random, { truth, loads: mixed, steps: 20 });
      return worst(estimate, truth);
    });
    expect(off).toBeLessThan(1.3);
  });

  test('a first step that is 100 times too short leads astray for 10 steps', () => {
    const off = median((random) => {
      const estimate = createCostEstimate(UNITS);
      run(estimate, random, { truth: (load) => truth(load) / 100, loads: mixed, steps: 1 });
      run(estimate, random, { truth, loads: mixed, steps: 10 });
      return worst(estimate, truth);
    });
    expect(off).toBeLessThan(1.6);
  });

  test('after decode steps alone a chunk is priced by its flops: between half of what it takes and all of it by the flops of those steps', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const estimate = createCostEstimate(UNITS);
      run(estimate, seeded(seed), { truth, loads: decodes, steps: 20 });
      for (const load of [chunk(64, 200), chunk(512, 256)]) {
        const flops = device(0, 1, 1);
        const byFlops = (truth(decode(8, 200)) * flops(load)) / flops(decode(8, 200));
        expect(estimate.of(load)).toBeGreaterThan(0.5 * truth(load));
        expect(estimate.of(load)).toBeLessThan(1.5 * byFlops);
      }
    }
  });

  test('what a chunk costs is known after 1000 decode steps', () => {
    const off = median((random) => {
      const estimate = createCostEstimate(UNITS);
      run(estimate, random, { truth, loads: mixed, steps: 40 });
      run(estimate, random, { truth, loads: decodes, steps: 1000 });
      return worst(estimate, truth);
    });
    expect(off).toBeLessThan(1.3);
  });

  test('steps that are heard of four at a time cost what they cost', () => {
    const estimate = createCostEstimate(UNITS);
    const random = seeded(7);
    run(estimate, random, { truth, loads: mixed, steps: 20 });
    for (let burst = 0; burst < 30; burst++) {
      const loads = Array.from({ length: 4 }, () => mixed(random));
      const all = loads.reduce((sum, load) => sum + truth(load), 0);
      loads.forEach((load, i) => estimate.learn(load, i === 0 ? all : 0));
    }
    expect(worst(estimate, truth)).toBeLessThan(1.4);
  });
});

test('attention that costs more than its flops say', () => {
  const dear = device(5, 1, 8);
  const off = median((random) => {
    const estimate = createCostEstimate(UNITS);
    run(estimate, random, { truth: dear, loads: (next) => decode(between(next, 1, 17), between(next, 10, 4000)), steps: 40 });
    return Math.max(...[decode(8, 200), decode(8, 4000)].map((load) => Math.abs(Math.log(estimate.of(load) / dear(load)))));
  });
  expect(off).toBeLessThan(Math.log(1.25));
});

describe('odd input', () => {
  const load = decode(8, 200);

  test('equal steps: the mean, and more rows never cost less', () => {
    const estimate = createCostEstimate(UNITS);
    for (let step = 0; step < 20_000; step++) estimate.learn(load, step % 2 === 0 ? 4 : 6);
    expect(estimate.of(load)).toBeGreaterThan(4.5);
    expect(estimate.of(load)).toBeLessThan(5.5);
    expect(estimate.of(decode(80, 200))).toBeGreaterThan(5);
  });

  test('a quick clock that says 0 leaves numbers', () => {
    const estimate = createCostEstimate(UNITS);
    for (let step = 0; step < 100; step++) estimate.learn(load, 0);
    expect(estimate.of(load)).toBeGreaterThanOrEqual(0);
    expect(estimate.of(load)).toBeLessThan(0.1);
    for (let step = 0; step < 40; step++) estimate.learn(load, 50);
    expect(estimate.of(load) / 50).toBeGreaterThan(0.8);
  });

  test('what is no time or no load is passed over', () => {
    const estimate = createCostEstimate(UNITS);
    estimate.learn(load, 10);
    for (const ms of [Number.NaN, Infinity, -1]) estimate.learn(load, ms);
    for (const rows of [0, -1, Number.NaN, Infinity]) estimate.learn({ ...load, rows }, 10);
    estimate.learn({ ...load, keys: Number.NaN }, 10);
    expect(estimate.samples).toBe(1);
    expect(estimate.of(load)).toBeCloseTo(10);
  });

  test('never NaN, never below 0, whatever the steps take', () => {
    const random = seeded(3);
    const estimate = createCostEstimate({ row: 1e9, logitRow: 3e8, key: 4e4, loraRow: 0 });
    for (let step = 0; step < 3000; step++) {
      const any = { rows: between(random, 1, 2000), logitRows: between(random, 0, 9), keys: between(random, 0, 1e6), loraRows: 0 };
      estimate.learn(any, 10 ** (random() * 12 - 4));
      for (const probe of [any, ...PROBES]) {
        expect(estimate.of(probe)).toBeGreaterThanOrEqual(0);
        expect(estimate.of(probe)).toBeLessThan(Infinity);
      }
    }
  });
});
