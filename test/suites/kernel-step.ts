import {
  HEADER,
  MAX_END_TOKENS,
  PART_WORDS,
  ROW_WORDS,
  SAMPLER,
  SAMPLER_FLAGS,
  SEGMENT_WORDS,
  stepConstants,
  stepLayout,
  TOKEN_IN_STATE,
} from '../../src/kernels/step-layout.ts';
import type { SampleOptions } from '../reference/sample.ts';
import type { LoraSegment } from '../reference/lora.ts';
import { bits, poison, type Words } from './kernel-harness.ts';

const LAYOUT = stepLayout({ rows: 64, logitRows: 64, samplers: 16 });

/** Constants that every kernel takes, the same in all tests. */
export const STEP: Readonly<Record<string, number>> = stepConstants(LAYOUT);

export interface StepRow {
  /** A token, or the state slot where it lies. */
  readonly token?: number | { readonly slot: number };
  readonly position?: number;
  readonly blockRow?: number;
  /** The slot of its one adapter, 0 for none. Default: poison, as most kernels do not read it. */
  readonly adapter?: number;
}

export interface StepSampler extends SampleOptions {
  readonly logitRow: number;
  readonly stateSlot: number;
  readonly inverseTemperature: number;
  readonly seed: readonly [number, number];
  readonly position: number;
  /** Whether its slot's row of the adjust table counts. */
  readonly adjusts?: 'yes' | 'no';
  /** `state`: its row's token lies in the state slot. Default: `given`. */
  readonly token?: 'given' | 'state';
  readonly endTokens?: readonly number[];
}

export interface Step {
  readonly rows?: readonly StepRow[];
  readonly segments?: readonly LoraSegment[];
  /** Of the widest adapter. */
  readonly rank?: number;
  readonly logitRows?: readonly number[];
  readonly samplers?: readonly StepSampler[];
}

/** `count` rows of which a kernel reads nothing but their number. */
export function plainRows(count: number): StepRow[] {
  return Array.from({ length: count }, () => ({}));
}

/** The step metadata; every word that says nothing is poison. */
export function stepWords({ rows = [], segments = [], rank = 0, logitRows = [], samplers = [] }: Step, layout = LAYOUT): Words {
  const words = poison(layout.words, 'input');
  const put = (at: number, values: readonly number[]): void => words.set(values, at);
  words[HEADER.rows] = rows.length;
  words[HEADER.segments] = segments.length;
  words[HEADER.rankQuads] = rank / 4;
  words[HEADER.logitRows] = logitRows.length;
  words[HEADER.samplers] = samplers.length;
  for (const [i, { token = 0, position = 0, blockRow = 0, adapter }] of rows.entries()) {
    const place = [typeof token === 'number' ? token : TOKEN_IN_STATE + token.slot, position, blockRow];
    put(layout.rowsAt + i * ROW_WORDS, adapter === undefined ? place : [...place, adapter]);
  }
  let parts = 0;
  for (const [i, segment] of segments.entries()) {
    put(layout.segmentsAt + i * SEGMENT_WORDS, [segment.rowStart, segment.rowCount, parts, segment.parts.length, segment.vRow]);
    for (const { slot, scale } of segment.parts) put(layout.partsAt + parts++ * PART_WORDS, [slot, floatBits(scale)]);
  }
  put(layout.logitRowsAt, logitRows);
  for (const [i, sampler] of samplers.entries()) {
    const endsAt = layout.endsAt + i * MAX_END_TOKENS;
    put(layout.samplersAt + i * SAMPLER.words, [...recordOf(sampler), endsAt, sampler.endTokens?.length ?? 0]);
    put(endsAt, sampler.endTokens ?? []);
  }
  return words;
}

/** A sampler's flags as the planner sets them. */
export function flagsOf({ inverseTemperature, topK = 0, topP = 1, minP = 0, adjusts = 'no', token = 'given' }: StepSampler): number {
  const isFiltering = inverseTemperature !== 0 && (topK > 0 || topP < 1 || minP > 0);
  const { adjusts: adjusting, filters, starts } = SAMPLER_FLAGS;
  return (adjusts === 'yes' ? adjusting : 0) | (isFiltering ? filters : 0) | (token === 'given' ? starts : 0);
}

/** A sampler's record up to its end list. */
function recordOf(sampler: StepSampler): number[] {
  const { logitRow, stateSlot, inverseTemperature, seed, position } = sampler;
  const { topK = 0, topP = 1, minP = 0, repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0 } = sampler;
  const penalties = [repetitionPenalty, presencePenalty, frequencyPenalty].map(floatBits);
  const place = [logitRow, stateSlot, floatBits(inverseTemperature), ...seed, position, flagsOf(sampler)];
  return [...place, topK, floatBits(topP), floatBits(Math.min(-Math.log(minP), 1000)), ...penalties];
}

/** The bits of an f32. */
export function floatBits(value: number): number {
  return bits(Float32Array.of(value))[0]!;
}
