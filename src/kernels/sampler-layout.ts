/** What the sampler's buffers are made for; no form of it has smaller chunks. */

/** Tokens of one chunk of the vocabulary, of which `best` has a candidate. */
export const SAMPLE_CHUNK = 256;
/** Tokens of one chunk of the vocabulary, of which `extremes` has the largest and the smallest logit. */
export const FILTER_CHUNK = 512;
/** Dispatches of the search for a cut, in order: those that top-k needs, those that top-p needs, and the one that writes the cut. */
export const FILTER_STAGES = { topK: [0, 1, 2], topP: [3, 4, 5], settle: 6 } as const;
/** Words that a sampler takes in `bins` and in `trail`. */
export const BIN_WORDS = 3 * 512;
export const TRAIL_WORDS = 8 * 4;

/** Samplers of a step, and the tokens that each chooses from. */
export interface SampleWork {
  readonly samplers: number;
  readonly vocabulary: number;
}
