import { createAdapterCache, type AdapterCache } from '../adapters/cache.ts';
import type { CostEstimate } from './cost.ts';
import { createDemand } from './demand.ts';
import { createPages, type Pages } from './pages.ts';
import { createPrefixCache } from './prefix-cache.ts';
import { PATIENCE_MS } from './admission.ts';
import { createWaitQueue, type WaitQueue } from './queue.ts';
import { createRoom } from './room.ts';
import { createScheduler, type Scheduler, type SchedulerLimits } from './scheduler.ts';
import type { Sequence } from './sequence.ts';
import { createTraffic, type Traffic } from './traffic.ts';

/** Everything that decides, put together: the engine and the simulator run the same one. No clock, no GPU, no promise. */
export interface Core {
  readonly pages: Pages;
  readonly cache: AdapterCache;
  readonly queue: WaitQueue<Sequence>;
  readonly scheduler: Scheduler;
  readonly traffic: Traffic;
  /** Whether a running sequence computes with it. */
  inUse(adapter: string): boolean;
}

export interface CoreParts {
  readonly limits: SchedulerLimits;
  /** Pages of the pool, and adapters that it can name (slot 0 is none). */
  readonly pages: number;
  readonly slots: number;
  readonly cost: CostEstimate;
  /** `shared`: a beginning that was computed once is not computed again. */
  readonly beginnings: 'shared' | 'own';
  readonly tenantWeight: (tenant: string) => number;
  readonly flowWeight: (flow: string) => number;
  /** Told of every adapter that makes room for others. */
  readonly evicted: (adapter: string) => void;
}

/** Adapters that are read at once: enough to hide a slow origin behind others, few enough to keep their order. */
const CONCURRENT_READS = 8;

/**
 * Adapters of a tenant that differ by less service than this wait in order of arrival: about what a running batch may differ by anyway.
 * Exact shares would serve each rare adapter the moment it is asked for, and move adapters for it; so they move a fifth less.
 */
export const FLOW_QUANTUM = 4096;

export function createCore(parts: CoreParts): Core {
  const { limits, cost, beginnings, tenantWeight, flowWeight } = parts;
  let turn = 0;
  const clock = (): number => turn;
  const counters = { loads: 0, evictions: 0 };
  const evicted = (adapter: string): void => {
    counters.evictions += 1;
    parts.evicted(adapter);
  };
  const pages = createPages(parts.pages);
  const prefix = createPrefixCache(pages, clock);
  const cache = createAdapterCache(pages, parts.slots, clock);
  const demand = createDemand();
  const queue = createWaitQueue<Sequence>({ tenantWeight, flowWeight, patience: PATIENCE_MS, flowQuantum: FLOW_QUANTUM });
  const room = createRoom({ pages, prefix, cache, demand, evicted });
  const reserve = (): number => scheduler.counts().running;
  const places = (): number => limits.sequences - scheduler.counts().running;
  const traffic = createTraffic({ queue, cache, room, demand, reserve, places, concurrent: CONCURRENT_READS, counters });
  const shared = beginnings === 'shared' ? prefix : undefined;
  const scheduler = createScheduler({ limits, pages, prefix: shared, queue, cost, room, demand, adapters: traffic });
  return {
    pages,
    cache,
    queue,
    scheduler,
    traffic: {
      ...traffic,
      turn: (now) => {
        turn += 1;
        return traffic.turn(now);
      },
    },
    inUse: demand.inUse,
  };
}
