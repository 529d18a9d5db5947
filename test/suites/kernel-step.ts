import {
  HEADER,
  PART_WORDS,
  ROW_WORDS,
  SAMPLER_WORDS,
  SEGMENT_WORDS,
  stepConstants,
  stepLayout,
  TOKEN_IN_STATE,
} from '../../src/kernels/step-layout.ts';
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
}

export interface StepSampler {
  readonly logitRow: number;
  readonly stateSlot: number;
  readonly inverseTemperature: number;
  readonly seed: readonly [number, number];
  readonly position: number;
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
export function stepWords({ rows = [], segments = [], rank = 0, logitRows = [], samplers = [] }: Step): Words {
  const words = poison(LAYOUT.words, 'input');
  const put = (at: number, values: readonly number[]): void => words.set(values, at);
  words[HEADER.rows] = rows.length;
  words[HEADER.segments] = segments.length;
  words[HEADER.rankQuads] = rank / 4;
  words[HEADER.logitRows] = logitRows.length;
  words[HEADER.samplers] = samplers.length;
  for (const [i, { token = 0, position = 0, blockRow = 0 }] of rows.entries()) {
    put(LAYOUT.rowsAt + i * ROW_WORDS, [typeof token === 'number' ? token : TOKEN_IN_STATE + token.slot, position, blockRow]);
  }
  let parts = 0;
  for (const [i, segment] of segments.entries()) {
    put(LAYOUT.segmentsAt + i * SEGMENT_WORDS, [segment.rowStart, segment.rowCount, parts, segment.parts.length, segment.vRow]);
    for (const { slot, scale } of segment.parts) put(LAYOUT.partsAt + parts++ * PART_WORDS, [slot, floatBits(scale)]);
  }
  put(LAYOUT.logitRowsAt, logitRows);
  for (const [i, { logitRow, stateSlot, inverseTemperature, seed, position }] of samplers.entries()) {
    put(LAYOUT.samplersAt + i * SAMPLER_WORDS, [logitRow, stateSlot, floatBits(inverseTemperature), ...seed, position]);
  }
  return words;
}

/** The bits of an f32. */
export function floatBits(value: number): number {
  return bits(Float32Array.of(value))[0]!;
}
