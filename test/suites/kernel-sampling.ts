import { COMMON } from '../../src/kernels/libraries.ts';
import { BIN_WORDS, FILTER_CHUNK, FILTER_STAGES, TRAIL_WORDS } from '../../src/kernels/sampler-layout.ts';
import { IN_PROMPT, INERT, POISONED, SAMPLER_FLAGS, stepConstants, stepLayout, type StepLayout } from '../../src/kernels/step-layout.ts';
import type { SamplerVariant } from '../../src/kernels/variants.ts';
import type { Constant, Kernel } from '../../src/gpu/kernel.ts';
import type { SampleInput, Seen } from '../reference/sample.ts';
import { bits, checkSame, poison } from './kernel-harness.ts';
import type { Floats, Harness, Words } from './kernel-harness.ts';
import { flagsOf, floatBits, stepWords, type StepSampler } from './kernel-step.ts';
import { check } from './suite.ts';

export const STATE_SLOTS = 12;

/** Room for this many samplers in the steps of these tests; more for those that count many draws. */
const LAYOUT = stepLayout({ rows: 4, logitRows: 4, samplers: 32 });
const CROWDED = stepLayout({ rows: 4, logitRows: 4, samplers: 4096 });

const OPTIONS = SAMPLER_FLAGS.adjusts | SAMPLER_FLAGS.filters;

/** A device, and the form of the sampler that is looked at. */
export interface SampleHarness extends Harness {
  readonly sampler: SamplerVariant;
}

/** Tokens of a chunk. */
export const chunkOf = ({ label, ownConstants }: Kernel): number => {
  const quads = ownConstants?.['CHUNK4'];
  check(typeof quads === 'number', () => `${label} has no CHUNK4 of its own`);
  return 4 * quads;
};

/** How many candidates a sampler has. */
export const chunksOf = ({ chunk }: SamplerVariant, vocabulary: number): number => Math.ceil(vocabulary / chunkOf(chunk.kernel));

export interface Sampling {
  readonly vocabulary: number;
  /** (vocabulary) each, by logit row. */
  readonly logits: readonly Floats[];
  readonly samplers: readonly StepSampler[];
  /** By state slot: the rows of the adjust table that are filled; the others are poison. */
  readonly seen?: Readonly<Record<number, Seen>>;
  /** By state slot: token and done. */
  readonly state?: Words;
}

export interface SamplingResult {
  readonly ids: Words;
  readonly state: Words;
  readonly adjust: Words;
  readonly best: Words;
  /** What sample-digit left; nothing where no sampler filters. */
  readonly trail: Words;
}

/** A whole sampler: extremes, digit, chunk, merge. Rows of logits end in poison, as the last quad of a vocabulary may. */
export async function runSampling(harness: SampleHarness, sampling: Sampling): Promise<SamplingResult> {
  const { vocabulary, logits, samplers, seen = {} } = sampling;
  const stride = Math.ceil(vocabulary / 4) * 4 + 4;
  const { chunk } = harness.sampler;
  const chunks = chunksOf(harness.sampler, vocabulary);
  const layout = samplers.length > LAYOUT.limits.samplers ? CROWDED : LAYOUT;
  const step = stepWords({ samplers }, layout);
  const rows = poison((logits.length + 1) * stride, 'input');
  for (const [row, values] of logits.entries()) rows.set(bits(values), row * stride);
  const adjust = adjustTable(vocabulary, seen);
  const flags = samplers.reduce((all, sampler) => all | flagsOf(sampler), 0);
  const constants = { ...stepConstants(layout), VOCABULARY: vocabulary, LOGITS_STRIDE4: stride / 4 };
  const trail =
    (flags & SAMPLER_FLAGS.filters) === 0 ? poison(0, 'input') : await runFilter(harness, { step, constants, rows, adjust, samplers });
  const found = await harness.run({
    kernel: chunk.kernel,
    constants: { ...constants, OPTIONS: (flags & OPTIONS) !== 0 },
    libraries: COMMON,
    buffers: { step, logits: rows, adjust, trail, best: poison((samplers.length + 1) * chunks * 4, 'output') },
    threads: chunk.threads({ samplers: samplers.length, vocabulary }),
  });
  const behind = found.best.subarray(samplers.length * chunks * 4);
  checkSame('sample-chunk behind the last sampler', behind, poison(behind.length, 'output'));
  const merged = await runMerge(harness, { ...sampling, layout, best: found.best, adjust });
  return { ...merged, best: found.best, trail };
}

interface Filtering {
  readonly step: Words;
  readonly constants: Readonly<Record<string, Constant>>;
  readonly rows: Words;
  readonly adjust: Words;
  readonly samplers: readonly StepSampler[];
}

/** sample-extremes, then every stage of sample-digit that one of the samplers needs. */
async function runFilter(harness: SampleHarness, { step, constants, rows, adjust, samplers }: Filtering): Promise<Words> {
  const { extremes, digit } = harness.sampler;
  const work = { samplers: samplers.length, vocabulary: constants['VOCABULARY'] as number };
  const shared = { constants, libraries: COMMON };
  const first = await harness.run({
    ...shared,
    kernel: extremes.kernel,
    buffers: {
      step,
      logits: rows,
      adjust,
      extremes: poison(samplers.length * Math.ceil(work.vocabulary / FILTER_CHUNK) * 2, 'output'),
      bins: poison(samplers.length * BIN_WORDS, 'output'),
    },
    threads: extremes.threads(work),
  });
  let bins = first.bins;
  let trail = poison(samplers.length * TRAIL_WORDS, 'output');
  const filtering = samplers.filter((sampler) => (flagsOf(sampler) & SAMPLER_FLAGS.filters) !== 0);
  const stages = [
    ...(filtering.some(({ topK = 0 }) => topK > 0) ? FILTER_STAGES.topK : []),
    ...(filtering.some(({ topP = 1 }) => topP < 1) ? FILTER_STAGES.topP : []),
    FILTER_STAGES.settle,
  ];
  for (const stage of stages) {
    ({ bins, trail } = await harness.run({
      ...shared,
      kernel: digit.kernel,
      buffers: { step, stages: Uint32Array.of(stage), logits: rows, adjust, extremes: first.extremes, bins, trail },
      threads: digit.threads(work),
    }));
  }
  return trail;
}

export interface Merging extends Pick<Sampling, 'vocabulary' | 'samplers' | 'state'> {
  readonly layout?: StepLayout;
  readonly best: Words;
  readonly adjust?: Words;
}

/** sample-merge; what is nobody's must stay. */
export async function runMerge(harness: SampleHarness, merging: Merging) {
  const { vocabulary, layout = LAYOUT, best, samplers, adjust = adjustTable(vocabulary, {}) } = merging;
  const before = merging.state ?? poison(STATE_SLOTS * 2, 'output');
  const found = await harness.run({
    kernel: harness.sampler.merge.kernel,
    constants: { ...stepConstants(layout), VOCABULARY: vocabulary },
    libraries: COMMON,
    buffers: { step: stepWords({ samplers }, layout), best, state: before, adjust, ids: poison(samplers.length + 2, 'output') },
    threads: harness.sampler.merge.threads({ samplers: samplers.length, vocabulary }),
  });
  const { ids, state } = found;
  checkSame('ids behind the last sampler', ids.subarray(samplers.length), poison(2, 'output'));
  const counted = adjust.slice();
  for (let slot = 0; slot < STATE_SLOTS; slot++) {
    const owner = samplers.findIndex(({ stateSlot }) => stateSlot === slot);
    const now = state.subarray(2 * slot, 2 * slot + 2);
    const id = owner === -1 ? INERT : ids[owner]!;
    if (samplers.some(({ stateSlot }, i) => i > owner && stateSlot === slot)) continue; // a test that needs no state
    if (id === INERT) {
      checkSame(`state slot ${slot}, which was to stay`, now, before.subarray(2 * slot, 2 * slot + 2));
    } else if (id === POISONED) {
      checkSame(`whether poisoned state slot ${slot} is done`, now.subarray(1), [1]);
    } else {
      const { endTokens = [], adjusts } = samplers[owner]!;
      checkSame(`state slot ${slot}`, now, [id, endTokens.includes(id) ? 1 : 0]);
      if (adjusts === 'yes') counted[(slot * Math.ceil(vocabulary / 4) * 4 + id) * 2]! += 1;
    }
  }
  checkSame('the adjust table', found.adjust, counted);
  return { ids, state, adjust: found.adjust };
}

/** An adjust table with rows for the slots that were seen; the others are poison. */
export function adjustTable(vocabulary: number, seen: Readonly<Record<number, Seen>>): Words {
  const padded = Math.ceil(vocabulary / 4) * 4;
  const words = poison(padded * 2 * STATE_SLOTS, 'input');
  for (const [slot, { prompt, generated, bias }] of Object.entries(seen)) {
    const row = words.subarray(Number(slot) * padded * 2, (Number(slot) + 1) * padded * 2).fill(0);
    for (const token of prompt) row[token * 2] = IN_PROMPT;
    for (const token of generated) row[token * 2]! += 1;
    for (const [token, value] of Object.entries(bias)) row[Number(token) * 2 + 1] = floatBits(value);
  }
  return words;
}

/** A sampler as its twin sees it. */
export function twinInput({ logits, seen = {} }: Sampling, sampler: StepSampler): SampleInput {
  const own = sampler.adjusts === 'yes' ? seen[sampler.stateSlot] : undefined;
  return { ...sampler, logits: logits[sampler.logitRow]!, ...(own && { seen: own }) };
}

export const greedy = (logitRow: number, stateSlot: number): StepSampler => ({
  logitRow,
  stateSlot,
  inverseTemperature: 0,
  seed: [0, 0],
  position: 0,
});

/** Best scores of a sampler's chunks. */
export function scoresOf(best: Words, sampler: number, chunks: number): number[] {
  const scores = new Float32Array(best.buffer, best.byteOffset, best.length);
  return Array.from({ length: chunks }, (_, chunk) => scores[(sampler * chunks + chunk) * 4]!);
}
