import { philox } from './philox.ts';

/** Filters and penalties; each is off where it is left out. */
export interface SampleOptions {
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
}

/** What bias and penalties go by. */
export interface Seen {
  readonly prompt: readonly number[];
  readonly generated: readonly number[];
  /** By token. */
  readonly bias: Readonly<Record<number, number>>;
}

export interface SampleInput extends SampleOptions {
  /** (vocabulary) */
  readonly logits: ArrayLike<number>;
  /** 0: greedy. */
  readonly inverseTemperature: number;
  /** Low and high word. */
  readonly seed: readonly [number, number];
  readonly position: number;
  /** Left out: no bias and no penalties. */
  readonly seen?: Seen;
}

export interface Sampled {
  /** The first of the tokens with the largest score. */
  readonly token: number;
  readonly score: number;
  /** Largest minus second largest score. */
  readonly margin: number;
}

/** Gumbel noise of one token: -log(-log u), u uniform from the upper 23 bits of its Philox word, in the middle of their steps. */
export function gumbel(token: number, position: number, seed: readonly [number, number]): number {
  const words = philox([Math.floor(token / 4), position, 0, 0], seed);
  const uniform = ((words[token % 4]! >>> 9) + 0.5) / 2 ** 23;
  return -Math.log(-Math.log(uniform));
}

/** Logits with bias, then the penalty on repetition of prompt and answer, then those on frequency and presence in the answer. */
export function adjusted({ logits, seen, ...options }: SampleInput): number[] {
  const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0 } = options;
  return Array.from(logits, (logit, token) => {
    if (seen === undefined) return logit;
    const times = seen.generated.filter((other) => other === token).length;
    let value = logit + (seen.bias[token] ?? 0);
    if (times > 0 || seen.prompt.includes(token)) value = value > 0 ? value / repetitionPenalty : value * repetitionPenalty;
    return value - frequencyPenalty * times - (times > 0 ? presencePenalty : 0);
  });
}

/**
 * Whether each token is left after min-p, then top-k, then top-p, each over what the one before left; ties with the last stay.
 *
 * @param slack moves every threshold by this much: above 0 more tokens are left, below 0 fewer.
 */
export function kept(input: SampleInput, slack = 0): boolean[] {
  const { inverseTemperature, topK = 0, topP = 1, minP = 0 } = input;
  const scaled = adjusted(input).map((logit) => logit * inverseTemperature);
  if (inverseTemperature === 0) return scaled.map(() => true);
  const largest = scaled.reduce((a, b) => Math.max(a, b));
  let left = scaled.map((value) => value === largest || value >= largest + Math.log(minP) - slack);
  const descending = (): number[] => scaled.filter((_, token) => left[token]).sort((a, b) => b - a);
  if (topK > 0 && topK < descending().length) {
    const last = descending()[topK - 1]!;
    left = left.map((is, token) => is && (scaled[token] === largest || scaled[token]! >= last - slack));
  }
  if (topP < 1) {
    const values = descending();
    const mass = values.reduce((sum, value) => sum + Math.exp(value - largest), 0);
    let last = largest;
    let above = 0;
    for (const value of values) {
      if (above >= (topP + slack) * mass) break;
      last = value;
      above += Math.exp(value - largest);
    }
    left = left.map((is, token) => is && scaled[token]! >= last);
  }
  return left;
}

/** The token that a sampler takes among those left, or among `left`; undefined where a logit is NaN or infinite. */
export function sample(input: SampleInput, left: readonly boolean[] = kept(input)): Sampled | undefined {
  const { logits, inverseTemperature, seed, position } = input;
  const values = adjusted(input);
  let best = -Infinity;
  let second = -Infinity;
  let token = 0;
  for (let i = 0; i < logits.length; i++) {
    if (!Number.isFinite(logits[i])) return undefined;
    if (!left[i]) continue;
    const score = inverseTemperature === 0 ? values[i]! : values[i]! * inverseTemperature + gumbel(i, position, seed);
    if (score > best) {
      second = best;
      best = score;
      token = i;
    } else if (score > second) {
      second = score;
    }
  }
  return { token, score: best, margin: best - second };
}
