/**
 * The one buffer of u32 words that tells every kernel what this step is; the twin of shaders/lib/step.wgsl.
 *
 * | section    | words each | what |
 * | ---------- | ---------- | ---- |
 * | header     | 16 in all  | rows, segments, rank quads of the widest adapter, logit rows, samplers |
 * | rows       | 4          | token (or TOKEN_IN_STATE and a state slot), position, block row |
 * | segments   | 8          | first row, rows, first part, parts, first row in v |
 * | parts      | 2          | slot, scale (f32 bits) |
 * | logit rows | 1          | batch row |
 * | samplers   | 16         | logit row, state slot, 1 / temperature (f32 bits, 0 is greedy), seed low, seed high, position |
 */
export interface StepLayout {
  readonly limits: StepLimits;
  readonly rowsAt: number;
  readonly segmentsAt: number;
  readonly partsAt: number;
  readonly logitRowsAt: number;
  readonly samplersAt: number;
  readonly words: number;
}

export interface StepLimits {
  readonly rows: number;
  readonly logitRows: number;
  readonly samplers: number;
}

export const HEADER = { rows: 0, segments: 1, rankQuads: 2, logitRows: 3, samplers: 4, words: 16 } as const;
export const ROW_WORDS = 4;
export const SEGMENT_WORDS = 8;
export const PART_WORDS = 2;
export const SAMPLER_WORDS = 16;
/** Rows that one thread of a LoRA kernel serves; longer runs of one adapter are cut into segments of this many. */
export const SEGMENT_ROWS = 4;
/** Tokens of one KV page. */
export const PAGE_TOKENS = 16;
export const TOKEN_IN_STATE = 0x80000000;
/** What `ids` holds for a row whose logits were not finite. */
export const POISONED = 0xffffffff;

/** Places of the sections for a step of at most `limits`; a row has at most one part in this layout's room. */
export function stepLayout(limits: StepLimits): StepLayout {
  const rowsAt = HEADER.words;
  const segmentsAt = rowsAt + limits.rows * ROW_WORDS;
  const partsAt = segmentsAt + limits.rows * SEGMENT_WORDS;
  const logitRowsAt = partsAt + limits.rows * PART_WORDS;
  const samplersAt = logitRowsAt + limits.logitRows;
  return { limits, rowsAt, segmentsAt, partsAt, logitRowsAt, samplersAt, words: samplersAt + limits.samplers * SAMPLER_WORDS };
}

/** The layout as the constants that lib/step.wgsl wants. */
export function stepConstants(layout: StepLayout): Readonly<Record<(typeof STEP_CONSTANTS)[number], number>> {
  return {
    ROWS_AT: layout.rowsAt,
    SEGMENTS_AT: layout.segmentsAt,
    PARTS_AT: layout.partsAt,
    LOGIT_ROWS_AT: layout.logitRowsAt,
    SAMPLERS_AT: layout.samplersAt,
  };
}

/** Names that every kernel takes because lib/step.wgsl uses them. */
export const STEP_CONSTANTS = ['ROWS_AT', 'SEGMENTS_AT', 'PARTS_AT', 'LOGIT_ROWS_AT', 'SAMPLERS_AT'] as const;
