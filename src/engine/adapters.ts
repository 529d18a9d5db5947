import { readAdapter } from '../adapters/adapter.ts';
import { createResidency } from '../adapters/cache.ts';
import { createAdapterPool, type Placement } from '../adapters/pool.ts';
import type { PackedAdapter } from '../adapters/sites.ts';
import { WebLoraError } from '../errors.ts';
import { openFolder } from '../formats/folder.ts';
import type { Model } from '../model/model.ts';
import type { Part } from '../model/plan.ts';
import type { EventHub } from './events.ts';
import type { Pages } from './pages.ts';
import type { AdapterView, Blocked } from './scheduler.ts';
import type { AdapterInfo, Source } from './types.ts';

/** A registered adapter and how far it has come. Requests hold the entry, so what replaces it later does not touch them. */
export interface AdapterEntry {
  /** Unique among all entries there ever were: an id that is removed and added again is another adapter. */
  readonly key: string;
  readonly id: string;
  readonly source: Source;
  packed: PackedAdapter | undefined;
  reading: Promise<PackedAdapter> | undefined;
  /** On its way to the GPU because a request waits for it. */
  bringing: Promise<void> | undefined;
  placement: Placement | undefined;
  /** It was read and found no room on the GPU. */
  waitsForRoom: boolean;
}

/** Origin → heap → GPU for every registered adapter. `AdapterView` is what the scheduler sees of it. */
export interface AdapterTiers extends AdapterView {
  add(id: string, source: Source): void;
  /** The entry of a registered id. Throws `adapter_unknown`. */
  get(id: string): AdapterEntry;
  /** Reads it into the heap, once for all who ask. Throws what reading throws. */
  read(entry: AdapterEntry): Promise<PackedAdapter>;
  /** Puts what was read onto the GPU, evicting idle adapters that nobody in `needed` uses; false where there is no room yet. */
  place(entry: AdapterEntry, needed: ReadonlySet<string>): Promise<boolean>;
  /** Evicts idle adapters until a blocked sequence's pages are free; false where that cannot be. */
  makeRoom(blocked: Blocked, needed: ReadonlySet<string>): boolean;
  /** The entry's part in a request's rows; it must be on the GPU. Counts as a use. */
  part(key: string): Part;
  entry(key: string): AdapterEntry | undefined;
  /** Frees its place on the GPU. Throws `adapter_busy` where a running request is in `needed`. */
  unload(id: string, needed: ReadonlySet<string>): void;
  /** Forgets the id; `sweep` frees its bytes when the last request that uses it has ended. */
  remove(id: string): void;
  /** Frees removed adapters that no open request, running or waiting, uses. */
  sweep(inUse: ReadonlySet<string>): void;
  list(): AdapterInfo[];
}

/** A source in words: what people typed. */
export function sourceName(source: Source): string {
  if (typeof source === 'string') return source;
  if (source instanceof URL) return source.href;
  return 'location' in source ? source.location : `${source.length} dropped files`;
}

export function createAdapterTiers(model: Model, precision: 'exact' | 'half', pages: Pages, events: EventHub): AdapterTiers {
  const byId = new Map<string, AdapterEntry>();
  const byKey = new Map<string, AdapterEntry>();
  const pool = createAdapterPool(model.pool, model.shape.table, pages);
  const residency = createResidency();
  let made = 0;

  const evict = (entry: AdapterEntry): void => {
    pool.remove(entry.placement!);
    entry.placement = undefined;
    residency.remove(entry.key);
    events.adapter('evict', entry.id, entry.packed!.bytes);
  };
  const evictUntil = (done: () => boolean, needed: ReadonlySet<string>): boolean => {
    for (const victim of residency.victims(needed)) {
      if (done()) return true;
      evict(byKey.get(victim)!);
    }
    return done();
  };
  const get = (id: string): AdapterEntry => {
    const entry = byId.get(id);
    if (entry) return entry;
    const known = [...byId.keys()].slice(0, 8).join(', ') || 'none';
    throw new WebLoraError('adapter_unknown', `No adapter is registered as "${id}" (registered: ${known}). Call adapters.add first.`, {
      param: 'adapter',
    });
  };
  const read = (entry: AdapterEntry): Promise<PackedAdapter> => {
    if (entry.packed) return Promise.resolve(entry.packed);
    entry.reading ??= readEntry(entry, model, precision, (packed) => checkFits(entry, pool.pagesOf(packed), model)).finally(() => {
      entry.reading = undefined;
    });
    return entry.reading;
  };

  return {
    add: (id, source) => {
      const known = byId.get(id);
      if (known) {
        if (known.source === source) return;
        const message = `"${id}" is registered from ${sourceName(known.source)}. Remove it first, or choose another id.`;
        throw new WebLoraError('adapter_exists', message, { param: 'id' });
      }
      const key = `${id}#${made++}`;
      const idle = { packed: undefined, reading: undefined, bringing: undefined, placement: undefined, waitsForRoom: false };
      const entry: AdapterEntry = { key, id, source, ...idle };
      byId.set(id, entry);
      byKey.set(key, entry);
    },
    get,
    read,
    place: async (entry, needed) => {
      if (entry.placement) return true;
      await model.reserveRank(entry.packed!.rank4);
      evictUntil(() => entry.placement !== undefined || (entry.placement = pool.place(entry.packed!)) !== undefined, needed);
      entry.waitsForRoom = entry.placement === undefined;
      if (!entry.waitsForRoom && !residency.has(entry.key)) {
        residency.add(entry.key);
        events.adapter('load', entry.id, entry.packed!.bytes);
      }
      return !entry.waitsForRoom;
    },
    makeRoom: (blocked, needed) => {
      const kept = new Set(needed);
      if (blocked.sequence.adapter !== undefined) kept.add(blocked.sequence.adapter);
      const free = (): number => {
        const { total, kv, adapters } = pages.counts();
        return total - kv - adapters;
      };
      const wanted = free() + blocked.missing;
      return evictUntil(() => free() >= wanted, kept);
    },
    part: (key) => {
      const entry = byKey.get(key)!;
      residency.touch(key);
      return { slot: entry.placement!.slot, scale: 1, rank4: entry.packed!.rank4 };
    },
    entry: (key) => byKey.get(key),
    isResident: (key) => residency.has(key),
    waitsForRoom: (key) => byKey.get(key)?.waitsForRoom === true,
    unload: (id, needed) => {
      const entry = get(id);
      if (needed.has(entry.key))
        throw new WebLoraError('adapter_busy', `"${id}" is in use by running requests; it cannot be unloaded now.`);
      if (entry.placement) evict(entry);
    },
    remove: (id) => void byId.delete(get(id).id),
    sweep: (inUse) => {
      for (const entry of byKey.values()) {
        if (byId.get(entry.id) === entry || inUse.has(entry.key)) continue;
        if (entry.placement) evict(entry);
        byKey.delete(entry.key);
      }
    },
    list: () => [...byId.values()].map(describe),
  };
}

async function readEntry(
  entry: AdapterEntry,
  model: Model,
  precision: 'exact' | 'half',
  check: (packed: PackedAdapter) => void,
): Promise<PackedAdapter> {
  const packed = await readAdapter(await openFolder(entry.source), model.shape.table, precision);
  check(packed);
  entry.packed = packed;
  return packed;
}

function checkFits(entry: AdapterEntry, pages: number, model: Model): void {
  if (pages <= model.pool.pages - 1) return;
  const { pageBytes } = model.pool;
  const message = `"${entry.id}" from ${sourceName(entry.source)} needs ${pages} pages of ${pageBytes} bytes a layer; the pool has ${model.pool.pages}`;
  throw new WebLoraError('adapter_too_large', `${message}. Raise memory.pool (--pool-memory).`);
}

function describe(entry: AdapterEntry): AdapterInfo {
  const tier = entry.placement ? 'gpu' : entry.packed ? 'heap' : 'origin';
  const { packed } = entry;
  return {
    id: entry.id,
    source: sourceName(entry.source),
    tier,
    ...(packed && { digest: packed.digest, rank: packed.rank, bytes: packed.bytes }),
  };
}
