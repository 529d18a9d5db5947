import type { SamplerSettings } from '../../src/model/sampling.ts';

/** Settings of a sampler that takes the likeliest token, and goes on to the end. */
export const GREEDY: SamplerSettings = {
  temperature: 0,
  seed: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  adjusts: 'no',
  endTokens: [],
};
