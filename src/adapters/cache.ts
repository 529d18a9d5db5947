/** Where an adapter lies on the GPU. */
export interface Placement {
  /** The number by which kernels name it; 0 is no adapter and never given. */
  readonly slot: number;
  readonly firstPage: number;
  readonly pages: number;
}

/** Contiguous runs of pages, as the page allocator gives them. */
export interface PageRuns {
  takeRun(count: number): number | undefined;
  giveRun(first: number, count: number): void;
}

/** Who needs what, as of now: the running requests and the queue. */
export interface Demand {
  /** A running request uses it: it stays. */
  inUse(key: string): boolean;
  /** Place among those waited for: 0 is next; `Infinity`: waited for, far behind; undefined: nobody waits for it. */
  place(key: string): number | undefined;
}

/** Who is the next to leave. */
export interface Victim {
  readonly key: string;
  /** When it was last used, by the cache's clock. */
  readonly lastUse: number;
  /** Its place among those waited for; undefined where nobody waits for it. */
  readonly wanted: number | undefined;
}

/** What all tiers do with the keys that lie in them. A pin belongs to the key: it holds from `pin` to `unpin`, wherever the adapter is. */
export interface Kept {
  has(key: string): boolean;
  /** In no particular order. */
  keys(): Iterable<string>;
  /** Notes a use. Throws `RangeError` where it is not in the tier. */
  touch(key: string): void;
  /** It is no victim from now on, nor when it comes back later. */
  pin(key: string): void;
  /** It may be a victim again; that counts as a use. */
  unpin(key: string): void;
  isPinned(key: string): boolean;
  /** All pinned keys, those that are elsewhere too. */
  pins(): Iterable<string>;
  /** Takes everything out; pins stay. */
  clear(): void;
}

/** Which adapters lie on the GPU, and who leaves first. Victims are never in use or pinned; see `victim`. */
export interface AdapterCache extends Kept {
  get(key: string): Placement | undefined;
  /**
   * Takes a slot and a run of pages, which counts as a use; undefined, and nothing taken, where one of them is not free. Never evicts.
   * Throws `RangeError` where it is there already.
   */
  place(key: string, pages: number): Placement | undefined;
  /**
   * The next to evict: of those nobody waits for, the one whose last use lies furthest back; where there is none and `before` is given,
   * of those waited for at a place greater than `before` the furthest (among equals the least recently used).
   */
  victim(demand: Demand, before: number | undefined): Victim | undefined;
  /** All who may be evicted, in the order in which `victim` names them while nothing changes. Lazy: the first few are cheap. */
  victims(demand: Demand, before: number | undefined): Iterable<Victim>;
  /** Whether a slot is free; where none is, only an eviction makes room, however many pages there are. */
  hasSlot(): boolean;
  /** Pages that would come free if every victim left, one after another; counted up to `enough`. */
  evictable(demand: Demand, before: number | undefined, enough?: number): number;
  /** Frees its run and slot, pinned or not. Throws `RangeError` where it is not there. */
  evict(key: string): Placement;
}

/** A tier whose room is a sum of bytes, with the same order of victims. */
export interface ByteTier extends Kept {
  readonly budget: number;
  /** Counts as a use. More than the budget holds may be added: see `trim`. Throws `RangeError` where it is there already. */
  add(key: string, bytes: number): void;
  /** Throws `RangeError` where it is not there. */
  remove(key: string): void;
  /** Sum over all that is in the tier. */
  bytes(): number;
  /** Throws `RangeError` where it is not there. */
  sizeOf(key: string): number;
  /**
   * What must be removed, in this order, before so many more bytes fit: nothing where they do already; undefined where no removal of
   * victims suffices. `before`: as `victim` of an AdapterCache.
   */
  admit(bytes: number, demand: Demand, before: number | undefined): string[] | undefined;
  /** Removes victims until the budget holds, as far as they suffice; returns them in order. */
  trim(demand: Demand, before: number | undefined): string[];
}

/** Keys in the order in which they were used, each with its size. */
interface Uses extends Kept {
  add(key: string, size: number): void;
  remove(key: string): void;
  sizeOf(key: string): number;
  /** Those that are not pinned, least recently used first. */
  loose(): Iterable<string>;
  /** Lazily, so that the next victim alone costs no more than the steps over those in use or waited for that lie before it. */
  victims(demand: Demand, before: number | undefined): Generator<Victim>;
}

interface Use {
  readonly size: number;
  last: number;
}

function requireAmount(value: number, what: string): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${what} must be a non-negative integer; got ${value}.`);
}

function createUses(clock: () => number): Uses {
  const uses = new Map<string, Use>();
  const order = new Set<string>(); // what is not pinned; a set keeps the order of insertion: least recently used first
  const pinned = new Set<string>();
  const required = (key: string): Use => {
    const use = uses.get(key);
    if (!use) throw new RangeError(`Adapter ${JSON.stringify(key)} is not in this tier.`);
    return use;
  };
  const note = (key: string, use: Use): void => {
    use.last = clock();
    order.delete(key);
    if (!pinned.has(key)) order.add(key);
  };
  return {
    has: (key) => uses.has(key),
    keys: () => uses.keys(),
    sizeOf: (key) => required(key).size,
    add: (key, size) => {
      const use = { size, last: 0 };
      uses.set(key, use);
      note(key, use);
    },
    touch: (key) => note(key, required(key)),
    remove: (key) => {
      required(key);
      uses.delete(key);
      order.delete(key);
    },
    pin: (key) => {
      pinned.add(key);
      order.delete(key);
    },
    unpin: (key) => {
      const use = uses.get(key);
      if (pinned.delete(key) && use) note(key, use);
    },
    isPinned: (key) => pinned.has(key),
    pins: () => pinned.keys(),
    clear: () => {
      uses.clear();
      order.clear();
    },
    loose: () => order,
    *victims(demand, before) {
      const wanted: { readonly key: string; readonly lastUse: number; readonly wanted: number }[] = [];
      for (const key of order) {
        if (demand.inUse(key)) continue;
        const place = demand.place(key);
        const lastUse = uses.get(key)!.last;
        if (place === undefined) yield { key, lastUse, wanted: undefined };
        else if (before !== undefined && place > before) wanted.push({ key, lastUse, wanted: place });
      }
      yield* wanted.sort((a, b) => (a.wanted === b.wanted ? 0 : b.wanted - a.wanted));
    },
  };
}

function requireAbsent(uses: Kept, key: string): void {
  if (uses.has(key)) throw new RangeError(`Adapter ${JSON.stringify(key)} is in this tier already.`);
}

const keptOf = ({ has, keys, touch, pin, unpin, isPinned, pins }: Uses): Omit<Kept, 'clear'> => {
  return { has, keys, touch, pin, unpin, isPinned, pins };
};

/**
 * Makes the record of what lies on the GPU. Slots 1 to `slots` − 1 are given: 0 is no adapter. `clock`: the
 * number of the step, read at each use. Pure. Throws `RangeError` unless `slots` is a positive integer.
 */
export function createAdapterCache(runs: PageRuns, slots: number, clock: () => number): AdapterCache {
  if (!Number.isSafeInteger(slots) || slots < 1) throw new RangeError(`The number of slots must be at least 1; got ${slots}.`);
  const uses = createUses(clock);
  const placements = new Map<string, Placement>();
  const slotNumbers = (): number[] => Array.from({ length: slots - 1 }, (_, i) => slots - 1 - i);
  let freeSlots = slotNumbers();
  return {
    ...keptOf(uses),
    get: (key) => placements.get(key),
    place: (key, pages) => {
      requireAbsent(uses, key);
      const slot = freeSlots.at(-1);
      if (slot === undefined) return undefined;
      const firstPage = runs.takeRun(pages);
      if (firstPage === undefined) return undefined;
      freeSlots.pop();
      const placement = { slot, firstPage, pages };
      placements.set(key, placement);
      uses.add(key, pages);
      return placement;
    },
    victim: (demand, before) => {
      for (const victim of uses.victims(demand, before)) return victim;
      return undefined;
    },
    victims: uses.victims,
    hasSlot: () => freeSlots.length > 0,
    evictable: (demand, before, enough = Infinity) => {
      let pages = 0;
      for (const key of uses.loose()) {
        if (pages >= enough) break;
        if (demand.inUse(key)) continue;
        const wanted = demand.place(key);
        if (wanted === undefined || (before !== undefined && wanted > before)) pages += uses.sizeOf(key);
      }
      return pages;
    },
    evict: (key) => {
      uses.remove(key);
      const placement = placements.get(key)!;
      placements.delete(key);
      runs.giveRun(placement.firstPage, placement.pages);
      freeSlots.push(placement.slot);
      return placement;
    },
    clear: () => {
      for (const { firstPage, pages } of placements.values()) runs.giveRun(firstPage, pages);
      placements.clear();
      uses.clear();
      freeSlots = slotNumbers();
    },
  };
}

/** Makes an empty tier for `budget` bytes. `clock`: as for the GPU's. Pure. Throws `RangeError` unless `budget` is a non-negative integer. */
export function createByteTier(budget: number, clock: () => number): ByteTier {
  requireAmount(budget, 'The budget in bytes');
  const uses = createUses(clock);
  let sum = 0;
  const remove = (key: string): void => {
    sum -= uses.sizeOf(key);
    uses.remove(key);
  };
  /** The first victims that free so many bytes; all of them where they are too few. */
  const leaving = (over: number, demand: Demand, before: number | undefined): { readonly keys: string[]; readonly missing: number } => {
    const keys: string[] = [];
    let missing = over;
    if (missing <= 0) return { keys, missing };
    for (const { key } of uses.victims(demand, before)) {
      keys.push(key);
      missing -= uses.sizeOf(key);
      if (missing <= 0) break;
    }
    return { keys, missing };
  };
  return {
    ...keptOf(uses),
    budget,
    bytes: () => sum,
    sizeOf: uses.sizeOf,
    add: (key, bytes) => {
      requireAbsent(uses, key);
      requireAmount(bytes, "An adapter's bytes");
      sum += bytes;
      uses.add(key, bytes);
    },
    remove,
    admit: (bytes, demand, before) => {
      const { keys, missing } = leaving(sum + bytes - budget, demand, before);
      return missing > 0 ? undefined : keys;
    },
    trim: (demand, before) => {
      const { keys } = leaving(sum - budget, demand, before);
      keys.forEach(remove);
      return keys;
    },
    clear: () => {
      uses.clear();
      sum = 0;
    },
  };
}
