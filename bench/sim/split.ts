import type { CoreVariant } from '../../src/engine/core.ts';
import { createPages, type Pages } from '../../src/engine/pages.ts';
import type { PrefixCache } from '../../src/engine/prefix-cache.ts';
import { createRoom, type Room, type RoomParts } from '../../src/engine/room.ts';
import type { Machine } from './simulate.ts';

/**
 * The engine's pool with a border that does not move: the last `share` of its pages are for adapters, the others for keys and values. Who
 * makes room is decided as in the engine, on either side by itself.
 */
export function fixedSplit(share: number): (machine: Machine) => CoreVariant {
  return ({ pages: total }) => {
    const border = total - Math.round(share * total);
    const pages = createSplitPages(total, border);
    return { pages, room: (parts) => createSplitRoom(parts, border) };
  };
}

function createSplitPages(total: number, border: number): Pages {
  const whole = createPages(total);
  return {
    ...whole,
    take: (count) => (whole.counts().kv + count <= border ? whole.take(count) : undefined),
    takeRun: (count) => {
      const first = whole.takeRun(count); // the highest: where it lies below the border none lies above
      if (first === undefined || first >= border) return first;
      whole.giveRun(first, count);
      return undefined;
    },
  };
}

const NO_ADAPTERS = { victim: () => undefined, evictable: () => 0 } as const;
const NO_BEGINNINGS: Pick<PrefixCache, 'oldest' | 'evict' | 'evictFollowed' | 'forget'> = {
  oldest: () => undefined,
  evict: () => false,
  evictFollowed: () => false,
  forget: () => undefined,
};

function createSplitRoom(parts: RoomParts, border: number): Room {
  const { pages } = parts;
  const below: Pages = { ...pages, counts: () => ({ ...pages.counts(), total: border, adapters: 0 }) };
  const above: Pages = {
    ...pages,
    copyFree: (set) => {
      pages.copyFree(set);
      for (let page = 0; page < border; page++) set.remove(page);
    },
    isIdle: () => false,
    eachIdle: () => undefined,
    counts: () => ({ ...pages.counts(), kv: border, idle: 0 }),
  };
  const keys = createRoom({ ...parts, pages: below, cache: { ...parts.cache, ...NO_ADAPTERS } });
  const adapters = createRoom({ ...parts, pages: above, prefix: { ...parts.prefix, ...NO_BEGINNINGS } });
  return {
    pages: keys.pages,
    adapter: (key, count, before) => adapters.adapter(key, count, before, 0),
    clear: () => {
      keys.clear();
      adapters.clear();
    },
  };
}
