import { CHUNK_SAMPLER, type SamplerVariant } from '../../src/kernels/variants.ts';
import type { SampleOptions } from '../reference/sample.ts';
import { bits, checkSame, uniform, type Floats, type Harness, type Words } from './kernel-harness.ts';
import { chunksOf, greedy, runSampling, type SampleHarness, type Sampling } from './kernel-sampling.ts';
import type { StepSampler } from './kernel-step.ts';
import { adjustCases } from './kernels-adjust.ts';
import { filterCases } from './kernels-filter.ts';
import { sampleCases } from './kernels-sample.ts';
import type { Case } from './suite.ts';

const withForm = (harness: () => Promise<Harness>, sampler: SamplerVariant) => async (): Promise<SampleHarness> => ({
  ...(await harness()),
  sampler,
});

const named = ({ name }: SamplerVariant, cases: readonly Case[]): Case[] =>
  cases.map((each) => ({ ...each, name: `${each.name}, ${name} sampler` }));

/** A form of the sampler against plain loops. */
export function samplerCases(harness: () => Promise<Harness>, sampler: SamplerVariant): Case[] {
  const form = withForm(harness, sampler);
  return named(
    sampler,
    [sampleCases, filterCases, adjustCases].flatMap((cases) => cases(form)),
  );
}

/** Every kind of option, and none, in one step. */
const OPTIONS: readonly (SampleOptions & { readonly temperature?: number; readonly adjusts?: 'yes' })[] = [
  {},
  { temperature: 1 },
  { temperature: 0.7, topK: 1 },
  { temperature: 1, topK: 40 },
  { adjusts: 'yes', repetitionPenalty: 1.3, presencePenalty: 0.5, frequencyPenalty: 0.25 },
  { temperature: 1.5, topP: 0.9 },
  { temperature: 30, topP: 0.3 },
  { temperature: 1, minP: 0.05 },
  { temperature: 0.8, topK: 50, topP: 0.95, minP: 0.01 },
  { temperature: 1e5, topK: 7, topP: 0.5 },
  { temperature: 1.1, topK: 12, topP: 0.999_999, adjusts: 'yes', repetitionPenalty: 1.2, frequencyPenalty: -0.5 },
  { temperature: 0.05, topK: 1_000_000, topP: 0.6 },
];

/** Small whole numbers, many of them equal; zeros of both signs. */
const tied = (vocabulary: number, seed: number): Floats => uniform(seed)(vocabulary, 2).map((value) => Math.round(value));

/** Rows of all kinds: spread, peaked, tied, all equal, all zeros, huge, and with what is no number. */
function rowsOf(vocabulary: number): Floats[] {
  const last = vocabulary - 1;
  const bad = [0x7fc00000, 0xff800000].map((word, i) => {
    const row = uniform(6 + i)(vocabulary, 2);
    bits(row)[i === 0 ? last : last >> 1] = word;
    return row;
  });
  const zeros = new Float32Array(vocabulary).map((_, i) => (i % 3 === 0 ? 0 : -0));
  const spread = [uniform(1)(vocabulary, 8), uniform(2)(vocabulary, 2).map((value) => value ** 5), uniform(3)(vocabulary, 0.5)];
  return [...spread, tied(vocabulary, 4), new Float32Array(vocabulary).fill(-2.5), zeros, uniform(5)(vocabulary, 3.4e38), ...bad];
}

/** The best of each few neighbouring chunks, as one that spans them has it. */
function spanned(best: Words, chunks: number, samplers: number, span: number): number[] {
  const scores = new Float32Array(best.buffer, best.byteOffset, best.length);
  const found: number[] = [];
  for (let sampler = 0; sampler < samplers; sampler++) {
    for (let first = 0; first < chunks; first += span) {
      let top = sampler * chunks + first;
      let poisoned = 0;
      for (let at = top; at < sampler * chunks + Math.min(first + span, chunks); at++) {
        poisoned |= best[4 * at + 2]!;
        if (scores[4 * at]! > scores[4 * top]!) top = at;
      }
      // a zero's sign is nobody's business
      found.push(scores[4 * top]! + 0, best[4 * top + 1]!, poisoned);
    }
  }
  return found;
}

/** Samplers of one step in a form and in the narrow one: tokens, states, counts, cuts, and everything on the way to these. */
async function checkSameBits(harness: SampleHarness, sampling: Sampling): Promise<void> {
  const { vocabulary, samplers } = sampling;
  const found = await runSampling(harness, sampling);
  const expected = await runSampling({ ...harness, sampler: CHUNK_SAMPLER }, sampling);
  for (const buffer of ['ids', 'state', 'adjust', 'trail'] as const)
    checkSame(`${buffer}, ${vocabulary} tokens`, found[buffer], expected[buffer]);
  const chunks = chunksOf(harness.sampler, vocabulary);
  const narrow = chunksOf(CHUNK_SAMPLER, vocabulary);
  const span = chunksOf(CHUNK_SAMPLER, 1 << 20) / chunksOf(harness.sampler, 1 << 20);
  checkSame(
    `candidates, ${vocabulary} tokens`,
    spanned(found.best, chunks, samplers.length, 1),
    spanned(expected.best, narrow, samplers.length, span),
  );
}

async function checkVocabulary(harness: SampleHarness, vocabulary: number): Promise<void> {
  const rows = rowsOf(vocabulary);
  const within = (tokens: readonly number[]): number[] => tokens.filter((token) => token < vocabulary);
  const bias = Object.fromEntries([[0, 0.75], ...(vocabulary > 90 ? [[90, -30] as const] : [])]);
  const one = { prompt: within([0, 2, 250]), generated: within([0, 3, 3, 17, 999]), bias };
  const seen = { 4: one, 10: { ...one, prompt: [] } };
  // every option with every row, or with every third of them
  for (let turn = 0; turn < rows.length; turn += vocabulary > 1000 ? 3 : 1) {
    const samplers = OPTIONS.map(({ temperature, ...options }, i): StepSampler => ({
      ...greedy((i + turn) % rows.length, i),
      inverseTemperature: temperature === undefined ? 0 : Math.fround(1 / temperature),
      seed: [turn, i],
      position: 7 + i,
      ...options,
    }));
    await checkSameBits(harness, { vocabulary, logits: rows, samplers, seen });
  }
}

/** A form of the sampler against the narrow one, bit for bit. */
export function sameBitsCases(harness: () => Promise<Harness>, sampler: SamplerVariant, vocabularies: readonly number[]): Case[] {
  const form = withForm(harness, sampler);
  const cases = vocabularies.map((vocabulary) => ({
    name: `sampling from ${vocabulary} tokens in the bits of the narrow sampler`,
    run: async () => checkVocabulary(await form(), vocabulary),
  }));
  return named(sampler, cases);
}
