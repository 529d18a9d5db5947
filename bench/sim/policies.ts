import type { Demand } from '../../src/adapters/cache.ts';
import { createCore, type Core, type CoreParts, type CoreVariant } from '../../src/engine/core.ts';
import type { WaitQueue } from '../../src/engine/queue.ts';
import type { Sequence } from '../../src/engine/sequence.ts';
import { createFirstComeQueue } from './first-come.ts';

/**
 * Who decides. `weblora`: the engine's own core. `first-come`: its queue is served in order of arrival. `lru`: the adapters that can run
 * now are loaded in the queue's order, and whoever was not used for longest makes room, waited for or not.
 */
export type Policy = 'weblora' | 'first-come' | 'lru';

/** Makes the core that a policy names. `more`: parts that replace its own besides. */
export function createPolicy(policy: Policy, parts: CoreParts, more: CoreVariant = {}): Core {
  return createCore(parts, { ...variantOf(policy), ...more });
}

function variantOf(policy: Policy): CoreVariant {
  if (policy === 'first-come') return { queue: createFirstComeQueue() };
  return policy === 'lru' ? { seen: blind, ahead: withinSeats } : {};
}

const blind = ({ inUse }: Demand): Demand => ({ inUse, place: () => undefined });

/** The queue as seen by who loads nothing ahead. */
function withinSeats(queue: WaitQueue<Sequence>, seats: () => number): Pick<WaitQueue<Sequence>, 'upcoming'> {
  return { upcoming: (count, now) => queue.upcoming(Math.min(count, seats()), now) };
}
