import { describe, expect, test } from 'vitest';
import { leastLoads } from '../../bench/sim/belady.ts';
import { flood } from '../../bench/sim/fairness.ts';
import { countLoads } from '../../bench/sim/loads.ts';
import { a10g, inPlaces } from '../../bench/sim/machines.ts';
import { createRandom } from '../../bench/sim/random.ts';
import { simulate, type Result } from '../../bench/sim/simulate.ts';
import { fixedSplit } from '../../bench/sim/split.ts';
import { runTiers } from '../../bench/sim/tiers.ts';
import { compareSplits, excess } from '../../bench/sim/unified.ts';
import { generate, merge, type Popularity, type Workload } from '../../bench/sim/workload.ts';

const WORKLOAD: Workload = {
  seed: 1,
  requests: 200,
  adapters: 16,
  popularity: { kind: 'zipf', exponent: 1 },
  rate: 14,
  cv: 1,
  prompt: [8, 64],
  answer: [8, 64],
};

function shareOfFirst(popularity: Popularity, requests = 20_000): number {
  const trace = generate({ ...WORKLOAD, requests, adapters: 10, popularity });
  return trace.filter(({ adapter }) => adapter === 'adapter 0').length / requests;
}

/** What a result says apart from how long JS took. */
const decided = ({ decisionMs: _, ...rest }: Result): Omit<Result, 'decisionMs'> => rest;

describe('workloads', () => {
  test('arrivals have the rate and the burstiness that was asked for', () => {
    for (const cv of [0.5, 1, 4]) {
      const trace = generate({ ...WORKLOAD, requests: 50_000, rate: 8, cv });
      const gaps = trace.map(({ at }, i) => at - (trace[i - 1]?.at ?? 0));
      const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
      const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
      expect(Math.abs(mean / 125 - 1)).toBeLessThan(0.05);
      expect(Math.abs(Math.sqrt(variance) / mean / cv - 1)).toBeLessThan(0.1);
    }
  });

  test('popularities', () => {
    const harmonic = Array.from({ length: 10 }, (_, i) => 1 / (i + 1)).reduce((sum, term) => sum + term, 0);
    expect(shareOfFirst({ kind: 'zipf', exponent: 1 })).toBeCloseTo(1 / harmonic, 1);
    expect(shareOfFirst({ kind: 'zipf', exponent: 0 })).toBeCloseTo(0.1, 1);
    expect(shareOfFirst({ kind: 'power', alpha: 1 })).toBeCloseTo(0.1, 1);
    expect(shareOfFirst({ kind: 'power', alpha: 0.1 })).toBeCloseTo(0.1 ** 0.1, 1);
    expect(shareOfFirst({ kind: 'shifting', exponent: 1, every: 2000 })).toBeLessThan(0.2);
    expect(shareOfFirst({ kind: 'sweep' })).toBeCloseTo(0.1, 5);
  });

  test('lengths stay within their bounds and reach them; tenants have adapters of their own; merged traces are in order', () => {
    const one = generate({ ...WORKLOAD, requests: 2000, prompt: [3, 5], tenant: 'ada' });
    expect(new Set(one.map(({ prompt }) => prompt))).toEqual(new Set([3, 4, 5]));
    expect(one.every(({ adapter, tenant }) => adapter.startsWith('ada ') && tenant === 'ada')).toBe(true);
    const times = merge(one, generate(WORKLOAD)).map(({ at }) => at);
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });
});

test('no order of loads and evictions does with less than the least', () => {
  expect(leastLoads(['a', 'b', 'c', 'a', 'b', 'c', 'a'], 2)).toBe(5);
  const random = createRandom(7);
  for (let round = 0; round < 200; round++) {
    const uses = Array.from({ length: 10 }, () => String(random.below(4)));
    const search = (i: number, resident: readonly string[]): number => {
      if (i === uses.length) return 0;
      const use = uses[i]!;
      if (resident.includes(use)) return search(i + 1, resident);
      if (resident.length < 2) return 1 + search(i + 1, [...resident, use]);
      return 1 + Math.min(...resident.map((gone) => search(i + 1, [...resident.filter((one) => one !== gone), use])));
    };
    expect(leastLoads(uses, 2)).toBe(search(0, []));
  }
});

describe('the simulator', () => {
  const trace = generate(WORKLOAD);

  test('every request ends, and the same run gives the same result', () => {
    const run = () => simulate(inPlaces(8, 4), { trace, pace: 'ms', policy: 'weblora', deadlineMs: 4000 });
    const result = run();
    expect(result.outcomes.every(({ end, firstToken }) => (end === 'finished') === (firstToken !== undefined))).toBe(true);
    expect(new Set(result.outcomes.map(({ end }) => end))).toEqual(new Set(['finished', 'expired']));
    expect(decided(run())).toEqual(decided(result));
  });

  test('first come, first served begins requests in the order in which they came', () => {
    const machine = { ...inPlaces(32, 4), read: { ms: 0 } };
    const { outcomes } = simulate(machine, { trace, pace: 'ms', policy: 'first-come' });
    const begins = outcomes.map(({ firstToken }) => firstToken!);
    const early = begins.filter((begin, i) => begins.slice(0, i).some((other) => other > begin + 200));
    expect(early).toEqual([]);
  });

  test('time can be counted in steps: of arrivals, and of reads', () => {
    const steps = trace.map((arrival, i) => ({ ...arrival, at: 5 * i }));
    const run = (slowness: number) => {
      const machine = { ...a10g(slowness), limits: { ...a10g(slowness).limits, stepMs: 1e9 }, read: { steps: 3 } };
      return simulate(machine, { trace: steps, pace: 'steps', policy: 'first-come' });
    };
    const [fast, slow] = [run(0.01), run(1)];
    expect(slow.ms).toBeGreaterThan(20 * fast.ms); // another clock
    expect([slow.steps, slow.loads, slow.uses]).toEqual([fast.steps, fast.loads, fast.uses]); // the same decisions
  });
});

describe('what the full bench asks, on a small scale', () => {
  test.each([{}, { ada: 3, bob: 3, cyd: 3 }])('a flooding tenant gets no more than its share: %o', (weights) => {
    const { times, steps } = flood({ seed: 1, weights, seconds: 15, demand: 1.5 });
    expect(steps).toBeGreaterThan(100);
    expect(times).toBeLessThanOrEqual(1.1);
  });

  test('many adapters that lie in four places', () => {
    const { tiers, outcomes } = runTiers(400, 600);
    expect(outcomes.every(({ end }) => end === 'finished')).toBe(true);
    for (const tier of ['gpu', 'heap'] as const) expect(tiers[tier].evictions).toBeGreaterThan(0);
    expect(tiers.heap.loads).toBe(tiers.reads.disk + tiers.reads.origin);
    expect(tiers.heap.bytes).toBeLessThanOrEqual(64 * 2 ** 20);
    expect(tiers.disk.loads - tiers.disk.evictions).toBeLessThanOrEqual(tiers.reads.origin);
  });

  test('a pool with a moving border needs no more than the best split of it at either end', { timeout: 120_000 }, () => {
    const { many, few, whole } = compareSplits({ seed: 2, many: 300, few: 100 });
    expect([excess(many) <= 0, excess(few) <= 0]).toEqual([true, true]);
    // over so short a whole what is loaded when the border comes back weighs more than in the bench
    const sums = whole.splits.map(({ loads, preemptions }) => loads + preemptions);
    expect(whole.unified.loads + whole.unified.preemptions).toBeLessThan(sums[sums.length >> 1]!);
  });

  test('a border that leaves too few pages on a side serves nobody there', () => {
    const trace = generate({ ...WORKLOAD, requests: 20 });
    const machine = inPlaces(4, 4);
    const run = (share: number) => simulate(machine, { trace, pace: 'ms', policy: 'weblora', variant: fixedSplit(share) });
    const adapters = 31 / machine.pages; // each has 32
    expect(run(adapters).outcomes.map(({ end }) => end)).toEqual(trace.map(() => 'unfit'));
    expect(run(0.5).outcomes.every(({ end }) => end === 'finished')).toBe(true);
    expect(() => run(1 - 1 / machine.pages)).toThrow('came to rest');
  });

  test('a model whose layers all have windows keeps its answers in a pool that others outgrow', () => {
    const trace = generate({ ...WORKLOAD, requests: 40, rate: 40, prompt: [100, 200], answer: [100, 200] });
    const machine = { ...a10g(1), pages: 120, adapterPages: () => 1 };
    const run = (window: number) =>
      simulate({ ...machine, limits: { ...machine.limits, window, prefillChunk: 32 } }, { trace, pace: 'ms', policy: 'weblora' });
    const [windowed, whole] = [run(64), run(Infinity)];
    for (const { outcomes } of [windowed, whole]) expect(outcomes.every(({ end }) => end === 'finished')).toBe(true);
    expect(windowed.preemptions).toBe(0);
    expect(whole.preemptions).toBeGreaterThan(0);
    expect(windowed.ms).toBeLessThan(whole.ms);
  });

  test('loads lie between the least and those of a cache that knows nothing of the queue', () => {
    const size = { places: 16, requests: 320, seeds: [1] };
    const { weblora, lru, belady } = countLoads(size, 'Zipf 1', 'waves of 64, 64 waiting');
    expect(weblora).toBeGreaterThanOrEqual(belady);
    expect(weblora).toBeLessThanOrEqual(0.8 * lru);
  });
});
