import { philox } from './philox.ts';

export interface SampleInput {
  /** (vocabulary) */
  readonly logits: ArrayLike<number>;
  /** 0: greedy. */
  readonly inverseTemperature: number;
  /** Low and high word. */
  readonly seed: readonly [number, number];
  readonly position: number;
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

/** The token that a sampler takes; undefined where a logit is NaN or infinite. */
export function sample({ logits, inverseTemperature, seed, position }: SampleInput): Sampled | undefined {
  let best = -Infinity;
  let second = -Infinity;
  let token = 0;
  for (let i = 0; i < logits.length; i++) {
    if (!Number.isFinite(logits[i])) return undefined;
    const score = inverseTemperature === 0 ? logits[i]! : logits[i]! * inverseTemperature + gumbel(i, position, seed);
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
