import type { Placement } from '../adapters/cache.ts';
import type { AdapterDisk, DiskOwner } from '../adapters/disk.ts';
import type { Move } from '../adapters/lower-tiers.ts';
import { WebLoraError } from '../errors.ts';
import type { Part } from '../model/plan.ts';
import { createSlices } from '../slices.ts';
import { createAdapterBytes, tierOf, wordsOf } from './adapter-bytes.ts';
import { describeEntry, isForsaken, removed, type AdapterEntry } from './adapter-entry.ts';
import { createFreshness } from './adapter-freshness.ts';
import { createLoads } from './adapter-loads.ts';
import type { ReadBytes, ReadingParts } from './adapter-reading.ts';
import { createReads } from './adapter-reads.ts';
import { createAdapterRegistry } from './adapter-registry.ts';
import type { Core } from './core.ts';
import type { ServingDevice } from './device.ts';
import type { EventHub } from './events.ts';
import type { EngineLimits } from './options.ts';
import type { Pace } from './pace.ts';
import type { Stats, Tier } from './report-types.ts';
import type { SequencePart } from './sequence.ts';
import { untilAborted } from './shared-task.ts';
import { createTierMeter, type TierMeter } from './tier-meter.ts';
import type { AdapterInfo, EngineOptions, LoadOptions, Source } from './types.ts';

/** Origin → disk → heap → GPU for every registered adapter: ids, and the moving that `core` decides. */
export interface AdapterTiers {
  /** Registers an id. Throws `adapter_exists` where it has another source that is not to be replaced. */
  add(id: string, source: Source, existing: 'keep' | 'replace'): void;
  /** The entry that a request is to use; its origin is asked beside it where that is due. Throws `adapter_unknown`. */
  use(id: string): AdapterEntry;
  entry(key: string): AdapterEntry | undefined;
  /** Reads a content into memory, once for all who ask; ends when all who ask have left by their signal. Throws what reading throws. */
  read(content: string, signal: AbortSignal): Promise<void>;
  moved(move: Move): void;
  write(content: string, placement: Placement): void;
  upload(ms: number): 'none' | 'done' | 'more';
  /** A resident adapter's part in a request's rows. */
  part(part: SequencePart): Part;
  /** Brings it to the GPU. Throws what reading throws, and `out_of_memory` where there is no room beside running requests. */
  load(id: string, options: LoadOptions, keep: 'pinned' | 'as is'): Promise<AdapterInfo>;
  unpin(id: string): void;
  /** Frees its place on the GPU, unless another id of the same bytes is pinned. Throws `adapter_busy` where a running request uses it. */
  unload(id: string): void;
  /** Forgets the id at once, and then in the store; its bytes go when the last request that uses it has ended. */
  remove(id: string): Promise<void>;
  /** Drops removed adapters that no open request, running or waiting, uses; who still loads one gets `adapter_unknown`. */
  sweep(): void;
  list(tier: Tier | undefined, limit: number): AdapterInfo[];
  /** The device is gone, and all that was on it. */
  lost(): void;
  readonly meter: TierMeter;
  report(pool: { readonly bytes: number }): Pick<Stats, 'tiers' | 'registered'>;
  /** Ends every read with this reason. Fulfilled when the store has taken what was on its way there. */
  close(reason: unknown): Promise<void>;
}

export interface AdapterTiersParts {
  readonly device: Pick<ServingDevice, 'model' | 'precision' | 'reserveRank'>;
  readonly events: EventHub;
  readonly pace: Pace;
  readonly options: Pick<EngineOptions, 'resolve' | 'hubToken'>;
  readonly limits: Pick<EngineLimits, 'heapBytes' | 'diskBytes' | 'revalidateAfter'>;
  /** Opens the store, where there is one. */
  readonly openDisk: (owner: DiskOwner) => Promise<AdapterDisk | undefined>;
}

/** What is made after the tiers. */
export interface AdapterUsers {
  readonly core: Pick<Core, 'cache' | 'traffic' | 'lower' | 'contents' | 'inUse'>;
  /** Keys of the adapters of open requests. */
  readonly inUse: () => ReadonlySet<string>;
  /** Something changed that may let a request run. */
  readonly wake: () => void;
  /** Requests that began with other bytes than an adapter has now cannot go on. */
  readonly changed: (entry: AdapterEntry) => void;
}

/** Makes the tiers of a model's adapters; `join` ties them to their users. Those that the store remembers are registered from then on. */
export async function openAdapterTiers(
  parts: AdapterTiersParts,
): Promise<{ readonly tiers: AdapterTiers; join(users: AdapterUsers): void }> {
  let users: AdapterUsers;
  const meter = createTierMeter();
  const { device, events, pace, limits, options } = parts;
  const contentOf = ({ key }: AdapterEntry): string => users.core.contents.of(key);
  const namesOf = (content: string): AdapterEntry[] =>
    [...users.core.contents.names(content)].flatMap((key) => registry.entry(key) ?? []).filter((entry) => contentOf(entry) === content);
  const isCurrent = (entry: AdapterEntry): boolean => registry.isCurrent(entry);
  const ids = (content: string): readonly string[] =>
    namesOf(content)
      .filter(isCurrent)
      .map(({ id }) => id);
  const isNamed = (content: string): 'yes' | 'no' => (namesOf(content).length > 0 ? 'yes' : 'no');
  const bytes = createAdapterBytes({ device, core: () => users.core, disk: () => disk, events, meter, pace, ids, isCurrent, isNamed });
  const disk = await parts.openDisk(bytes.owner);
  const registry = createAdapterRegistry(disk?.known ?? [], options.resolve);
  const closed = new AbortController();

  /** Makes known what a digest that was seen before stands for. */
  const learn = (entry: AdapterEntry): void => {
    const facts = entry.digest === undefined ? undefined : bytes.facts(entry.digest);
    if (!facts) return;
    users.core.traffic.learn(entry.key, facts);
    bytes.note(entry); // its bytes may never be read for it
  };
  const reading: ReadingParts = {
    resolve: async (entry) => {
      await registry.resolve(entry);
      learn(entry);
    },
    disk,
    isOnDisk: (digest) => users.core.lower.disk.has(digest),
    inHeap: bytes.inHeap,
    meter,
    slices: createSlices(),
    table: device.model.shape.table,
    precision: device.precision,
    hubToken: options.hubToken,
    checkFits: bytes.checkFits,
  };
  /** Pins a content where one of its ids is pinned. */
  const settlePin = (content: string): void => {
    users.core.cache[namesOf(content).some(({ pin }) => pin === 'yes') ? 'pin' : 'unpin'](content);
  };
  /** Who is left of those that these bytes were read for. */
  const heirOf = ({ entry, packed }: ReadBytes, joined: string): AdapterEntry | undefined =>
    registry.entry(entry.key) ?? (packed.digest === joined ? namesOf(joined)[0] : undefined);
  const takeOn = async (read: ReadBytes, joined: string, signal: AbortSignal): Promise<void> => {
    const { digest } = read.packed;
    await bytes.arrived(read, (take) => {
      const entry = heirOf(read, joined);
      if (!entry || signal.aborted) return;
      const before = contentOf(entry);
      if (before !== entry.key && before !== digest) users.changed(entry);
      take(entry);
      if (before !== digest) {
        settlePin(before);
        settlePin(digest);
      }
      bytes.note(entry);
      loads.arrived(joined, digest);
      users.wake();
    });
    signal.throwIfAborted();
    if (!heirOf(read, joined)) throw removed(read.entry);
  };
  const reads = createReads(reading, namesOf, takeOn);
  const wake = (): void => users.wake();
  const { checkKnown } = registry;
  const loads = createLoads({ core: () => users.core, bytes, reads: () => reads, wake, checkKnown, closed: closed.signal });
  const freshness = createFreshness({
    reading,
    after: limits.revalidateAfter,
    isCurrent,
    signal: closed.signal,
    confirmed: (entry) => {
      entry.noted = 'no';
      bytes.note(entry);
    },
    changed: async (found, packed) => {
      const old = registry.entry(found.key);
      const renewed = old && registry.renew(old, found);
      if (!renewed) return;
      setPin(old, 'no');
      events.adapter({ kind: 'renew', tier: 'origin', id: renewed.id, bytes: packed.bytes });
      await takeOn({ entry: renewed, packed, from: 'origin' }, renewed.key, closed.signal);
      sweep();
    },
    failed: ({ id }, error) => {
      events.adapter({ kind: 'fail', tier: 'origin', id, bytes: 0, message: wordsOf(error) });
    },
  });

  const describe = (entry: AdapterEntry): AdapterInfo => {
    const content = contentOf(entry);
    return describeEntry(entry, tierOf(users.core, entry.key, content), bytes.info(content));
  };
  const setPin = (entry: AdapterEntry, pin: AdapterEntry['pin']): void => {
    entry.pin = pin;
    settlePin(contentOf(entry));
  };
  const sweep = (): void => {
    const loose = [...registry.loose()];
    if (loose.length === 0) return;
    const used = users.inUse();
    for (const entry of loose) {
      if (used.has(entry.key) || (registry.isCurrent(entry) && !isForsaken(entry))) continue;
      const content = contentOf(entry);
      const isLast = namesOf(content).every((other) => other === entry);
      setPin(entry, 'no');
      users.core.traffic.forget(entry.key);
      registry.drop(entry);
      if (!isLast) continue;
      bytes.forgotten(content);
      reads.abort(content, removed(entry));
      disk?.release(content).catch(() => undefined); // counted, and found again when the store is next opened
    }
  };

  const tiers: AdapterTiers = {
    meter,
    add: (id, source, existing) => {
      const replaced = registry.add(id, source, existing);
      const entry = registry.get(id);
      learn(entry);
      if (!replaced) return;
      if (replaced.pin === 'yes') setPin(entry, 'yes');
      setPin(replaced, 'no');
      sweep();
    },
    use: (id) => {
      const entry = registry.use(id);
      freshness.use(entry);
      return entry;
    },
    entry: registry.entry,
    read: (content, signal) => {
      bytes.asked(content);
      return reads.join(content, { signal });
    },
    moved: bytes.moved,
    write: bytes.write,
    upload: bytes.upload,
    part: ({ adapter, scale }) => {
      const content = users.core.contents.of(adapter);
      return { slot: users.core.cache.get(content)!.slot, scale, rank4: bytes.rank4(content) };
    },
    load: async (id, loading, keep) => {
      let entry = tiers.use(id);
      if (loading.revalidate === true && entry.digest !== undefined && entry.origin !== undefined) {
        await untilAborted(freshness.check(entry), loading.signal);
        entry = registry.use(id);
      }
      const before = entry.pin;
      for (;;) {
        if (keep === 'pinned') setPin(entry, 'yes');
        try {
          await loads.bring(entry, loading);
          return describe(entry);
        } catch (error) {
          if (keep === 'pinned') setPin(entry, before);
          const now = registry.find(id);
          if (!now || registry.entry(entry.key) || loading.signal?.aborted) throw error;
          entry = now; // it was replaced meanwhile
        }
      }
    },
    unpin: (id) => setPin(registry.get(id), 'no'),
    unload: (id) => {
      const entry = registry.get(id);
      const content = contentOf(entry);
      if (users.core.inUse(content)) {
        throw new WebLoraError('adapter_busy', `"${id}" is in use by running requests; it cannot be unloaded now.`);
      }
      setPin(entry, 'no');
      const { cache, traffic } = users.core;
      if (cache.has(content) && !cache.isPinned(content)) traffic.evict(content); // pinned: by another id of the same bytes
      wake();
    },
    remove: async (id) => {
      setPin(registry.get(id), 'no');
      registry.remove(id);
      sweep();
      await disk?.forget(id);
    },
    sweep,
    list: (tier, limit) => {
      const found: AdapterInfo[] = [];
      for (const entry of registry.registered()) {
        if (found.length >= limit) break;
        if (tier === undefined || tierOf(users.core, entry.key, contentOf(entry)) === tier) found.push(describe(entry));
      }
      return found;
    },
    lost: () => bytes.lost(),
    report: (pool) => {
      const { failures = 0, lastFailure } = disk?.counters() ?? {};
      const stored = { ...meter.report('disk', disk ? limits.diskBytes : 0), failures, ...(lastFailure !== undefined && { lastFailure }) };
      const [gpu, heap] = [meter.report('gpu', pool.bytes), meter.report('heap', limits.heapBytes)];
      return { tiers: { gpu, heap, disk: stored, origin: meter.report('origin', 0) }, registered: registry.count() };
    },
    close: async (reason) => {
      closed.abort(reason);
      reads.close(reason);
      bytes.lost();
      await bytes.settled();
    },
  };
  const join = (joined: AdapterUsers): void => {
    users = joined;
    bytes.begin();
    for (const entry of registry.entries()) {
      learn(entry);
      // nobody can bring it back: whatever is added under its id takes its place
      if (entry.origin === undefined && entry.digest !== undefined && !bytes.facts(entry.digest)) entry.digest = undefined;
    }
  };
  return { tiers, join };
}
