import { createAdapterCache } from '../../src/adapters/cache.ts';
import { PATIENCE_MS } from '../../src/engine/admission.ts';
import { createCore, FLOW_QUANTUM, type Core, type CoreParts } from '../../src/engine/core.ts';
import { createDemand } from '../../src/engine/demand.ts';
import { createPages } from '../../src/engine/pages.ts';
import { createPrefixCache } from '../../src/engine/prefix-cache.ts';
import { createWaitQueue, type WaitQueue } from '../../src/engine/queue.ts';
import { createRoom } from '../../src/engine/room.ts';
import { createScheduler } from '../../src/engine/scheduler.ts';
import type { Sequence } from '../../src/engine/sequence.ts';
import { createTraffic } from '../../src/engine/traffic.ts';
import { createFirstComeQueue } from './first-come.ts';

/**
 * Who decides. `weblora`: the engine's own core. `parts`: the same one, put together here. `first-come`: its queue is served in order of
 * arrival. `lru`: the adapters that can run now are loaded in the queue's order, and whoever was not used for longest makes room, waited
 * for or not. `lru-ahead`: the same, but loading as far ahead as the engine does.
 */
export type Policy = 'weblora' | 'parts' | 'first-come' | 'lru' | 'lru-ahead';

const CONCURRENT_READS = 8;

/** Makes the core that a policy names. */
export function createPolicy(policy: Policy, parts: CoreParts): Core {
  return policy === 'weblora' ? createCore(parts) : compose(policy, parts);
}

function compose(policy: Exclude<Policy, 'weblora'>, parts: CoreParts): Core {
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
  const fair = (): WaitQueue<Sequence> =>
    createWaitQueue<Sequence>({ tenantWeight, flowWeight, patience: PATIENCE_MS, flowQuantum: FLOW_QUANTUM });
  const queue = policy === 'first-come' ? createFirstComeQueue() : fair();
  const blind = { inUse: demand.inUse, place: () => undefined };
  const isBlind = policy === 'lru' || policy === 'lru-ahead';
  const room = createRoom({ pages, prefix, cache, demand: isBlind ? blind : demand, evicted });
  const running = (): number => scheduler.counts().running;
  const seats = (): number => limits.sequences - running();
  const seen = policy === 'lru' ? withinSeats(queue, seats) : queue;
  const places = policy === 'lru-ahead' ? () => Infinity : seats;
  const traffic = createTraffic({ queue: seen, cache, room, demand, reserve: running, places, concurrent: CONCURRENT_READS, counters });
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

/** The queue as seen by who loads nothing ahead. */
function withinSeats(queue: WaitQueue<Sequence>, seats: () => number): WaitQueue<Sequence> {
  return Object.create(queue, { upcoming: { value: (count: number, now: number) => queue.upcoming(Math.min(count, seats()), now) } });
}
