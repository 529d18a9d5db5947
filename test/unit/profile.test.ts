import { describe, expect, test } from 'vitest';
import { attemptsOf, ceilingBytes, openCeilings, type Attempt } from '../../src/engine/profile-ceilings.ts';
import { demandsOf, type StepWork } from '../../src/engine/profile-demands.ts';
import { floorOf, tileLoads } from '../../src/engine/profile-floor.ts';
import { profile } from '../../src/engine/profile.ts';
import { groupsOf, median, profiledStep } from '../../src/engine/profile-step.ts';
import { createTimer, nextCount } from '../../src/engine/profile-timer.ts';
import { modelShape } from '../../src/model/shape.ts';
import { llamaConfig } from '../suites/llama-config.ts';

const SIZES = { hiddenSize: 64, intermediateSize: 96, heads: 4, kvHeads: 2, headDim: 16, vocabSize: 256, layers: 1 };
const CONFIG = llamaConfig(SIZES);

/** Two decode rows at 9 and 19, two adapters, everything in 32 bits but the head. */
const WORK: StepWork = {
  config: CONFIG,
  shape: modelShape(CONFIG),
  poolType: 'f32',
  planes: [
    { part: 'qkv', type: 'f32', width: 64, rows: 128 },
    { part: 'o', type: 'f32', width: 64, rows: 64 },
    { part: 'gate and up', type: 'f32', width: 64, rows: 192 },
    { part: 'down', type: 'f32', width: 96, rows: 64 },
    { part: 'head', type: 'f16', width: 64, rows: 192 },
    { part: 'head', type: 'f16', width: 64, rows: 64 },
  ],
  rows: 2,
  positions: [9, 19],
  sequences: [0, 1],
  logitRows: 2,
  samplers: 2,
  adapters: [
    { rows: 1, rank4: () => 8 },
    { rows: 1, rank4: (_, site) => (site === 0 ? 4 : 0) },
  ],
};

const LORA = ['shrink', 'expand'];
const LABELS = [
  ...['embed', 'rms-norm', 'matmul-row', ...LORA, 'rope-kv', 'attention', 'matmul-row', ...LORA],
  ...['rms-norm', 'matmul-row', ...LORA, 'glu', 'matmul-row', ...LORA, 'rms-norm', 'matmul-row', 'matmul-row'],
  ...['sample-chunk', 'sample-merge'],
];

describe('demands', () => {
  const found = demandsOf(LABELS, WORK);
  const at = (label: string, nth = 0) => found[LABELS.flatMap((each, i) => (each === label ? [i] : []))[nth]!]!;

  test('of matmuls are those of their planes, by what their numbers take', () => {
    expect(at('matmul-row').part).toBe('qkv');
    expect(at('matmul-row').demand.flops).toBe(2 * 2 * 64 * 128);
    expect(at('matmul-row').demand.bytes).toBe(4 * 64 * 128 + 4 * 2 * (64 + 128));
    expect(at('matmul-row').demand.loads).toBe(tileLoads(2 * 2 * 64 * 128, 2, 8));
    expect([4, 5].map((nth) => at('matmul-row', nth).part)).toEqual(['head', 'head']);
    expect([4, 5].map((nth) => at('matmul-row', nth).demand.bytes)).toEqual([192, 64].map((outs) => 2 * 64 * outs + 4 * 2 * (64 + outs)));
    const oneRow = demandsOf(LABELS, { ...WORK, logitRows: 1 });
    expect(oneRow[LABELS.lastIndexOf('matmul-row')]!.demand.flops).toBe(2 * 64 * 64);
    // 8 of 10 loads are of weights, of which one brings twice as many
    expect(at('matmul-row', 4).demand.loads).toBeCloseTo(0.6 * tileLoads(2 * 2 * 64 * 192, 2, 8), 9);
  });

  test('of adapters are those of the ranks that they have at the group’s sites', () => {
    const numbers = 3 * 8 * 64 + 4 * 64;
    expect(at('shrink')).toMatchObject({ part: 'qkv', demand: { flops: 2 * numbers } });
    expect(at('shrink').demand.bytes).toBe(4 * numbers + 4 * 2 * 64 + 4 * (3 * 8 + 4));
    expect(at('expand').demand.flops).toBe(2 * (8 * 128 + 4 * 64));
    expect(at('shrink', 3)).toMatchObject({ part: 'down', demand: { flops: 2 * 8 * 96 } });
  });

  test('of a matrix that rows share count it once, and half of it where the pool is f16', () => {
    const shared = { ...WORK, adapters: [{ rows: 2, rank4: () => 8 }] };
    const bytes = (work: StepWork): number => demandsOf(LABELS, work)[3]!.demand.bytes;
    const rows = 2 * (4 * 64 + 3 * 4 * 8); // x is the same for all three sites
    expect(bytes(shared)).toBe(4 * 3 * 8 * 64 + rows);
    expect(bytes({ ...shared, poolType: 'f16' })).toBe(2 * 3 * 8 * 64 + rows);
    // a thread serves four rows at most
    const loads = demandsOf(LABELS, { ...shared, adapters: [{ rows: 8, rank4: () => 8 }] })[3]!.demand.loads;
    expect(loads).toBeCloseTo(tileLoads(2 * 8 * 3 * 8 * 64, 4, 8), 9);
  });

  test('of attention are those of the keys, of which rows of one sequence share what is read', () => {
    const { demand } = at('attention');
    expect(demand.flops).toBe(4 * (10 + 20) * 64);
    expect(demand.bytes).toBe(8 * (10 + 20) * 32 + 8 * 2 * 64);
    const prompt = { ...WORK, positions: [8, 9], sequences: [0, 0] };
    expect(demandsOf(LABELS, prompt)[6]!.demand).toMatchObject({ flops: 4 * 19 * 64, bytes: 8 * 10 * 32 + 8 * 2 * 64 });
  });

  test('of a family with windows, norms around and a cap on logits are those of what that takes', () => {
    const config = llamaConfig({ ...SIZES, norms: 'around', logitCap: 30, layerKinds: [{ window: 12, rope: 0 }] });
    const norms = LABELS.flatMap((label, i) => {
      if (label === 'sample-chunk') return ['softcap', label];
      // a norm behind what adapters add to o and to down
      return label === 'expand' && ['attention', 'glu'].includes(LABELS[i - 3]!) ? [label, 'rms-norm'] : [label];
    });
    const found = demandsOf(norms, { ...WORK, config });
    expect(found[norms.indexOf('attention')]!.demand).toMatchObject({ flops: 4 * (10 + 12) * 64, bytes: 8 * (10 + 12) * 32 + 8 * 2 * 64 });
    expect(found[norms.indexOf('softcap')]!.demand).toMatchObject({ bytes: 2 * 256 * 8 });
    expect(() => demandsOf(LABELS, { ...WORK, config })).toThrow(/3 dispatches of norm; its work has 5/);
  });

  test('of keys in splits are in the first of the two dispatches', () => {
    const labels = LABELS.flatMap((label) => (label === 'attention' ? ['wide-attention', 'wide-attention-merge'] : [label]));
    const found = demandsOf(labels, WORK);
    expect(found[6]!.demand).toEqual(at('attention').demand);
    expect(found[7]!.demand).toEqual({ flops: 0, bytes: 0, loads: 0 });
  });

  test('of the last norm are those of the logit rows; a step without any has no head', () => {
    expect(at('rms-norm', 2).demand.flops).toBe(2 * 64 * 4);
    const without = LABELS.slice(0, LABELS.indexOf('sample-chunk') - 3);
    expect(demandsOf(without, { ...WORK, logitRows: 0, samplers: 0 })).toHaveLength(without.length);
  });

  test('of other dispatches than the work has are none', () => {
    expect(() => demandsOf(LABELS.slice(0, 12), WORK)).toThrow(/dispatches of matmul/);
    expect(() => demandsOf(LABELS, { ...WORK, adapters: [] })).toThrow(/4 dispatches of shrink; its work has 0/);
    expect(() => demandsOf([...LABELS, 'conv'], WORK)).toThrow(/What conv computes/);
  });
});

describe('a step taken apart', () => {
  const ceilings = { launch: 0.5, flops: 1e6, stream: 1e3, loads: 1e3 };
  const demand = (bytes: number) => ({ part: undefined, demand: { flops: 2e6, bytes, loads: 0 } });

  test('puts every dispatch into one group, by kernel and place', () => {
    const groups = groupsOf(LABELS, demandsOf(LABELS, WORK));
    expect(groups.flatMap((group) => group.at).sort((a, b) => a - b)).toEqual(LABELS.map((_, i) => i));
    expect(groups.filter(({ kernel }) => kernel === 'matmul-row').map(({ part, at }) => [part, at.length])).toEqual([
      ...[
        ['qkv', 1],
        ['o', 1],
        ['gate and up', 1],
        ['down', 1],
        ['head', 2],
      ],
    ]);
  });

  test('is its kernels and gaps; each kernel has its rates, floor and share', () => {
    const demands = [demand(4e3), demand(1e3), demand(4e3)];
    const kernels = [
      { group: { kernel: 'b', part: undefined, at: [1] }, ms: [1, 3, 2] },
      { group: { kernel: 'a', part: 'o', at: [0, 2] }, ms: [10, 9, 20] },
    ] as const;
    const step = profiledStep({ step: 'decode', rows: 2, keys: 9, demands, kernels, whole: [16, 30, 15] }, ceilings);
    expect(step.kernels).toEqual([
      {
        kernel: 'a',
        part: 'o',
        dispatches: 2,
        ms: 10,
        gflops: 4e6 / 10 / 1e6,
        gigabytesPerSecond: 8e3 / 10 / 1e6,
        floorMs: 9,
        share: 0.625,
      },
      { kernel: 'b', dispatches: 1, ms: 2, gflops: 1, gigabytesPerSecond: 1e3 / 2 / 1e6, floorMs: 2.5, share: 0.125 },
    ]);
    expect(step).toMatchObject({
      launches: 3,
      launchesMs: 1.5,
      kernelsMs: 12,
      floorsMs: 11.5,
      gapsMs: 4,
      stepMs: 16,
      stepLeastMs: 15,
      stepMostMs: 30,
    });
    expect(step.stepOfFloors).toBeCloseTo(16 / 11.5, 12);
  });

  test('the floor is one launch and the scarcest of three', () => {
    const floor = (flops: number, bytes: number, loads: number): number => floorOf({ flops, bytes, loads }, ceilings);
    expect([floor(2e6, 1, 1), floor(1, 3e3, 1), floor(1, 1, 4e3), floor(0, 0, 0)]).toEqual([2.5, 3.5, 4.5, 0.5]);
    expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5]);
  });
});

describe('the timer', () => {
  /** A clock on which each dispatch takes so long. */
  const clock = (kind: 'timestamps' | 'results', each: number, way = 0) => {
    const samples: number[] = [];
    const time = async ({ dispatches }: { readonly dispatches: readonly unknown[] }, repeats: number): Promise<number> => {
      samples.push(repeats);
      return (way + each * dispatches.length * repeats) / repeats;
    };
    return { clock: { kind, time }, samples };
  };
  const two = [{}, {}] as never;

  test('repeats until a sample takes 5 ms, and as often from then on', async () => {
    const { clock: of, samples } = clock('timestamps', 0.01);
    const time = await createTimer(of);
    expect(await time(two)).toBeCloseTo(0.02, 12);
    expect(samples.at(-1)! * 0.02).toBeGreaterThanOrEqual(5);
    const before = samples.length;
    expect(await time(two)).toBeCloseTo(0.02, 12);
    expect(samples.slice(before)).toEqual([samples[before - 1]]);
  });

  test('takes off the way back of a result, and outlasts it', async () => {
    const { clock: of, samples } = clock('results', 0.01, 11);
    const time = await createTimer(of);
    expect(await time(two)).toBeCloseTo(0.02, 9);
    expect(samples.at(-1)! * 0.02).toBeGreaterThanOrEqual(44);
  });

  test('ends on a clock that stands still', async () => {
    const { clock: of, samples } = clock('timestamps', 0);
    expect(await (await createTimer(of))(two)).toBe(0);
    expect(samples.at(-1)).toBe(10_000);
    expect([nextCount(1, 0, 5), nextCount(10, 4.9, 5)]).toEqual([32, 15]);
  });
});

describe('ceilings', () => {
  test.each([true, false])('of streams read every byte once, evenly: software %s', (software) => {
    for (const wanted of [1, 5e6, 128 << 20]) {
      const { source, sink } = ceilingBytes(software, wanted);
      expect(source).toBeGreaterThanOrEqual(wanted);
      expect(source).toBeLessThanOrEqual(128 << 20);
      for (const { kind, kernel, constants, threads, work } of attemptsOf(software, [source])) {
        expect(threads * 16).toBeLessThanOrEqual(sink);
        if (kind === 'launch') continue;
        expect(constants['COUNT']! % 8).toBe(0);
        if (kernel.label !== 'ceiling-stream') continue;
        const { COUNT, APART, STEP } = constants as Record<'COUNT' | 'APART' | 'STEP', number>;
        expect([threads * COUNT * 16, work]).toEqual([source, source]);
        // either a thread's own lie together, or those of all threads
        expect([APART, STEP]).toEqual(STEP === 1 ? [COUNT, 1] : [1, threads]);
      }
    }
  });

  test('are those of the best attempts, measured anew', async () => {
    const attempts = attemptsOf(true, [ceilingBytes(true, 1).source]);
    const speed = new Map(attempts.map((attempt, i) => [attempt, 1 + i]));
    let slower = 1;
    const bed = {
      prepare: async (attempt: Attempt) => attempt,
      time: async (attempt: Attempt) => (slower * attempt.work) / speed.get(attempt)!,
    };
    const meter = await openCeilings(bed, attempts);
    const last = (kind: Attempt['kind']): number => attempts.findLastIndex((attempt) => attempt.kind === kind) + 1;
    slower = 2;
    const { launch, ...rates } = await meter.now();
    expect(rates).toEqual({ flops: last('flops') / 2, stream: last('stream') / 2, loads: last('loads') / 2 });
    expect(launch).toBe(2 / last('launch'));
    expect(meter.tried.filter(({ best }) => best)).toHaveLength(4);
  });
});

describe('profile', () => {
  const gpu = { requestAdapter: async () => null };

  test('refuses what it does not know and what cannot be', async () => {
    await expect(profile({ gpu, model: 'm', row: 1 } as never)).rejects.toThrow(TypeError);
    await expect(profile({ gpu, model: 'm', rows: 0 })).rejects.toMatchObject({ code: 'request_invalid', param: 'rows' });
    await expect(profile({ gpu, model: 'm', quantize: 'q2' as never })).rejects.toMatchObject({ code: 'request_invalid' });
  });

  test('ends before it begins where the caller has left', async () => {
    const reason = new Error('left');
    await expect(profile({ gpu, model: 'm', signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});
