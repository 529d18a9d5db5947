import type { SamplerSettings } from '../model/sampling.ts';

/** The sampler as loops on the CPU, in double: what a device's is held to. */
export interface SamplerTwin {
  readonly settings: SamplerSettings;
  /** (vocabulary) */
  readonly logits: Float32Array;
  readonly position: number;
  /** By token: how often it was generated, and its bias; undefined: the sampler does not look. */
  readonly seen: { readonly times: readonly number[]; readonly bias: readonly number[] } | undefined;
}

/** The token that is taken; undefined where a logit is no number. */
export function samplerTwin({ settings, logits, position, seen }: SamplerTwin): number | undefined {
  if (!logits.every(Number.isFinite)) return undefined;
  const values = Array.from(logits, (logit, token) => adjusted(logit, settings, seen?.times[token] ?? 0, seen?.bias[token] ?? 0));
  const { temperature, seed } = settings;
  const least = temperature === 0 ? -Infinity : cutOf(values, settings);
  let best = -Infinity;
  let taken = 0;
  for (const [token, value] of values.entries()) {
    if (value < least) continue;
    const score = temperature === 0 ? value : value / temperature + gumbel(token, position, seed);
    if (score > best) [best, taken] = [score, token];
  }
  return taken;
}

function adjusted(logit: number, settings: SamplerSettings, times: number, bias: number): number {
  const { repetitionPenalty, presencePenalty, frequencyPenalty } = settings;
  const biased = logit + bias;
  if (times === 0) return biased;
  const repeated = biased > 0 ? biased / repetitionPenalty : biased * repetitionPenalty;
  return repeated - presencePenalty - frequencyPenalty * times;
}

/** The least logit that min-p, then top-k, then top-p leave. */
function cutOf(values: readonly number[], { temperature, topK, topP, minP }: SamplerSettings): number {
  const sorted = values.toSorted((a, b) => b - a);
  const [largest] = sorted as [number];
  let least = minP > 0 ? largest + temperature * Math.log(minP) : -Infinity;
  if (topK > 0) least = Math.max(least, sorted[Math.min(topK, sorted.length) - 1]!);
  if (topP === 1) return least;
  const masses = sorted.filter((value) => value >= least).map((value) => Math.exp((value - largest) / temperature));
  const goal = topP * masses.reduce((sum, mass) => sum + mass, 0);
  let passed = 0;
  return sorted[masses.findIndex((mass) => (passed += mass) >= goal)] ?? least;
}

/** -log(-log u), u from the upper 23 bits of the token's word. */
function gumbel(token: number, position: number, seed: number): number {
  const words = philox([token >> 2, position, 0, 0], [seed >>> 0, Math.floor(seed / 2 ** 32)]);
  return -Math.log(-Math.log(((words[token % 4]! >>> 9) + 0.5) / 2 ** 23));
}

/** Philox4x32-10, as in lib/philox. */
function philox(counter: readonly number[], key: readonly number[]): readonly number[] {
  let [c0, c1, c2, c3] = counter as [number, number, number, number];
  let [k0, k1] = key as [number, number];
  for (let round = 0; round < 10; round++) {
    const [low, high] = [BigInt(c0) * 0xd2511f53n, BigInt(c2) * 0xcd9e8d57n];
    const upper = (product: bigint): number => Number(product >> 32n);
    [c0, c1, c2, c3] = [(upper(high) ^ c1 ^ k0) >>> 0, Number(high & 0xffffffffn), (upper(low) ^ c3 ^ k1) >>> 0, Number(low & 0xffffffffn)];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}
