import { createRandom, type Random } from './random.ts';

/** One request of a trace. */
export interface Arrival {
  /** When it comes: milliseconds, or the number of a step; see `Clock` of the simulator. */
  readonly at: number;
  /** '' is the base. */
  readonly adapter: string;
  readonly tenant: string;
  /** Tokens. */
  readonly prompt: number;
  readonly answer: number;
}

/**
 * Which adapter a request asks for. `zipf`: adapter i with a probability in proportion to (i + 1)^-exponent, 0 is uniform. `power`: as
 * S-LoRA draws it, adapter ⌊n · u^(1/alpha)⌋ with u uniform in [0, 1): 1 is uniform, and the smaller alpha, the more go to the first few.
 * `shifting`: as zipf, but every `every` requests another adapter becomes the most popular. `sweep`: one after another.
 */
export type Popularity =
  | { readonly kind: 'zipf'; readonly exponent: number }
  | { readonly kind: 'power'; readonly alpha: number }
  | { readonly kind: 'shifting'; readonly exponent: number; readonly every: number }
  | { readonly kind: 'sweep' };

export interface Workload {
  readonly seed: number;
  readonly requests: number;
  readonly adapters: number;
  readonly popularity: Popularity;
  /** Requests per second. */
  readonly rate: number;
  /** Standard deviation of the time between two requests over its mean; 1 is a Poisson process, above it they come in bursts. */
  readonly cv: number;
  /** Least and most tokens, uniform. */
  readonly prompt: readonly [least: number, most: number];
  readonly answer: readonly [least: number, most: number];
  /** Default ''. Adapters are named after it: no two tenants share one. */
  readonly tenant?: string;
  /** Milliseconds before the first request; default 0. */
  readonly start?: number;
}

/** S-LoRA's lengths: tokens of prompts and of answers. */
export const SLORA_LENGTHS: readonly [number, number] = [8, 512];

/** Draws adapters' numbers, from 0 on. */
function createDraw(popularity: Popularity, adapters: number, random: Random): (request: number) => number {
  if (popularity.kind === 'sweep') return (request) => request % adapters;
  if (popularity.kind === 'power') return () => Math.floor(adapters * random.next() ** (1 / popularity.alpha));
  const weights = Array.from({ length: adapters }, (_, i) => (i + 1) ** -popularity.exponent);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let sum = 0;
  const upTo = weights.map((weight) => (sum += weight) / total);
  const rank = (): number => {
    const u = random.next();
    let [low, high] = [0, adapters - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (upTo[middle]! > u) high = middle;
      else low = middle + 1;
    }
    return low;
  };
  if (popularity.kind === 'zipf') return rank;
  const stride = Math.max(1, Math.round(adapters * 0.382)); // far from the favourites of before
  return (request) => (rank() + Math.floor(request / popularity.every) * stride) % adapters;
}

/** The requests of a workload in the order in which they come. The same workload gives the same requests. */
export function generate({ seed, requests, adapters, popularity, rate, cv, prompt, answer, tenant = '', start = 0 }: Workload): Arrival[] {
  const random = createRandom(seed);
  const draw = createDraw(popularity, adapters, random);
  const between = ([least, most]: readonly [number, number]): number => least + random.below(most - least + 1);
  let at = start;
  return Array.from({ length: requests }, (_, request) => {
    at += random.gamma(1000 / rate, cv);
    return { at, adapter: `${tenant}${tenant && ' '}adapter ${draw(request)}`, tenant, prompt: between(prompt), answer: between(answer) };
  });
}

/** Several traces as one. */
export function merge(...traces: readonly (readonly Arrival[])[]): Arrival[] {
  return traces.flat().sort((a, b) => a.at - b.at);
}
