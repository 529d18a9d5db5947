import { MAX_END_TOKENS, SAMPLER, SAMPLER_FLAGS, type StepLayout } from '../kernels/step-layout.ts';

/** How a sequence's next token is drawn: vLLM's order, bias and penalties, then temperature, min-p, top-k and top-p. */
export interface SamplerSettings {
  /** 0 is greedy, and so is anything below 1e-5: filters then change nothing. Above 1e6 it draws as at 1e6. */
  readonly temperature: number;
  /** A safe non-negative integer; its low and high 32 bits are Philox's key. */
  readonly seed: number;
  /** Keeps the likeliest this many tokens, and ties with the last of them; 0: all. */
  readonly topK: number;
  /** Keeps the likeliest tokens that have this share of the probability; 1: all. */
  readonly topP: number;
  /** Keeps tokens with at least this share of the likeliest token's probability; 0: all. */
  readonly minP: number;
  /** 1, 0 and 0 change nothing. They count only where `adjusts` is `yes`. */
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** Whether its slot's row of the adjust table has been filled: penalties or a bias change its logits. */
  readonly adjusts: 'yes' | 'no';
  /** After one of these its later decode rows are inert. Of a long list the GPU knows the first few; the caller checks all. */
  readonly endTokens: readonly number[];
}

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

/** Below it a temperature is greedy, as in vLLM: its inverse would leave f32's range. */
const LEAST_TEMPERATURE = 1e-5;
const MOST_TEMPERATURE = 1e6;
/** Bounds of penalties, far beyond what changes a result, within which the kernels' numbers stay finite. */
const MOST_REPETITION = 1e12;
const MOST_PENALTY = 1e20;
/** Deeper than any min-p that f32 can hold. */
const MOST_DEPTH = 1000;

/** Whether it leaves tokens out. */
export function filters({ temperature, topK, topP, minP }: SamplerSettings): boolean {
  return temperature >= LEAST_TEMPERATURE && (topK > 0 || topP < 1 || minP > 0);
}

/** A sampler's place in a step. */
export interface SamplerPlace {
  readonly logitRow: number;
  readonly slot: number;
  /** The position that the token will have, which no batch, chunk or prefix changes. */
  readonly position: number;
  /** `given`: its row came with its token; `state`: its token lies in the state slot. */
  readonly token: 'given' | 'state';
}

/** Samplers of a step: all, those that change logits, those that leave tokens out, and of these those with top-k and with top-p. */
export interface SamplerCounts {
  readonly samplers: number;
  readonly adjusting: number;
  readonly filtering: number;
  readonly topK: number;
  readonly topP: number;
}

export interface SamplerWriter {
  /** Writes the next record of the step. Throws `RangeError` where the step has no room for it. */
  write(settings: SamplerSettings, place: SamplerPlace): void;
  /** Starts the next step. */
  reset(): void;
  /** Records of this step by what they need. */
  counts(): SamplerCounts;
}

/** Writes sampler records and end lists into a step's words. */
export function createSamplerWriter(layout: StepLayout, words: Uint32Array, floats: Float32Array): SamplerWriter {
  const none: SamplerCounts = { samplers: 0, adjusting: 0, filtering: 0, topK: 0, topP: 0 };
  let counts = none;
  let nextEnd = 0;
  const placed = new Map<readonly number[], number>();

  /** Where a list lies; lists are told apart by identity, since a request gives the same one at every step. */
  const placeEnds = (list: readonly number[]): number => {
    const known = placed.get(list);
    if (known !== undefined) return known;
    const at = layout.endsAt + nextEnd;
    for (const token of list.slice(0, MAX_END_TOKENS)) words[layout.endsAt + nextEnd++] = token;
    placed.set(list, at);
    return at;
  };

  return {
    reset: () => {
      counts = none;
      nextEnd = 0;
      placed.clear();
    },
    counts: () => counts,
    write: (settings, { logitRow, slot, position, token }) => {
      const { temperature, seed, topK, topP, minP, adjusts, endTokens } = settings;
      const { limits } = layout;
      if (counts.samplers >= limits.samplers) throw new RangeError(`A step samples more than ${limits.samplers} tokens`);
      const at = layout.samplersAt + counts.samplers * SAMPLER.words;
      const isFiltering = filters(settings);
      let flags = token === 'given' ? SAMPLER_FLAGS.starts : 0;
      if (adjusts === 'yes') flags |= SAMPLER_FLAGS.adjusts;
      if (isFiltering) flags |= SAMPLER_FLAGS.filters;
      counts = {
        samplers: counts.samplers + 1,
        adjusting: counts.adjusting + (adjusts === 'yes' ? 1 : 0),
        filtering: counts.filtering + (isFiltering ? 1 : 0),
        topK: counts.topK + (isFiltering && topK > 0 ? 1 : 0),
        topP: counts.topP + (isFiltering && topP < 1 ? 1 : 0),
      };
      words[at + SAMPLER.logitRow] = logitRow;
      words[at + SAMPLER.stateSlot] = slot;
      floats[at + SAMPLER.inverseTemperature] = temperature < LEAST_TEMPERATURE ? 0 : 1 / Math.min(temperature, MOST_TEMPERATURE);
      words[at + SAMPLER.seedLow] = seed >>> 0;
      words[at + SAMPLER.seedHigh] = Math.floor(seed / 0x1_0000_0000);
      words[at + SAMPLER.position] = position;
      words[at + SAMPLER.flags] = flags;
      words[at + SAMPLER.topK] = Math.min(topK, 0xffffffff);
      floats[at + SAMPLER.topP] = topP;
      floats[at + SAMPLER.depth] = Math.min(-Math.log(minP), MOST_DEPTH);
      floats[at + SAMPLER.repetitionPenalty] = clamp(settings.repetitionPenalty, 1 / MOST_REPETITION, MOST_REPETITION);
      floats[at + SAMPLER.presencePenalty] = clamp(settings.presencePenalty, -MOST_PENALTY, MOST_PENALTY);
      floats[at + SAMPLER.frequencyPenalty] = clamp(settings.frequencyPenalty, -MOST_PENALTY, MOST_PENALTY);
      words[at + SAMPLER.endsAt] = placeEnds(endTokens);
      words[at + SAMPLER.ends] = Math.min(endTokens.length, MAX_END_TOKENS);
    },
  };
}

function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(most, value));
}
