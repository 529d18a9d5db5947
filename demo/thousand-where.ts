import type { AdapterInfo, Tier } from 'weblora';
import { THOUSAND, thousandNumber } from './thousand-adapter.ts';

/** The tier of each of the thousand, the first one at 0. */
export type Whereabouts = readonly Tier[];

/** How many of the thousand lie in each tier; together they are a thousand. */
export type TierCounts = Readonly<Record<Tier, number>>;

/** Where they are by the engine's list: one that it has never been asked for is at its origin. Others' adapters are passed over. */
export function whereabouts(list: readonly Pick<AdapterInfo, 'id' | 'tier'>[]): Whereabouts {
  const places = Array.from({ length: THOUSAND }, (): Tier => 'origin');
  for (const { id, tier } of list) {
    const number = thousandNumber(id);
    if (number !== undefined) places[number - 1] = tier;
  }
  return places;
}

export function countTiers(places: Whereabouts): TierCounts {
  const counts: Record<Tier, number> = { gpu: 0, heap: 0, disk: 0, origin: 0 };
  for (const tier of places) counts[tier]++;
  return counts;
}
