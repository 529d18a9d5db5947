import { createAdapterCache, type AdapterCache, type Demand } from '../adapters/cache.ts';
import { createLowerTiers, type LowerTiers, type Move } from '../adapters/lower-tiers.ts';
import { PATIENCE_MS } from './admission.ts';
import { createContents, type Contents } from './contents.ts';
import type { CostEstimate } from './cost.ts';
import { createDemand } from './demand.ts';
import { createPages, type Pages } from './pages.ts';
import { createPrefixCache } from './prefix-cache.ts';
import { createWaitQueue, type WaitQueue } from './queue.ts';
import { createRoom, type Room, type RoomParts } from './room.ts';
import { createScheduler, type Scheduler, type SchedulerLimits } from './scheduler.ts';
import type { Sequence } from './sequence.ts';
import { createTraffic, type Traffic } from './traffic.ts';

/** Everything that decides, put together: the engine and the simulator run the same one. No clock, no GPU, no promise. */
export interface Core {
  readonly pages: Pages;
  readonly cache: AdapterCache;
  readonly lower: LowerTiers;
  readonly contents: Contents;
  readonly queue: WaitQueue<Sequence>;
  readonly scheduler: Scheduler;
  readonly traffic: Traffic;
  /** Whether a running sequence computes with this content. */
  inUse(content: string): boolean;
  /** The same, or one waits for it. */
  isNeeded(content: string): boolean;
}

export interface CoreParts {
  readonly limits: SchedulerLimits;
  /** Pages of the pool, and adapters that it can name (slot 0 is none). */
  readonly pages: number;
  readonly slots: number;
  /** Budgets in bytes for adapters in memory and in the store; 0: no store. */
  readonly heapBytes: number;
  readonly diskBytes: number;
  readonly cost: CostEstimate;
  /** `shared`: a beginning that was computed once is not computed again. */
  readonly beginnings: 'shared' | 'own';
  readonly tenantWeight: (tenant: string) => number;
  readonly flowWeight: (flow: string) => number;
  /** Told of every adapter that leaves a tier, and of those that come into memory or onto the disk: bytes that are to follow. */
  readonly moved: (move: Move) => void;
}

/** Parts that a simulation compares with the engine's own. */
export interface CoreVariant {
  readonly queue?: WaitQueue<Sequence>;
  /** The queue as the traffic of adapters sees it, and the demand as the cache sees it when somebody must leave. */
  readonly ahead?: (queue: WaitQueue<Sequence>, seats: () => number) => Pick<WaitQueue<Sequence>, 'upcoming'>;
  readonly seen?: (demand: Demand) => Demand;
  readonly pages?: Pages;
  readonly room?: (parts: RoomParts) => Room;
}

/** Adapters that are read at once: enough to hide a slow origin behind others, few enough to keep their order. */
const CONCURRENT_READS = 8;

/**
 * Adapters of a tenant that differ by less service than this wait in order of arrival: about what a running batch may differ by anyway.
 * Exact shares would serve each rare adapter the moment it is asked for, and move adapters for it; so they move a fifth less.
 */
const FLOW_QUANTUM = 4096;

export function createCore(parts: CoreParts, variant: CoreVariant = {}): Core {
  const { limits, cost, beginnings, tenantWeight, flowWeight, moved } = parts;
  const { seen = (demand: Demand): Demand => demand, ahead = (whole: WaitQueue<Sequence>) => whole } = variant;
  let turn = 0;
  const clock = (): number => turn;
  const evicted = (content: string): void => moved({ tier: 'gpu', kind: 'evict', content });
  const pages = variant.pages ?? createPages(parts.pages);
  const prefix = createPrefixCache(pages, clock, limits.window);
  const cache = createAdapterCache(pages, parts.slots, clock);
  const contents = createContents();
  const demand = createDemand(contents);
  const uploading = new Set<string>();
  const isUploading = (content: string): boolean => uploading.has(content);
  const queue = variant.queue ?? createWaitQueue<Sequence>({ tenantWeight, flowWeight, patience: PATIENCE_MS, flowQuantum: FLOW_QUANTUM });
  const busy = seen({ inUse: (content) => demand.inUse(content) || uploading.has(content), place: demand.place });
  const room = (variant.room ?? createRoom)({ pages, prefix, cache, demand: busy, evicted });
  const { heapBytes, diskBytes } = parts;
  const lower = createLowerTiers({ heapBytes, diskBytes, clock, place: demand.place, isResident: cache.has, isUploading, moved });
  const reserve = (): number => scheduler.counts().running;
  const places = (): number => limits.sequences - scheduler.counts().running;
  const traffic = createTraffic({
    ...{ cache, room, demand, contents, lower, uploading, reserve, places, evicted },
    queue: ahead(queue, places),
    concurrent: CONCURRENT_READS,
  });
  const shared = beginnings === 'shared' ? prefix : undefined;
  const scheduler = createScheduler({ limits, pages, prefix: shared, queue, cost, room, demand, adapters: traffic });
  return {
    ...{ pages, cache, lower, contents, queue, scheduler },
    traffic: {
      ...traffic,
      turn: (now) => {
        turn += 1;
        return traffic.turn(now);
      },
    },
    inUse: demand.inUse,
    isNeeded: (content) => demand.inUse(content) || demand.place(content) !== undefined,
  };
}
