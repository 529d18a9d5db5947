import type { AdapterCache, Demand, Placement } from '../adapters/cache.ts';
import { createPageSet } from './page-set.ts';
import type { Pages } from './pages.ts';
import type { PrefixCache } from './prefix-cache.ts';
import { planRun, type Ground } from './run-plan.ts';

/** Makes room in the pool that KV pages and adapters share: S-LoRA's unified paging, with one order of eviction for both. */
export interface Room {
  /**
   * Evicts until so many pages are free: kept beginnings and adapters that nobody waits for, whichever was not used for longer; then,
   * where `before` is given, adapters that are waited for behind that place. False, with nothing evicted, where all of it is too little;
   * `spare` (default 0) pages must be left, or could be made free, beside them.
   */
  pages(count: number, before: number | undefined, spare?: number): boolean;
  /**
   * The same for an adapter's run of pages and slot, with nothing evicted where no run can come together; `spare` pages must be left, or
   * could be made free, beside it.
   */
  adapter(key: string, pages: number, before: number | undefined, spare: number): Placement | undefined;
  /** Evicts all that may leave, waited for or not. */
  clear(): void;
}

export interface RoomParts {
  readonly pages: Pages;
  readonly prefix: PrefixCache;
  readonly cache: AdapterCache;
  readonly demand: Demand;
  /** Told of every adapter that leaves the GPU. */
  readonly evicted: (key: string) => void;
}

export function createRoom({ pages, prefix, cache, demand, evicted }: RoomParts): Room {
  const free = (): number => {
    const { total, kv, adapters } = pages.counts();
    return total - kv - adapters;
  };
  const evictAdapter = (key: string): void => {
    cache.evict(key);
    evicted(key);
  };
  const open = createPageSet(pages.counts().total);
  const ground = (before: number | undefined): Ground => ({
    open: () => {
      pages.copyFree(open);
      return open;
    },
    eachIdle: pages.eachIdle,
    isIdle: pages.isIdle,
    victims: () => cache.victims(demand, before),
    placement: (key) => cache.get(key)!,
    hasSlot: cache.hasSlot,
    oldestIdle: () => prefix.oldest() ?? (pages.counts().idle > 0 ? Infinity : undefined),
  });
  /** Frees one beginning's page or one adapter; false where nothing may leave. */
  const evictOne = (before: number | undefined): boolean => {
    const victim = cache.victim(demand, before);
    const oldest = prefix.oldest();
    const prefixFirst = oldest !== undefined && (victim === undefined || victim.wanted !== undefined || oldest <= victim.lastUse);
    if (prefixFirst && prefix.evict()) return true;
    if ((victim === undefined || victim.wanted !== undefined) && prefix.evictFollowed()) return true;
    if (victim === undefined) return false;
    evictAdapter(victim.key);
    return true;
  };
  const mayHave = (count: number, before: number | undefined): boolean => {
    const missing = count - free() - pages.counts().idle;
    return missing <= 0 || cache.evictable(demand, before, missing) >= missing;
  };

  return {
    pages: (count, before, spare = 0) => {
      if (free() >= count + spare) return true;
      if (!mayHave(count + spare, before)) return false;
      while (free() < count) if (!evictOne(before)) return false;
      return true;
    },
    adapter: (key, count, before, spare) => {
      if (!mayHave(count + spare, before)) return undefined;
      const placed = cache.place(key, count);
      if (placed) return placed;
      const plan = planRun(ground(before), count);
      if (!plan) return undefined;
      plan.adapters.forEach(evictAdapter);
      prefix.forget(plan.idle);
      return cache.place(key, count);
    },
    clear: () => {
      while (evictOne(-1));
    },
  };
}
