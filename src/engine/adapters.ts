import type { AdapterDisk } from '../adapters/disk.ts';
import type { Placement } from '../adapters/cache.ts';
import { createAdapterPool, type AdapterPool } from '../adapters/pool.ts';
import type { PackedAdapter } from '../adapters/sites.ts';
import { WebLoraError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import type { Part } from '../model/plan.ts';
import { describeEntry, type AdapterEntry } from './adapter-entry.ts';
import { readEntry } from './adapter-reading.ts';
import { createAdapterRegistry } from './adapter-registry.ts';
import type { Core } from './core.ts';
import type { ServingDevice } from './device.ts';
import type { EventHub } from './events.ts';
import type { SequencePart } from './sequence.ts';
import { shareTask } from './shared-task.ts';
import type { AdapterInfo, EngineOptions, Source } from './types.ts';

/** Origin → disk → heap → GPU for every registered adapter: the moving that `core.traffic` decides. */
export interface AdapterTiers {
  /** Registers an id; the entry whose place it took, for `sweep`. Throws `adapter_exists` where it has another source. */
  add(id: string, source: Source): AdapterEntry | undefined;
  /** The entry of an id that a request or a load uses; `resolve` is asked when it is read. Throws `adapter_unknown`. */
  use(id: string): AdapterEntry;
  entry(key: string): AdapterEntry | undefined;
  /**
   * Reads it into the heap, once for all who ask, and tells `core.traffic`; ends when all who ask have left by their signal.
   * Throws what reading throws, and `adapter_unknown` where it was removed meanwhile.
   */
  read(entry: AdapterEntry, signal?: AbortSignal): Promise<void>;
  /** Writes what was read to its place on the GPU. */
  write(key: string, placement: Placement): void;
  /** Brings what was read to the GPU for a caller; false where there is no room beside running requests. */
  place(entry: AdapterEntry): boolean;
  /** `core` took it off the GPU. */
  evicted(key: string): void;
  /** A resident adapter's part in a request's rows. */
  part(part: SequencePart): Part;
  /** Frees its place on the GPU. Throws `adapter_busy` where a running request uses it. */
  unload(id: string): void;
  /** Forgets the id at once, and then in the store; `sweep` frees its bytes when the last request that uses it has ended. */
  remove(id: string): Promise<void>;
  /** Drops removed adapters that no open request, running or waiting, uses; who still loads one gets `adapter_unknown`. */
  sweep(inUse: () => ReadonlySet<string>): void;
  describe(entry: AdapterEntry): AdapterInfo;
  list(): AdapterInfo[];
  /** Ends every read with this reason. Fulfilled when the store has taken what was on its way there. */
  close(reason: unknown): Promise<void>;
}

export interface AdapterTiersParts {
  readonly device: Pick<ServingDevice, 'model' | 'precision' | 'reserveRank'>;
  /** Known once the tiers are made. */
  readonly core: () => Pick<Core, 'cache' | 'traffic' | 'inUse'>;
  readonly events: EventHub;
  readonly disk: AdapterDisk | undefined;
  readonly resolve: EngineOptions['resolve'];
}

/** Makes the tiers of a model's adapters. Those that the store remembers are registered from the start. */
export function createAdapterTiers({ device, core, events, disk, resolve }: AdapterTiersParts): AdapterTiers {
  const registry = createAdapterRegistry(disk?.known ?? [], resolve);
  const pools = new WeakMap<Model, AdapterPool>(); // a device that is built again has a pool of its own
  const poolOf = (model: Model): AdapterPool => {
    const pool = pools.get(model) ?? createAdapterPool(model.pool, model.shape.table);
    pools.set(model, pool);
    return pool;
  };
  const pool = (): AdapterPool => poolOf(device.model);

  const checkFits = (entry: AdapterEntry, packed: PackedAdapter): void => {
    const needed = pool().pagesOf(packed);
    if (needed > device.model.pool.pages - 1) throw tooLarge(entry, needed, device.model.pool);
  };
  const { table } = device.model.shape;
  const reading = { registry, disk, events, table, precision: device.precision, checkFits };
  const fetch = (entry: AdapterEntry, signal?: AbortSignal): Promise<PackedAdapter> => {
    if (entry.packed) return Promise.resolve(entry.packed);
    entry.reading ??= shareTask(
      (abandoned) => readEntry(reading, entry, abandoned),
      () => (entry.reading = undefined),
    );
    return entry.reading.join(signal);
  };
  const write = (key: string, placement: Placement): void => {
    const entry = registry.entry(key)!;
    pool().write(placement, entry.packed!);
    events.adapter('load', entry.id, entry.packed!.bytes);
  };
  const evicted = (key: string): void => {
    const entry = registry.entry(key)!;
    events.adapter('evict', entry.id, entry.packed!.bytes);
  };
  const evict = (key: string): void => {
    core().traffic.evict(key);
    evicted(key);
  };
  const describe = (entry: AdapterEntry): AdapterInfo => describeEntry(entry, core().cache.has(entry.key) ? 'gpu' : undefined);

  return {
    add: registry.add,
    use: registry.use,
    entry: registry.entry,
    read: async (entry, signal) => {
      const packed = await fetch(entry, signal);
      await device.reserveRank(packed.rank4);
      if (!registry.entry(entry.key)) throw removed(entry);
      core().traffic.arrived(entry.key, { digest: packed.digest, pages: pool().pagesOf(packed) });
    },
    write,
    place: (entry) => {
      const { cache, traffic } = core();
      if (cache.has(entry.key)) return true;
      const placement = traffic.place(entry.key);
      if (placement) write(entry.key, placement);
      return placement !== undefined;
    },
    evicted,
    part: ({ adapter, scale }) => ({
      slot: core().cache.get(adapter)!.slot,
      scale,
      rank4: registry.entry(adapter)!.packed!.rank4,
    }),
    unload: (id) => {
      const { key } = registry.get(id);
      if (core().inUse(key)) throw new WebLoraError('adapter_busy', `"${id}" is in use by running requests; it cannot be unloaded now.`);
      if (core().cache.has(key)) evict(key);
    },
    remove: async (id) => {
      registry.remove(id);
      await disk?.forget(id);
    },
    sweep: (inUse) => {
      const loose = [...registry.loose()];
      if (loose.length === 0) return;
      const used = inUse();
      for (const entry of loose) {
        if (used.has(entry.key) || (registry.isCurrent(entry) && !isForsaken(entry))) continue;
        if (core().cache.has(entry.key)) evict(entry.key);
        core().traffic.forget(entry.key);
        registry.drop(entry);
        entry.reading?.abort(removed(entry));
      }
    },
    describe,
    list: () => registry.registered().map(describe),
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
function removed({ id }: AdapterEntry): WebLoraError {
  return new WebLoraError('adapter_unknown', `"${id}" was removed while it was loaded.`, { param: 'id' });
}

function tooLarge({ id, name }: AdapterEntry, needed: number, { pages, pageBytes }: Model['pool']): WebLoraError {
  const message = `"${id}" from ${name} needs ${needed} pages of ${pageBytes} bytes a layer; the pool has ${pages}`;
  return new WebLoraError('adapter_too_large', `${message}. Raise memory.pool (--pool-memory).`);
}
