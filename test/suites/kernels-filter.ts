import { TRAIL_WORDS } from '../../src/kernels/sampler-layout.ts';
import { INERT, POISONED } from '../../src/kernels/step-layout.ts';
import { kept, sample, type SampleInput, type SampleOptions } from '../reference/sample.ts';
import { bits, checkSame, uniform } from './kernel-harness.ts';
import type { Floats, Words } from './kernel-harness.ts';
import {
  chunksOf,
  greedy,
  runSampling,
  scoresOf,
  twinInput,
  type SampleHarness,
  type Sampling,
  type SamplingResult,
} from './kernel-sampling.ts';
import type { StepSampler } from './kernel-step.ts';
import { check, type Case } from './suite.ts';

/** Nats and shares of mass by which a kernel's thresholds may lie beside the twin's. */
const SLACK = 2e-5;
/** Below it the two best scores are too close to tell. */
const THIN = 1e-4;

/** Each filter alone, at its ends, and together. */
const OPTIONS: readonly SampleOptions[] = [
  { topK: 1 },
  { topK: 2 },
  { topK: 7 },
  { topK: 40 },
  { topK: 1_000_000 },
  { topP: 1e-6 },
  { topP: 0.3 },
  { topP: 0.9 },
  { topP: 0.999_999 },
  { minP: 1 },
  { minP: 0.1 },
  { minP: 1e-3 },
  { topK: 20, topP: 0.8 },
  { topK: 50, topP: 0.5, minP: 0.02 },
  { topK: 3, minP: 0.9 },
  { topP: 0.95, minP: 0.05 },
];

const TEMPERATURES: readonly number[] = [1, 0.7, 1.5, 0.05, 30, 1e5, 1e-5];

function samplersOf(rows: number, seed: number, more: Partial<StepSampler> = {}): StepSampler[] {
  return OPTIONS.map((options, i) => ({
    ...greedy(i % rows, 0),
    inverseTemperature: Math.fround(1 / TEMPERATURES[(i + seed) % TEMPERATURES.length]!),
    seed: [seed, i] as const,
    position: 5 + i,
    ...options,
    ...more,
  }));
}

/** What sample-digit wrote for sample-chunk: largest logit, scale, cut. */
const cutOf = (trail: Words, index: number): Words => trail.subarray((index + 1) * TRAIL_WORDS - 4, (index + 1) * TRAIL_WORDS);

/** Which tokens sample-digit's cut leaves, in the kernel's own arithmetic. */
function leftBy(cut: Words, values: ArrayLike<number>): boolean[] {
  const [largest, scale] = new Float32Array(cut.buffer, cut.byteOffset, 2);
  return Array.from(values, (value) => {
    const depth = Math.fround(Math.fround(largest! - value) * scale!);
    return Math.trunc(Math.max(0, Math.min(depth, Math.fround(31.999998))) * 2 ** 19) <= cut[2]!;
  });
}

/**
 * Every token that is surely left is left, every token that is surely out is out, but for those so far below the largest that noise can
 * not lift them; a token's margin decides which one is drawn.
 */
function checkDraw(what: string, input: SampleInput, found: SamplingResult, index: number): 'decided' | 'thin' {
  const loose = kept(input, SLACK);
  const tight = kept(input, -SLACK);
  if (input.seen === undefined) {
    const largest = Array.from(input.logits).reduce((a, b) => Math.max(a, b));
    const left = leftBy(cutOf(found.trail, index), input.logits);
    for (const [token, is] of left.entries()) {
      check(is || !tight[token], () => `${what}: token ${token} (${input.logits[token]}) was left out`);
      const deep = (largest - input.logits[token]!) * input.inverseTemperature > 31;
      check(!is || loose[token]! || deep, () => `${what}: token ${token} (${input.logits[token]}) was left`);
    }
  }
  const { token, margin, score } = sample(input, loose)!;
  const id = found.ids[index]!;
  check(loose[id]!, () => `${what}: token ${id} was drawn, which is left out`);
  if (!tight[token] || margin < THIN * Math.max(1, Math.abs(score))) return 'thin';
  checkSame(`${what}: token drawn with a margin of ${margin}`, [id], [token]);
  return 'decided';
}

async function checkOptions(harness: SampleHarness, vocabulary: number, rows: readonly Floats[], seed: number, most = 16): Promise<void> {
  const samplers = samplersOf(rows.length, seed).slice(-most);
  const sampling: Sampling = { vocabulary, logits: rows, samplers };
  const found = await runSampling(harness, sampling);
  let decided = 0;
  for (const [i, sampler] of sampling.samplers.entries()) {
    const temperature = 1 / sampler.inverseTemperature;
    const what = `${vocabulary} tokens, temperature ${temperature}, ${JSON.stringify(sampler)}`;
    if (checkDraw(what, twinInput(sampling, sampler), found, i) === 'decided') decided++;
  }
  check(decided >= samplers.length / 2, () => `only ${decided} draws from ${vocabulary} tokens were decided`);
}

const steps = (vocabulary: number, seed: number, values: number): Floats =>
  uniform(seed)(vocabulary, values).map((value) => Math.round(value));

async function checkVocabulary(harness: SampleHarness, vocabulary: number): Promise<void> {
  const peaked = uniform(3)(vocabulary, 2).map((value) => value ** 5);
  await checkOptions(harness, vocabulary, [uniform(vocabulary)(vocabulary, 6), peaked, uniform(4)(vocabulary, 0.5)], 1);
  await checkOptions(harness, vocabulary, [uniform(7)(vocabulary, 20), uniform(8)(vocabulary, 3)], 4);
}

async function checkTies(harness: SampleHarness): Promise<void> {
  for (const vocabulary of [3, 255, 1000]) {
    const equal = new Float32Array(vocabulary).fill(-2.5);
    await checkOptions(harness, vocabulary, [steps(vocabulary, 1, 2), steps(vocabulary, 2, 9), equal], 2);
  }
}

/** Ties with the last of the likeliest k stay, and are drawn. */
async function checkTiedDraws(harness: SampleHarness): Promise<void> {
  const logits = Float32Array.of(1, 5, 3, 3, 0, 3, 5, -0, 0);
  const draws = 400;
  const options: readonly (readonly [SampleOptions, readonly number[]])[] = [
    [{ topK: 1 }, [1, 6]],
    [{ topK: 3 }, [1, 2, 3, 5, 6]],
    [{ topK: 7 }, [0, 1, 2, 3, 4, 5, 6, 7, 8]],
    [{ minP: 1 }, [1, 6]],
    [{ topP: 0.01 }, [1, 6]],
  ];
  const samplers = options.flatMap(([each], i) =>
    Array.from({ length: draws }, (_, n): StepSampler => ({ ...greedy(0, 0), inverseTemperature: 0.1, seed: [n, i], ...each })),
  );
  const { ids } = await runSampling(harness, { vocabulary: logits.length, logits: [logits], samplers });
  for (const [i, [each, expected]] of options.entries()) {
    const drawn = [...new Set(ids.subarray(i * draws, (i + 1) * draws))].sort((a, b) => a - b);
    checkSame(`tokens drawn with ${JSON.stringify(each)}`, drawn, expected);
  }
}

/** How often each token is drawn, against its probability: Pearson's chi-square stays below its mean and five deviations. */
async function checkMass(harness: SampleHarness): Promise<void> {
  const logits = Float32Array.of(0.3, -1, 2, 1.5, 0, 1.9, -4, 1, 0.5, -0.5, 1.2);
  const draws = 1000;
  const mixed: readonly SampleOptions[] = [{}, { topK: 4 }, { topP: 0.7 }, { topK: 6, topP: 0.9, minP: 0.1 }];
  const samplers = mixed.flatMap((options, i) =>
    Array.from({ length: draws }, (_, n): StepSampler => ({
      ...greedy(0, 0),
      inverseTemperature: Math.fround(1 / 1.3),
      seed: [n * 7, i],
      position: n % 50,
      ...options,
    })),
  );
  const sampling: Sampling = { vocabulary: logits.length, logits: [logits], samplers };
  const { ids } = await runSampling(harness, sampling);
  for (const [i, options] of mixed.entries()) {
    const left = kept(twinInput(sampling, samplers[i * draws]!));
    const weights = Array.from(logits, (logit, token) => (left[token] ? Math.exp(logit / 1.3) : 0));
    const total = weights.reduce((a, b) => a + b);
    const drawn = ids.subarray(i * draws, (i + 1) * draws);
    let chi = 0;
    for (const [token, weight] of weights.entries()) {
      const count = drawn.filter((id) => id === token).length;
      if (weight === 0) check(count === 0, () => `${JSON.stringify(options)}: token ${token} was drawn ${count} times`);
      else chi += (count - (draws * weight) / total) ** 2 / ((draws * weight) / total);
    }
    const freedom = left.filter(Boolean).length - 1;
    const most = freedom + 5 * Math.sqrt(2 * freedom);
    check(chi < most, () => `${JSON.stringify(options)}: chi-square ${chi}, at most ${most} expected`);
  }
}

/** A sampler beside others, with options and without, draws what it draws alone, from the same bits. */
async function checkBeside(harness: SampleHarness): Promise<void> {
  const vocabulary = 1000;
  const logits = [uniform(1)(vocabulary, 5), uniform(2)(vocabulary, 2), uniform(3)(vocabulary, 1)];
  const seen = { 4: { prompt: [1, 2, 3], generated: [7, 7, 8], bias: { 5: 3, 900: -2 } } };
  const adjusting = { stateSlot: 4, adjusts: 'yes', repetitionPenalty: 1.3, presencePenalty: 0.5, frequencyPenalty: 0.25 } as const;
  const plain: StepSampler = { ...greedy(1, 5), inverseTemperature: Math.fround(1.1), seed: [9, 1], position: 3 };
  const samplers: StepSampler[] = [greedy(0, 6), plain, ...samplersOf(3, 3).slice(5, 14), { ...plain, ...adjusting, topP: 0.9, topK: 30 }];
  const together = await runSampling(harness, { vocabulary, logits, samplers, seen });
  const chunks = chunksOf(harness.sampler, vocabulary);
  for (const [i, sampler] of samplers.entries()) {
    const alone = await runSampling(harness, { vocabulary, logits, samplers: [sampler], seen });
    checkSame(`token of sampler ${i} alone`, alone.ids.subarray(0, 1), together.ids.subarray(i, i + 1));
    const candidates = together.best.subarray(i * chunks * 4, (i + 1) * chunks * 4);
    checkSame(`candidates of sampler ${i} alone`, alone.best.subarray(0, chunks * 4), candidates);
    if (sampler.topK ?? sampler.topP ?? sampler.minP) {
      checkSame(`cut of sampler ${i} alone`, cutOf(alone.trail, 0), cutOf(together.trail, i));
    }
  }
}

/** Numbers at the ends of f32, and rows that are not finite: what is finite gives a token, what is not fails alone. */
async function checkEnds(harness: SampleHarness): Promise<void> {
  const vocabulary = 257;
  const huge = uniform(5)(vocabulary, 3.4e38);
  const nearly = uniform(6)(vocabulary, 1).map((value) => Math.fround(7 + value * 1e-6));
  const wide = uniform(7)(vocabulary, 1);
  wide.set([-1e30, -3e38, 3e38], 250);
  const bad = uniform(8)(vocabulary, 2);
  bits(bad)[256] = 0x7fc00000;
  for (const inverseTemperature of [1, Math.fround(1e5), Math.fround(1e-6)]) {
    const samplers = [0, 1, 2, 3].flatMap((row) =>
      OPTIONS.map((options): StepSampler => ({ ...greedy(row, 0), inverseTemperature, seed: [row, 1], ...options })).slice(
        row * 2,
        row * 2 + 8,
      ),
    );
    const { ids, best } = await runSampling(harness, { vocabulary, logits: [huge, nearly, wide, bad], samplers });
    for (const [i, { logitRow }] of samplers.entries()) {
      const where = `row ${logitRow}, 1 / temperature ${inverseTemperature}, sampler ${i}`;
      if (logitRow === 3) checkSame(where, [ids[i]!], [POISONED]);
      else check(ids[i]! < vocabulary, () => `${where}: id ${ids[i]}`);
      for (const score of scoresOf(best, i, chunksOf(harness.sampler, vocabulary)))
        check(Number.isFinite(score) || logitRow === 3, () => `${where}: a score of ${score}`);
    }
  }
}

/** The sequence's row of the state decides, and whether its token was given. */
async function checkDone(harness: SampleHarness): Promise<void> {
  const logits = [Float32Array.of(0, 3, 1, 2), Float32Array.of(4, 0, 0, 0)];
  const samplers: StepSampler[] = [
    { ...greedy(0, 0), token: 'state' },
    { ...greedy(0, 1), token: 'state' },
    { ...greedy(0, 2), token: 'given' },
    { ...greedy(0, 3), token: 'state', endTokens: [2, 1] },
    { ...greedy(1, 4), token: 'state', endTokens: [2, 1, 3] },
    { ...greedy(1, 5), token: 'given', endTokens: [0] },
    { ...greedy(0, 6), token: 'state', adjusts: 'yes', endTokens: [1] },
    { ...greedy(0, 7), token: 'state', adjusts: 'yes' },
  ];
  const nothing = { prompt: [], generated: [], bias: {} };
  const state = Uint32Array.from({ length: 24 }, (_, i) => (i % 2 === 0 ? 3 : [1, 0, 1, 0, 0, 1, 1, 0, 1, 1, 1, 1][i >> 1]!));
  const { ids, adjust } = await runSampling(harness, { vocabulary: 4, logits, samplers, state, seen: { 6: nothing, 7: nothing } });
  checkSame('ids', ids.subarray(0, 8), [INERT, 1, 1, 1, 0, 0, INERT, 1]);
  checkSame('counts of slots 6 and 7', [adjust[(6 * 4 + 1) * 2]!, adjust[(7 * 4 + 1) * 2]!], [0, 1]);
}

/** Samplers that leave tokens out. */
export function filterCases(harness: () => Promise<SampleHarness>): Case[] {
  const cases: Case[] = [1, 3, 255, 257, 1000].map((vocabulary) => ({
    name: `sampling from ${vocabulary} tokens by top-k, top-p and min-p, alone and together`,
    run: async () => checkVocabulary(await harness(), vocabulary),
  }));
  const add = (name: string, run: (device: SampleHarness) => Promise<void>): void => {
    cases.push({ name, run: async () => run(await harness()) });
  };
  add('sampling from 49152 tokens by top-k, top-p and min-p', (device) => {
    const rows = [uniform(1)(49_152, 8), uniform(2)(49_152, 2).map((value) => value ** 5)];
    return checkOptions(device, 49_152, rows, 0, 4);
  });
  add('sampling by filters among equal logits keeps ties together', checkTies);
  add('sampling among ties with the last token that is kept', checkTiedDraws);
  add('sampling draws tokens as often as their probability says', checkMass);
  add('sampling beside others: the same bits as alone', checkBeside);
  add('sampling with filters: ends of f32 and rows that are not finite', checkEnds);
  add('sampling: a sequence that is done is inert until it starts again', checkDone);
  return cases;
}
