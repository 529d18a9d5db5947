import type { AdapterDisk } from '../adapters/disk.ts';
import { createResidency } from '../adapters/cache.ts';
import { createAdapterPool } from '../adapters/pool.ts';
import type { PackedAdapter } from '../adapters/sites.ts';
import { WebLoraError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import type { Part } from '../model/plan.ts';
import { describeEntry, type AdapterEntry } from './adapter-entry.ts';
import { readEntry } from './adapter-reading.ts';
import { createAdapterRegistry } from './adapter-registry.ts';
import type { EventHub } from './events.ts';
import type { Pages } from './pages.ts';
import type { AdapterView, Blocked } from './scheduler.ts';
import { shareTask } from './shared-task.ts';
import type { AdapterInfo, EngineOptions, Source } from './types.ts';

/** Origin → disk → heap → GPU for every registered adapter. `AdapterView` is what the scheduler sees of it. */
export interface AdapterTiers extends AdapterView {
  /** Registers an id; the entry whose place it took, for `sweep`. Throws `adapter_exists` where it has another source. */
  add(id: string, source: Source): AdapterEntry | undefined;
  /** The entry of an id that a request or a load uses; `resolve` is asked when it is read. Throws `adapter_unknown`. */
  use(id: string): AdapterEntry;
  /** Reads it into the heap, once for all who ask; ends when all who ask have left by their signal. Throws what reading throws. */
  read(entry: AdapterEntry, signal?: AbortSignal): Promise<PackedAdapter>;
  /** Puts what was read onto the GPU, evicting idle adapters that nobody in `needed` uses; false where there is no room yet, or it was dropped. */
  place(entry: AdapterEntry, needed: () => ReadonlySet<string>): Promise<boolean>;
  /** Evicts idle adapters until a blocked sequence's pages are free; false where that cannot be. */
  makeRoom(blocked: Blocked, needed: ReadonlySet<string>): boolean;
  /** The entry's part in a request's rows; it must be on the GPU. Counts as a use. */
  part(key: string): Part;
  entry(key: string): AdapterEntry | undefined;
  /** Frees its place on the GPU. Throws `adapter_busy` where a running request is in `needed`. */
  unload(id: string, needed: ReadonlySet<string>): void;
  /** Forgets the id at once, and then in the store; `sweep` frees its bytes when the last request that uses it has ended. */
  remove(id: string): Promise<void>;
  /** Drops removed adapters that no open request, running or waiting, uses; who still loads one gets `adapter_unknown`. */
  sweep(inUse: ReadonlySet<string>): void;
  list(): AdapterInfo[];
  /** Ends every read with this reason. Fulfilled when the store has taken what was on its way there. */
  close(reason: unknown): Promise<void>;
}

export interface AdapterTiersParts {
  readonly model: Pick<Model, 'pool' | 'shape' | 'reserveRank'>;
  readonly precision: 'exact' | 'half';
  readonly pages: Pages;
  readonly events: EventHub;
  readonly disk: AdapterDisk | undefined;
  readonly resolve: EngineOptions['resolve'];
}

/** Makes the tiers of a model's adapters. Those that the store remembers are registered from the start. */
export function createAdapterTiers({ model, precision, pages, events, disk, resolve }: AdapterTiersParts): AdapterTiers {
  const registry = createAdapterRegistry(disk?.known ?? [], resolve);
  const pool = createAdapterPool(model.pool, model.shape.table, pages);
  const residency = createResidency();

  const evict = (entry: AdapterEntry): void => {
    pool.remove(entry.placement!);
    entry.placement = undefined;
    residency.remove(entry.key);
    events.adapter('evict', entry.id, entry.packed!.bytes);
  };
  const evictUntil = (done: () => boolean, needed: ReadonlySet<string>): boolean => {
    for (const victim of residency.victims(needed)) {
      if (done()) return true;
      evict(registry.entry(victim)!);
    }
    return done();
  };
  /** Whether all idle adapters together leave enough pages: where they do not, none is evicted in vain. */
  const mayFit = (packed: PackedAdapter, kept: ReadonlySet<string>): boolean => {
    const { total, kv, adapters } = pages.counts();
    const idle = residency.victims(kept).reduce((sum, key) => sum + registry.entry(key)!.placement!.pages, 0);
    return total - kv - adapters + idle >= pool.pagesOf(packed);
  };
  const checkFits = (entry: AdapterEntry, packed: PackedAdapter): void => {
    const needed = pool.pagesOf(packed);
    if (needed > model.pool.pages - 1) throw tooLarge(entry, needed, model.pool);
  };
  const reading = { registry, disk, events, table: model.shape.table, precision, checkFits };
  const read = (entry: AdapterEntry, signal?: AbortSignal): Promise<PackedAdapter> => {
    if (entry.packed) return Promise.resolve(entry.packed);
    entry.reading ??= shareTask(
      (abandoned) => readEntry(reading, entry, abandoned),
      () => (entry.reading = undefined),
    );
    return entry.reading.join(signal);
  };

  return {
    add: registry.add,
    use: registry.use,
    read,
    place: async (entry, needed) => {
      if (entry.placement) return true;
      await model.reserveRank(entry.packed!.rank4);
      if (!registry.entry(entry.key)) return false;
      const kept = needed(); // as of now: what ran when this was asked may be over, and others have begun
      if (mayFit(entry.packed!, kept)) {
        evictUntil(() => entry.placement !== undefined || (entry.placement = pool.place(entry.packed!)) !== undefined, kept);
      }
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
      const entry = registry.entry(key)!;
      residency.touch(key);
      return { slot: entry.placement!.slot, scale: 1, rank4: entry.packed!.rank4 };
    },
    entry: registry.entry,
    isResident: (key) => residency.has(key),
    waitsForRoom: (key) => registry.entry(key)?.waitsForRoom === true,
    unload: (id, needed) => {
      const entry = registry.get(id);
      if (needed.has(entry.key))
        throw new WebLoraError('adapter_busy', `"${id}" is in use by running requests; it cannot be unloaded now.`);
      if (entry.placement) evict(entry);
    },
    remove: async (id) => {
      registry.remove(id);
      await disk?.forget(id);
    },
    sweep: (inUse) => {
      for (const entry of registry.loose()) {
        if (inUse.has(entry.key) || (registry.isCurrent(entry) && !isForsaken(entry))) continue;
        if (entry.placement) evict(entry);
        registry.drop(entry);
        entry.reading?.abort(removed(entry));
      }
    },
    list: () => registry.registered().map(describeEntry),
    close: async (reason) => {
      for (const { reading: open } of registry.entries()) open?.abort(reason);
      await disk?.settled();
    },
  };
}

/** An id that was to be resolved for a request that ended before that. */
function isForsaken({ state, reading, resolving }: AdapterEntry): boolean {
  return state === 'asked' && !reading && !resolving;
}

/** The error for an adapter that somebody removed while it was on its way. */
export function removed({ id }: AdapterEntry): WebLoraError {
  return new WebLoraError('adapter_unknown', `"${id}" was removed while it was loaded.`, { param: 'id' });
}

function tooLarge({ id, name }: AdapterEntry, needed: number, { pages, pageBytes }: Model['pool']): WebLoraError {
  const message = `"${id}" from ${name} needs ${needed} pages of ${pageBytes} bytes a layer; the pool has ${pages}`;
  return new WebLoraError('adapter_too_large', `${message}. Raise memory.pool (--pool-memory).`);
}
