/**
 * The one buffer of u32 words that tells every kernel what this step is; the twin of shaders/lib/step.wgsl.
 *
 * | section    | words each | what |
 * | ---------- | ---------- | ---- |
 * | header     | 16 in all  | rows, segments, rank quads of the widest adapter, logit rows, samplers, logit segments |
 * | rows       | 4          | token (or TOKEN_IN_STATE and a state slot), position, block row, slot of its one adapter or 0 |
 * | segments   | 8          | first row, rows, first part, parts, first row in v |
 * | parts      | 2          | slot, scale (f32 bits) |
 * | logit rows | 1          | batch row |
 * | samplers   | 16         | see SAMPLER |
 * | end lists  | 1          | token; samplers with the same list share it |
 * | logit segments | 8      | as segments, of logit rows; only in steps in which an adapter changes the head |
 */
export interface StepLayout {
  readonly limits: StepLimits;
  readonly rowsAt: number;
  readonly segmentsAt: number;
  readonly partsAt: number;
  readonly logitRowsAt: number;
  readonly samplersAt: number;
  readonly endsAt: number;
  readonly logitSegmentsAt: number;
  readonly words: number;
}

export interface StepLimits {
  readonly rows: number;
  readonly logitRows: number;
  readonly samplers: number;
}

export const HEADER = { rows: 0, segments: 1, rankQuads: 2, logitRows: 3, samplers: 4, logitSegments: 5, words: 16 } as const;
export const ROW_WORDS = 4;
export const SEGMENT_WORDS = 8;
export const PART_WORDS = 2;
/** Words of a sampler's record; what is no whole number is f32 bits. */
export const SAMPLER = {
  logitRow: 0,
  stateSlot: 1,
  /** 1 / temperature; 0 is greedy. */
  inverseTemperature: 2,
  seedLow: 3,
  seedHigh: 4,
  position: 5,
  flags: 6,
  /** 0: all. */
  topK: 7,
  topP: 8,
  /** Min-p as a distance below the largest logit, in nats. */
  depth: 9,
  repetitionPenalty: 10,
  presencePenalty: 11,
  frequencyPenalty: 12,
  /** Where its end list starts in this buffer, and how long that is. */
  endsAt: 13,
  ends: 14,
  words: 16,
} as const;
/** Bits of a sampler's flags. */
export const SAMPLER_FLAGS = {
  /** The slot's row of the adjust table counts: bias, penalties. */
  adjusts: 1,
  /** It leaves tokens out: top-k, top-p or min-p. */
  filters: 2,
  /** Its row was given its token, so what the state slot's last owner left is over. */
  starts: 4,
} as const;
/** Adapters that one row may sum. */
export const MAX_PARTS = 8;
/** End tokens of a sampler that the GPU knows; JS, which knows all, drops what is computed after another. */
export const MAX_END_TOKENS = 8;
/** What an entry of the adjust table holds where the prompt has the token, beside how often it was generated. */
export const IN_PROMPT = 0x80000000;
/** Rows that one thread of a LoRA kernel serves; longer runs of one adapter are cut into segments of this many. */
export const SEGMENT_ROWS = 4;
/** Tokens of one KV page. */
export const PAGE_TOKENS = 16;
export const TOKEN_IN_STATE = 0x80000000;
/** What `ids` holds for a row whose logits were not finite. */
export const POISONED = 0xffffffff;
/** What `ids` holds for a row of a sequence that had ended before. */
export const INERT = 0xfffffffe;

/** Places of the sections for a step of at most `limits`. */
export function stepLayout(limits: StepLimits): StepLayout {
  const rowsAt = HEADER.words;
  const segmentsAt = rowsAt + limits.rows * ROW_WORDS;
  const partsAt = segmentsAt + limits.rows * SEGMENT_WORDS;
  const logitRowsAt = partsAt + limits.rows * MAX_PARTS * PART_WORDS;
  const samplersAt = logitRowsAt + limits.logitRows;
  const endsAt = samplersAt + limits.samplers * SAMPLER.words;
  const logitSegmentsAt = endsAt + limits.samplers * MAX_END_TOKENS;
  const words = logitSegmentsAt + limits.logitRows * SEGMENT_WORDS;
  return { limits, rowsAt, segmentsAt, partsAt, logitRowsAt, samplersAt, endsAt, logitSegmentsAt, words };
}

/** The layout as the constants that lib/step.wgsl wants. */
export function stepConstants(layout: StepLayout): Readonly<Record<(typeof STEP_CONSTANTS)[number], number>> {
  return {
    ROWS_AT: layout.rowsAt,
    SEGMENT_COUNT_AT: HEADER.segments,
    SEGMENTS_AT: layout.segmentsAt,
    PARTS_AT: layout.partsAt,
    LOGIT_ROWS_AT: layout.logitRowsAt,
    SAMPLERS_AT: layout.samplersAt,
  };
}

/** What a kernel takes instead to find the segments of logit rows where others find those of batch rows. */
export function logitSegments(layout: StepLayout): { readonly SEGMENT_COUNT_AT: number; readonly SEGMENTS_AT: number } {
  return { SEGMENT_COUNT_AT: HEADER.logitSegments, SEGMENTS_AT: layout.logitSegmentsAt };
}

/** Names that every kernel takes because lib/step.wgsl uses them. */
export const STEP_CONSTANTS = ['ROWS_AT', 'SEGMENT_COUNT_AT', 'SEGMENTS_AT', 'PARTS_AT', 'LOGIT_ROWS_AT', 'SAMPLERS_AT'] as const;
