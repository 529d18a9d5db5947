import { COMMON } from '../kernels/libraries.ts';
import { BIN_WORDS, FILTER_CHUNK, FILTER_STAGES, TRAIL_WORDS, SAMPLE_CHUNK } from '../kernels/sampler-layout.ts';
import { POISONED } from '../kernels/step-layout.ts';
import { GREEDY, type SamplerSettings } from '../model/sampling.ts';
import { bitsOf, planOf, poison, rowsOf, sixtyFourths, STEP, type KernelCase } from './kernel-data.ts';
import { samplerTwin, type SamplerTwin } from './sampler-twin.ts';

/** No multiple of 4; more than one chunk of every form. */
const VOCABULARY = 4_101;
/** Tokens that share the largest logit, in two chunks of every form. */
const TIED: readonly number[] = [3_000, 3_001, 4_100];
/** A high temperature gives all that a filter leaves nearly the same chance: a wrong cut shows. */
const HOT = 40;

export const SAMPLERS: readonly SamplerSettings[] = [
  GREEDY,
  { ...GREEDY, repetitionPenalty: 2, frequencyPenalty: 0.5, adjusts: 'yes' },
  { ...GREEDY, temperature: 1, seed: 5 },
  { ...GREEDY, temperature: HOT, topK: 5, seed: 6 },
  { ...GREEDY, temperature: 2, topP: 0.25, seed: 7 },
  { ...GREEDY, temperature: HOT, minP: 0.99, seed: 8 },
  { ...GREEDY, temperature: HOT, topK: 90, topP: 0.5, seed: 9 },
  { ...GREEDY, temperature: 1, topK: 20, seed: 10 },
];

/** Each sampler with the logits of its row; the last one's are poisoned. */
export function samplerTwins(): (SamplerTwin & { readonly logits: Float32Array<ArrayBuffer> })[] {
  return SAMPLERS.map((settings, slot) => {
    const logits = sixtyFourths(31 + slot)(VOCABULARY).map((value) => 8 * value);
    for (const token of TIED) logits[token] = 8.5;
    if (slot === SAMPLERS.length - 1) logits[1_500] = Number.NaN;
    return { settings, logits, position: 11 + slot, seen: settings.adjusts === 'yes' ? seen() : undefined };
  });
}

/** Samplers of every kind in one step: as many as a step of cases may have. */
export function samplerCase(): KernelCase {
  const stride = Math.ceil(VOCABULARY / 4) * 4;
  const plan = planOf(SAMPLERS.map((sampler, slot) => rowsOf(slot, 10 + slot, 1, { logitRows: 1, sampler })));
  const twins = samplerTwins();
  const logits = poison(SAMPLERS.length * stride, 'input');
  for (const [slot, twin] of twins.entries()) logits.set(bitsOf(twin.logits), slot * stride);
  const words = (count: number) => poison(SAMPLERS.length * count, 'output');
  const stages = Object.values(FILTER_STAGES).flat();
  return {
    role: 'sampler',
    name: `${SAMPLERS.length} samplers of ${VOCABULARY} tokens`,
    rows: SAMPLERS.length,
    specialisation: { constants: { ...STEP, VOCABULARY, LOGITS_STRIDE4: stride / 4, OPTIONS: true }, libraries: COMMON },
    buffers: {
      step: plan.words,
      logits,
      adjust: adjustTable(stride),
      extremes: words(2 * Math.ceil(VOCABULARY / FILTER_CHUNK)),
      bins: words(BIN_WORDS),
      trail: words(TRAIL_WORDS),
      best: words(4 * Math.ceil(VOCABULARY / SAMPLE_CHUNK)),
      state: new Uint32Array(2 * SAMPLERS.length),
      ids: words(1),
      ...Object.fromEntries(stages.map((stage) => [`stage ${stage}`, Uint32Array.of(stage)])),
    },
    output: 'ids',
    holds: 'words',
    rowLength: 1,
    work: { samplers: SAMPLERS.length, vocabulary: VOCABULARY },
    expected: () => Uint32Array.from(twins, (twin) => samplerTwin(twin) ?? POISONED),
  };
}

/** What was generated, and a bias on others: those that share the largest logit come down to below another. */
function seen(): NonNullable<SamplerTwin['seen']> {
  const times = new Array<number>(VOCABULARY).fill(0);
  const bias = new Array<number>(VOCABULARY).fill(0);
  for (const [i, token] of TIED.entries()) times[token] = i + 1;
  bias[77] = 20;
  bias[2_900] = 19;
  return { times, bias };
}

/** Counts and biases of each slot and token, two words each; those of slots whose samplers do not look are poison. */
function adjustTable(stride: number): Uint32Array<ArrayBuffer> {
  const words = poison(2 * stride * SAMPLERS.length, 'input');
  for (const [slot, { adjusts }] of SAMPLERS.entries()) {
    if (adjusts === 'no') continue;
    const { times, bias } = seen();
    const biases = bitsOf(Float32Array.from(bias));
    for (let token = 0; token < stride; token++) words.set([times[token] ?? 0, biases[token] ?? 0], 2 * (slot * stride + token));
  }
  return words;
}
