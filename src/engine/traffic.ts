import type { AdapterCache, Placement } from '../adapters/cache.ts';
import type { AdapterFacts, LowerTiers } from '../adapters/lower-tiers.ts';
import type { AdapterView } from './admission.ts';
import type { Contents } from './contents.ts';
import type { AdapterDemand } from './demand.ts';
import type { Pinned } from './no-room.ts';
import type { WaitQueue } from './queue.ts';
import type { Room } from './room.ts';
import type { Sequence } from './sequence.ts';

/** A content and its place on the GPU, to be written there. */
export interface Placed {
  readonly content: string;
  readonly placement: Placement;
}

/** Bytes to be read: of a content, or of an adapter whose digest is not known yet. */
export interface Reading {
  readonly content: string;
  readonly from: 'disk' | 'origin';
}

/**
 * Which adapters move, when: reads ahead of the queue, and places what was read, beside the steps. Pure: others do the moving. Adapters
 * go by the names that sequences have for them, contents by digest (or such a name, as long as none is known).
 */
export interface Traffic extends AdapterView {
  /**
   * What moves before the next step: contents to be written to the GPU, which count as there from `written` on, and contents to begin
   * reading, which are on their way until `arrived` or `failed`. What is served sooner goes first, and nothing that is needed sooner makes room.
   */
  turn(now: number): { readonly write: readonly Placed[]; readonly read: readonly Reading[] };
  /** What an adapter computes is known, though its bytes may not be in memory. */
  learn(adapter: string, facts: AdapterFacts): void;
  /** An adapter's bytes are in memory. `only`: they cannot be read from where they came again. */
  arrived(adapter: string, facts: AdapterFacts, from: 'disk' | 'origin', only?: 'copy'): void;
  /** Its reading has ended: with nothing, or with what goes by another name. */
  failed(content: string): void;
  /** It is written, for the next step to use. */
  written(content: string): void;
  /** Places one that is in memory because a caller asked; undefined where the pool has no room beside what running requests hold. */
  place(content: string): Placement | undefined;
  /** Takes it off the GPU. */
  evict(content: string): void;
  /** Forgets an adapter that nobody uses, and its content where no other adapter stands for it. */
  forget(adapter: string): void;
  /** Contents that are pinned, but this one, and the pages of those that were read. */
  pinned(but?: string): Pinned;
  /** The GPU was lost: nothing is on it. */
  reset(): void;
  /** When a turn may begin reads that the last one held back, though nothing happens until then; undefined where it held back none. */
  nextRead(): number | undefined;
}

export interface TrafficParts {
  readonly queue: Pick<WaitQueue<Sequence>, 'upcoming'>;
  readonly cache: AdapterCache;
  readonly room: Room;
  readonly demand: AdapterDemand;
  readonly contents: Contents;
  readonly lower: LowerTiers;
  /** Contents whose bytes are on their way onto the GPU. */
  readonly uploading: Set<string>;
  /** Pages that running requests will soon take: placing an adapter leaves them. */
  readonly reserve: () => number;
  /** Requests that could be admitted at once. */
  readonly places: () => number;
  /** Adapters on their way at once, those that take longer than 5 s not counted. */
  readonly concurrent: number;
  /** Told of what leaves the GPU. */
  readonly evicted: (content: string) => void;
}

/**
 * How far the queue is looked through for adapters to bring, and how far in most turns: a look into the distance costs as much as all other
 * decisions of a step, and little changes there from one to the next.
 */
const FAR = 64;
const NEAR = 12;
const TURNS_PER_LOOK = 4;

/** An origin that answers so late keeps no other from being asked. */
const SLOW_READ_MS = 5000;

interface OnItsWay {
  readonly since: number;
  /** What it will take in memory, as far as that is known. */
  readonly bytes: number;
}

export function createTraffic(parts: TrafficParts): Traffic {
  const { queue, cache, room, demand, contents, lower, uploading, reserve, places, concurrent, evicted } = parts;
  const { heap, disk } = lower;
  const known = new Map<string, AdapterFacts>();
  const reading = new Map<string, OnItsWay>();
  const waiting = new Set<string>();
  let unplaceable: string | undefined;
  let turns = 0;
  let nextRead: number | undefined;
  const sizes = { sum: 0, count: 0 };

  /** What it will take in memory: as much as others, where it was never read. */
  const sizeOf = (content: string): number => known.get(content)?.bytes ?? Math.ceil(sizes.sum / Math.max(1, sizes.count));
  const place = (content: string, before: number | undefined, spare: number): Placement | undefined => {
    const placement = room.adapter(content, known.get(content)!.pages, before, spare);
    if (!placement) return undefined;
    uploading.add(content);
    lower.used(content);
    return placement;
  };
  const evict = (content: string): void => {
    cache.evict(content);
    uploading.delete(content);
    evicted(content);
  };

  /**
   * Takes everything else off the GPU that may leave, and places a flow's adapters anew, the largest first: the pages that they lack may
   * be there, but not side by side. What is not in memory is left a place for when it was read: the flow never fits only where all of
   * it together does not.
   */
  const placeAlone = (flow: string): Placed[] => {
    room.clear();
    const placed: Placed[] = [];
    const missing = demand.adaptersOf(flow).filter((content) => !cache.has(content) && known.has(content));
    for (const content of missing.sort((a, b) => known.get(b)!.pages - known.get(a)!.pages)) {
      const placement = place(content, undefined, 0);
      if (placement) placed.push({ content, placement });
      else unplaceable = flow;
    }
    for (const { content } of placed) {
      if (heap.has(content)) continue;
      cache.evict(content);
      uploading.delete(content);
    }
    return placed.filter(({ content }) => cache.has(content));
  };
  /** Nobody runs, nothing is on its way onto the GPU but what this turn placed, and the first finds no room: nobody will ever make any. */
  const isStuck = (flows: readonly string[], placed: number): boolean => {
    if (reserve() > 0 || uploading.size > placed || flows.length === 0) return false;
    return demand.adaptersOf(flows[0]!).some((content) => waiting.has(content));
  };
  /** What the first flows need, in order; `soon`: how much of it could run now. */
  const upcoming = (flows: readonly string[]): { readonly next: readonly string[]; readonly soon: number } => {
    const next = new Set<string>();
    const now = Math.max(1, places());
    let soon = 0;
    for (const [i, flow] of flows.entries()) {
      for (const content of demand.adaptersOf(flow)) next.add(content);
      if (i < now) soon = next.size;
    }
    return { next: [...next], soon };
  };
  // to hold ready what is needed later would move adapters as often as least recently used does
  /** Places what is in memory and can run now; what of that finds no room waits. */
  const placeNext = (next: readonly string[], soon: number): Placed[] => {
    const placed: Placed[] = [];
    waiting.clear();
    unplaceable = undefined;
    for (let before = 0; before < soon; before++) {
      const content = next[before]!;
      if (cache.has(content) || !heap.has(content)) continue;
      const placement = place(content, before, reserve());
      if (placement) placed.push({ content, placement });
      else waiting.add(content);
    }
    return placed;
  };
  /** Begins to read what is not in memory, as much as memory holds beside what is there for others who wait. */
  const readNext = (next: readonly string[], now: number): Reading[] => {
    const begun: Reading[] = [];
    const isSlow = ({ since }: OnItsWay): boolean => now - since >= SLOW_READ_MS;
    const young = new Set<string>();
    for (const [content, onItsWay] of reading) if (!isSlow(onItsWay)) young.add(content);
    let held = 0;
    nextRead = undefined;
    for (const content of next) {
      if (cache.has(content) && !uploading.has(content)) continue;
      const onItsWay = reading.get(content);
      if (onItsWay && isSlow(onItsWay)) continue;
      const isNew = !heap.has(content) && !onItsWay;
      const bytes = heap.has(content) ? heap.sizeOf(content) : (onItsWay?.bytes ?? sizeOf(content));
      // what lies there for those behind it makes room for it
      if (isNew && (young.size >= concurrent || (held > 0 && held + bytes > heap.budget))) {
        for (const each of young) nextRead = Math.min(nextRead ?? Infinity, reading.get(each)!.since + SLOW_READ_MS);
        break;
      }
      held += bytes;
      if (!isNew) continue;
      reading.set(content, { since: now, bytes });
      young.add(content);
      begun.push({ content, from: disk.has(content) ? 'disk' : 'origin' });
    }
    return begun;
  };
  const learn = (adapter: string, facts: AdapterFacts): void => {
    const before = contents.identify(adapter, facts.digest);
    if (before !== facts.digest) demand.identify(adapter, before, facts.digest);
    known.set(facts.digest, facts);
  };

  const pagesOf = (some: Iterable<string>): number => {
    let pages = 0;
    for (const content of some) pages += known.get(content)?.pages ?? 0;
    return pages;
  };

  return {
    turn: (now) => {
      lower.settle();
      // where nobody runs there may be no other turn before something comes
      const isFar = reserve() === 0 || turns++ % TURNS_PER_LOOK === 0;
      const flows = queue.upcoming(isFar ? FAR : NEAR, now);
      const { next, soon } = upcoming(flows);
      demand.expect(next, isFar ? 'far' : 'near');
      let write = placeNext(next, soon);
      if (isStuck(flows, write.length)) {
        for (const { content } of write) uploading.delete(content); // nobody was told of them
        write = [...write, ...placeAlone(flows[0]!)].filter(({ content, placement }) => cache.get(content) === placement);
        for (const { content } of write) uploading.add(content);
      }
      return { write, read: readNext(next, now) };
    },
    learn,
    arrived: (adapter, facts, from, only) => {
      for (const name of [adapter, contents.of(adapter), facts.digest]) reading.delete(name);
      learn(adapter, facts);
      sizes.sum += facts.bytes;
      sizes.count += 1;
      lower.arrived(facts, from, only);
    },
    failed: (content) => reading.delete(content),
    written: (content) => uploading.delete(content),
    place: (content) => cache.get(content) ?? place(content, -1, 0),
    evict,
    forget: (adapter) => {
      const { content, was } = contents.forget(adapter);
      if (content !== adapter) demand.identify(adapter, content, adapter);
      if (was === 'shared') return;
      reading.delete(content);
      if (cache.has(content)) evict(content);
      lower.forget(content);
      known.delete(content);
    },
    reset: () => {
      for (const content of cache.keys()) evicted(content);
      cache.clear();
      uploading.clear();
    },
    nextRead: () => nextRead,
    residency: (adapter) => {
      const content = contents.of(adapter);
      if (cache.has(content) && !uploading.has(content)) return 'resident';
      return waiting.has(content) ? 'unplaced' : 'absent';
    },
    isUploading: () => uploading.size > 0,
    neverFits: (flow) => flow === unplaceable,
    digest: contents.of,
    lastingPages: (adapters) => {
      const lasting = new Set(cache.pins());
      for (const adapter of adapters) lasting.add(contents.of(adapter));
      return pagesOf(lasting);
    },
    pinned: (but) => {
      const others = [...cache.pins()].filter((content) => content !== but);
      return { count: others.length, pages: pagesOf(others) };
    },
    touch: (adapter) => cache.touch(contents.of(adapter)),
  };
}
