import type { AdapterCache, Placement } from '../adapters/cache.ts';
import type { AdapterView } from './admission.ts';
import type { AdapterDemand } from './demand.ts';
import type { WaitQueue } from './queue.ts';
import type { Room } from './room.ts';
import type { Sequence } from './sequence.ts';

/** What is known of an adapter whose bytes are in memory. */
export interface ReadAdapter {
  readonly digest: string;
  /** Pages of the pool that it takes. */
  readonly pages: number;
}

export interface Placed {
  readonly adapter: string;
  readonly placement: Placement;
}

/** Which adapters move, when: reads ahead of the queue, and places what was read, beside the steps. Pure: others do the moving. */
export interface Traffic extends AdapterView {
  /**
   * What moves before the next step: adapters to be written to the GPU now, and adapters to begin reading. Those count as on their way
   * until `arrived` or `failed`. Adapters of requests that are served sooner go first, and no adapter that is needed sooner makes room.
   */
  turn(now: number): { readonly write: readonly Placed[]; readonly read: readonly string[] };
  /** Its bytes are in memory. */
  arrived(adapter: string, read: ReadAdapter): void;
  /** It cannot be read. */
  failed(adapter: string): void;
  /** Places one that was read because a caller asked; undefined where the pool has no room beside what running requests hold. */
  place(adapter: string): Placement | undefined;
  /** Takes it off the GPU. */
  evict(adapter: string): void;
  /** Forgets all about it; it must not be in use. */
  forget(adapter: string): void;
  /** The GPU was lost: nothing is on it. */
  reset(): void;
  counts(): { readonly loads: number; readonly evictions: number };
}

export interface TrafficParts {
  readonly queue: WaitQueue<Sequence>;
  readonly cache: AdapterCache;
  readonly room: Room;
  readonly demand: AdapterDemand;
  /** Pages that running requests will soon take: placing an adapter leaves them. */
  readonly reserve: () => number;
  /** Requests that could be admitted at once. */
  readonly places: () => number;
  /** Adapters on their way at once, those that take longer than 5 s not counted. */
  readonly concurrent: number;
  readonly counters: { loads: number; evictions: number };
}

/** How far the queue is looked through for adapters to bring. */
const WINDOW = 64;

/** An origin that answers so late keeps no other from being asked. */
const SLOW_READ_MS = 5000;

export function createTraffic({ queue, cache, room, demand, reserve, places, concurrent, counters }: TrafficParts): Traffic {
  const known = new Map<string, ReadAdapter>();
  const reading = new Map<string, number>(); // since when
  const waiting = new Set<string>();
  let unplaceable: string | undefined;

  const place = (adapter: string, before: number | undefined, spare: number): Placement | undefined => {
    const placement = room.adapter(adapter, known.get(adapter)!.pages, before, spare);
    if (placement) counters.loads += 1;
    return placement;
  };
  const evict = (adapter: string): void => {
    cache.evict(adapter);
    counters.evictions += 1;
  };

  /**
   * Takes everything else off the GPU that may leave, and places a flow's adapters anew, the largest first: the pages that they lack may
   * be there, but not side by side.
   */
  const placeAlone = (flow: string): Placed[] => {
    room.clear();
    const placed: Placed[] = [];
    const missing = demand.adaptersOf(flow).filter((adapter) => !cache.has(adapter) && known.has(adapter));
    for (const adapter of missing.sort((a, b) => known.get(b)!.pages - known.get(a)!.pages)) {
      const placement = place(adapter, undefined, 0);
      if (placement) placed.push({ adapter, placement });
      else unplaceable = flow;
    }
    return placed;
  };

  return {
    turn: (now) => {
      const flows = queue.upcoming(WINDOW, now);
      const next = [...new Set(flows.flatMap(demand.adaptersOf))];
      demand.expect(next);
      const write: Placed[] = [];
      const read: string[] = [];
      // to hold ready what is needed later would move adapters as often as least recently used does
      const soon = new Set(flows.slice(0, Math.max(1, places())).flatMap(demand.adaptersOf));
      let young = [...reading.values()].filter((began) => now - began < SLOW_READ_MS).length;
      waiting.clear();
      unplaceable = undefined;
      for (const [before, adapter] of next.entries()) {
        if (cache.has(adapter) || reading.has(adapter)) continue;
        if (known.has(adapter)) {
          if (!soon.has(adapter)) continue;
          const placement = place(adapter, before, reserve());
          if (placement) write.push({ adapter, placement });
          else waiting.add(adapter);
        } else if (young < concurrent) {
          young += 1;
          reading.set(adapter, now);
          read.push(adapter);
        }
      }
      // nobody runs and the first finds no room: nobody will ever make any
      const isStuck = reserve() === 0 && flows.length > 0 && demand.adaptersOf(flows[0]!).some((adapter) => waiting.has(adapter));
      if (isStuck) write.push(...placeAlone(flows[0]!));
      return { write: write.filter(({ adapter, placement }) => cache.get(adapter) === placement), read };
    },
    arrived: (adapter, read) => {
      reading.delete(adapter);
      known.set(adapter, read);
    },
    failed: (adapter) => reading.delete(adapter),
    place: (adapter) => cache.get(adapter) ?? place(adapter, -1, 0),
    evict,
    forget: (adapter) => {
      if (cache.has(adapter)) evict(adapter);
      known.delete(adapter);
      reading.delete(adapter);
    },
    reset: () => cache.clear(),
    counts: () => ({ ...counters }),
    isResident: (adapter) => cache.has(adapter),
    waitsForRoom: (adapter) => waiting.has(adapter),
    neverFits: (flow) => flow === unplaceable,
    digest: (adapter) => known.get(adapter)!.digest,
    lastingPages: (adapters) => {
      const lasting = new Set([...adapters, ...cache.keys()].filter((key, i) => i < adapters.length || cache.isPinned(key)));
      return [...lasting].reduce((sum, key) => sum + (known.get(key)?.pages ?? 0), 0);
    },
    touch: (adapter) => cache.touch(adapter),
  };
}
