import { createSeries } from './meter.ts';
import type { DiskStats, Stats, Tier, TierStats } from './report-types.ts';

/** Counts what is done to the tiers of adapters: bytes that were moved, not decisions. */
export interface TierMeter {
  /** An adapter was asked of a tier. */
  asked(tier: Tier, found: 'hit' | 'miss'): void;
  /** Bytes of an adapter came into a tier, or left it to make room. */
  loaded(tier: Tier, bytes: number): void;
  evicted(tier: Tier, bytes: number): void;
  /** So many bytes more lie in a tier for another reason, or less. */
  changed(tier: Tier, bytes: number): void;
  /** An adapter's way out of a tier took so long. */
  took(tier: Tier, ms: number): void;
  report(tier: Tier, budget: number): TierStats;
}

export function createTierMeter(): TierMeter {
  const tier = () => ({ hits: 0, misses: 0, loads: 0, evictions: 0, bytes: 0, times: createSeries() });
  const tiers = { gpu: tier(), heap: tier(), disk: tier(), origin: tier() };
  return {
    asked: (name, found) => {
      if (found === 'hit') tiers[name].hits += 1;
      else tiers[name].misses += 1;
    },
    loaded: (name, bytes) => {
      tiers[name].loads += 1;
      tiers[name].bytes += bytes;
    },
    evicted: (name, bytes) => {
      tiers[name].evictions += 1;
      tiers[name].bytes -= bytes;
    },
    changed: (name, bytes) => {
      tiers[name].bytes += bytes;
    },
    took: (name, ms) => tiers[name].times.add(ms),
    report: (name, budget) => {
      const { times, ...counts } = tiers[name];
      return { ...counts, budget, loadMs: times.spread() };
    },
  };
}

/** All tiers, with their budgets in bytes and what the store refused. */
export function tierStats(
  meter: TierMeter,
  budgets: Readonly<Record<'gpu' | 'heap' | 'disk', number>>,
  { failures, lastFailure }: Pick<DiskStats, 'failures' | 'lastFailure'> = { failures: 0 },
): Stats['tiers'] {
  const [gpu, heap] = [meter.report('gpu', budgets.gpu), meter.report('heap', budgets.heap)];
  const disk = { ...meter.report('disk', budgets.disk), failures, ...(lastFailure !== undefined && { lastFailure }) };
  return { gpu, heap, disk, origin: meter.report('origin', 0) };
}
