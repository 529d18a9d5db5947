import type { CostEstimate, StepLoad } from '../../src/engine/cost.ts';
import type { SchedulerLimits } from '../../src/engine/scheduler.ts';
import type { Random } from './core-random.ts';

/** `crowded`: short prompts and long answers, which outgrow the pool together. `alike`: prompts that begin alike, under few adapters. */
export type Style = 'mixed' | 'crowded' | 'alike';

export type End = 'finished' | 'cancelled' | 'expired' | 'unfit' | 'failed' | 'poisoned';

/** What happened, counted: histories that never reach a situation prove nothing about it. */
export type Tally = Record<
  | End
  | 'gpuLoads'
  | 'gpuEvictions'
  | 'heapLoads'
  | 'heapEvictions'
  | 'diskLoads'
  | 'diskEvictions'
  | 'refused'
  | 'changed'
  | 'requests'
  | 'steps'
  | 'resets'
  | 'preemptions'
  | 'shared'
  | 'reads'
  | 'loads'
  | 'recomputed'
  | 'handPlaced'
  | 'gone'
  | 'sharedGone',
  number
>;

export function createTally(): Tally {
  const ends = { finished: 0, cancelled: 0, expired: 0, unfit: 0, failed: 0, poisoned: 0 };
  const moves = { reads: 0, loads: 0, recomputed: 0, handPlaced: 0, changed: 0, refused: 0 };
  const tiers = { gpuLoads: 0, gpuEvictions: 0, heapLoads: 0, heapEvictions: 0, diskLoads: 0, diskEvictions: 0 };
  return { ...ends, ...moves, ...tiers, requests: 0, steps: 0, resets: 0, preemptions: 0, shared: 0, gone: 0, sharedGone: 0 };
}

export interface ModelCost extends CostEstimate {
  /** What a step costs is learned anew. */
  jump(): void;
}

export function createModelCost(random: Random): ModelCost {
  const price = (): StepLoad & { step: number } => {
    const unit = 10 ** random.between(-2, 0);
    const [logitRows, keys, loraRows] = [unit * random.below(3), unit * random.below(2) * 0.01, unit * random.below(2) * 0.3];
    return { step: random.below(8), rows: unit, logitRows, keys, loraRows };
  };
  let prices = price();
  let samples = 0;
  return {
    of: ({ rows, logitRows, keys, loraRows }) =>
      prices.step + prices.rows * rows + prices.logitRows * logitRows + prices.keys * keys + prices.loraRows * loraRows,
    learn: () => void samples++,
    get samples() {
      return samples;
    },
    jump: () => void (prices = price()),
  };
}

export function createLimits({ between, below, chance }: Random, style: Style): SchedulerLimits {
  const sequences = between(style === 'crowded' ? 3 : 1, 8);
  const batchRows = between(1, 24);
  const adjustRows = chance(0.5) ? sequences : between(1, sequences);
  const sizes = { prefillChunk: between(1, 24), logitRows: between(1, batchRows), stepMs: 2 + below(60) };
  const window = chance(0.5) ? Infinity : between(1, 48);
  return { sequences, batchRows, adjustRows, adapters: between(1, 5), contextLength: 16 * between(3, 6), window, ...sizes };
}
