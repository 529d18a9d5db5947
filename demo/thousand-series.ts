import type { Tier } from 'weblora';
import type { Reading } from './gauge.ts';
import type { TierCounts } from './thousand-where.ts';

/** A value at each moment; null where there is none. */
export type Line = readonly (number | null)[];

/** What a chart draws: seconds, and a line of values each. */
export type Lines = readonly [seconds: readonly number[], ...lines: Line[]];

/** What a storm's charts draw, from the engine's figures. Lines that lie on each other come topmost first. */
export interface Series {
  push(reading: Reading, counts: TierCounts): void;
  /** Adapters of the thousand: GPU, memory and disk; GPU and memory; GPU. */
  where(): Lines;
  /** A second: into disk, memory and GPU; into memory and GPU; into the GPU; the same below zero for those that made room. */
  moves(): Lines;
  /** Percent of the requests whose adapter was on the GPU when they came. */
  hits(): Lines;
  /** Tokens a second. */
  tokens(): Lines;
}

/** From the outermost to the innermost of what lies on each other. */
const stacked = [['gpu', 'heap', 'disk'], ['gpu', 'heap'], ['gpu']] as const satisfies readonly (readonly Tier[])[];

/** Seconds over which a value is taken: at least so many, and a share of the whole, so that a long storm is as easy to read as a short one. */
const windowOf = (seconds: readonly number[], least: number, share: number): number => Math.max(least, (seconds.at(-1) ?? 0) * share);

/** @param began when the first second begins: milliseconds of `performance.now()`. */
export function createSeries(began: number): Series {
  const seconds: number[] = [];
  const where: readonly number[][] = stacked.map(() => []);
  const loads: readonly number[][] = stacked.map(() => []);
  const evictions: readonly number[][] = stacked.map(() => []);
  const found: number[] = [];
  const missed: number[] = [];
  const tokens: number[] = [];
  const rates = (totals: readonly number[], sign: 1 | -1): Line => {
    const window = windowOf(seconds, 1.5, 0.04);
    // What came in the very first moment is no rate yet: it is taken over a second.
    return starts(seconds, window).map((from, at) => (sign * (totals[at]! - totals[from]!)) / Math.max(seconds[at]! - seconds[from]!, 1));
  };

  return {
    push: ({ at, stats: { tiers, tokens: given } }, counts) => {
      seconds.push(Math.max(0, at - began) / 1000);
      for (const [index, of] of stacked.entries()) {
        const sum = (value: (tier: 'gpu' | 'heap' | 'disk') => number): number => of.reduce((all, tier) => all + value(tier), 0);
        where[index]!.push(sum((tier) => counts[tier]));
        loads[index]!.push(sum((tier) => tiers[tier].loads));
        evictions[index]!.push(sum((tier) => tiers[tier].evictions));
      }
      found.push(tiers.gpu.hits);
      missed.push(tiers.gpu.misses);
      tokens.push(given);
    },
    where: () => [seconds, ...where],
    moves: () => [seconds, ...loads.map((totals) => rates(totals, 1)), ...evictions.map((totals) => rates(totals, -1))],
    // Requests come in handfuls: a share of few of them says nothing.
    hits: () => {
      const line = starts(seconds, windowOf(seconds, 3, 0.1)).map((from, at) => {
        const [there, away] = [found[at]! - found[from]!, missed[at]! - missed[from]!];
        return there + away > 0 ? (100 * there) / (there + away) : null;
      });
      return [seconds, line];
    },
    tokens: () => [seconds, rates(tokens, 1)],
  };
}

/** For each moment the one where its window begins: the one before it where the window is shorter than that. */
function starts(seconds: readonly number[], window: number): readonly number[] {
  let from = 0;
  return seconds.map((second, at) => {
    while (from < at - 1 && seconds[from]! < second - window) from++;
    return from;
  });
}
