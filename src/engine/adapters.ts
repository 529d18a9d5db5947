import { blendError } from './blend.ts';
import { WebLoraError } from '../errors.ts';
import { createAdapterBytes, tierOf, wordsOf } from './adapter-bytes.ts';
import { describeEntry, isForsaken, removed, type AdapterEntry } from './adapter-entry.ts';
import { createFreshness } from './adapter-freshness.ts';
import { createLoads } from './adapter-loads.ts';
import { createPins } from './adapter-pins.ts';
import type { ReadBytes, ReadingParts } from './adapter-reading.ts';
import { createReads } from './adapter-reads.ts';
import { baseMatrices } from './base-matrices.ts';
import { createAdapterRegistry } from './adapter-registry.ts';
import type { AdapterTiers, AdapterTiersParts, AdapterUsers } from './adapter-tiers.ts';
import { hubAccess } from './hub-options.ts';
import { createTierMeter, tierStats } from './tier-meter.ts';
import type { AdapterInfo } from './types.ts';

interface OpenedTiers {
  readonly tiers: AdapterTiers;
  join(users: AdapterUsers): void;
}

/** Makes the tiers of a model's adapters; `join` ties them to their users. Those that the store remembers are registered from then on. */
export async function openAdapterTiers(parts: AdapterTiersParts): Promise<OpenedTiers> {
  let users: AdapterUsers;
  const meter = createTierMeter();
  const { device, events, pace, slices, limits, options } = parts;
  const contentOf = ({ key }: AdapterEntry): string => users.core.contents.of(key);
  const namesOf = (content: string): AdapterEntry[] =>
    [...users.core.contents.names(content)].flatMap((key) => registry.entry(key) ?? []).filter((entry) => contentOf(entry) === content);
  const isCurrent = (entry: AdapterEntry): boolean => registry.isCurrent(entry);
  const failed = (content: string, error: unknown): void => users.refuse(content, () => error);
  const owners = { core: () => users.core, disk: () => disk, namesOf, isCurrent };
  const bytes = createAdapterBytes({ ...owners, failed, device, createStore: parts.store?.create, events, meter, pace });
  const disk = bytes.owner && (await parts.store!.open(bytes.owner));
  const registry = createAdapterRegistry(disk?.known ?? [], options.resolve);
  const closed = new AbortController();

  /** Makes known what a digest that was seen before stands for. */
  const learn = (entry: AdapterEntry): void => {
    const facts = entry.digest === undefined ? undefined : bytes.known(entry.digest);
    if (!facts) return;
    users.core.traffic.learn(entry.key, facts);
    bytes.note(entry); // its bytes may never be read for it
  };
  const reading: ReadingParts = {
    resolve: async (entry) => {
      await registry.resolve(entry);
      registry.checkKnown(entry);
    },
    disk,
    isOnDisk: (digest) => users.core.lower.disk.has(digest),
    inHeap: bytes.inHeap,
    meter,
    slices,
    table: device.model.shape.table,
    config: device.model.config,
    precision: device.precision,
    hub: hubAccess(options),
    base: baseMatrices(parts.files, device.model.shape.table),
    checkFits: bytes.checkFits,
  };
  const pins = createPins({ core: () => users.core, namesOf, loads: () => loads, events, closed: closed.signal });
  const note = (entry: AdapterEntry): void => {
    registry.note(entry);
    bytes.note(entry);
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
        pins.settle(before);
        pins.settle(digest);
      }
      note(entry);
      loads.arrived(joined, digest);
      users.refuse(digest, ({ parts: blended }) => blendError(blended, tiers));
      users.wake();
    });
    signal.throwIfAborted();
    if (!heirOf(read, joined)) throw removed(read.entry);
  };
  const reads = createReads(reading, namesOf, takeOn);
  const loads = createLoads({
    core: () => users.core,
    bytes,
    reads: () => reads,
    wake: () => users.wake(),
    registry,
    closed: closed.signal,
  });
  const freshness = createFreshness({
    reading,
    after: limits.revalidateAfter,
    isCurrent,
    signal: closed.signal,
    confirmed: (entry) => {
      entry.noted = 'no';
      note(entry);
    },
    changed: async (found, packed) => {
      const old = registry.entry(found.key);
      const renewed = old && registry.renew(old, found);
      if (!renewed) return;
      pins.set(old, 'no');
      events.adapter({ kind: 'renew', tier: 'origin', id: renewed.id, bytes: packed.bytes });
      await takeOn({ entry: renewed, packed, from: 'origin' }, renewed.key, closed.signal);
      sweep();
      pins.bringBack(renewed);
    },
    failed: ({ id }, error) => {
      events.adapter({ kind: 'fail', tier: 'origin', id, bytes: 0, message: wordsOf(error) });
    },
  });

  const describe = (entry: AdapterEntry): AdapterInfo => {
    const content = contentOf(entry);
    return describeEntry(entry, tierOf(users.core, entry.key, content), bytes.known(content));
  };
  const sweep = (): void => {
    const loose = [...registry.loose()];
    if (loose.length === 0) return;
    const used = users.inUse();
    for (const entry of loose) {
      if (used.has(entry.key) || (registry.isCurrent(entry) && !isForsaken(entry))) continue;
      const content = contentOf(entry);
      const isLast = namesOf(content).every((other) => other === entry);
      pins.set(entry, 'no');
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
      if (replaced.pin === 'yes') pins.set(entry, 'yes');
      pins.set(replaced, 'no');
      sweep();
      pins.bringBack(entry);
    },
    use: (id) => {
      const entry = registry.use(id);
      freshness.use(entry);
      return entry;
    },
    entry: registry.entry,
    unblendable: (key) => bytes.known(users.core.contents.of(key))?.unblendable ?? [],
    read: (content, signal) => bytes.asked(content, () => reads.join(content, { signal })),
    moved: bytes.moved,
    write: bytes.write,
    upload: bytes.upload,
    part: ({ adapter, scale }) => {
      const content = users.core.contents.of(adapter);
      return { slot: users.core.cache.get(content)!.slot, scale, ...bytes.part(content) };
    },
    load: async (id, loading, keep) => {
      let entry = tiers.use(id);
      if (loading.revalidate === true && entry.digest !== undefined && entry.origin !== undefined) {
        await freshness.check(entry, loading);
        entry = registry.use(id);
      }
      const before = entry.pin;
      for (;;) {
        if (keep === 'pinned') pins.set(entry, 'yes');
        try {
          await loads.bring(entry, loading);
          const now = registry.find(id);
          if (keep === 'as is' || !now || now === entry) {
            if (keep === 'pinned' && now) pins.set(entry, 'yes'); // another call for it may have given up meanwhile
            return describe(entry);
          }
          entry = now;
        } catch (error) {
          if (keep === 'pinned') pins.set(entry, before);
          const now = registry.find(id);
          if (!now || registry.entry(entry.key) || loading.signal?.aborted) throw error;
          entry = now; // it was replaced meanwhile
        }
      }
    },
    unpin: (id) => pins.set(registry.get(id), 'no'),
    unload: (id) => {
      const entry = registry.get(id);
      const content = contentOf(entry);
      if (users.core.inUse(content)) {
        throw new WebLoraError('adapter_busy', `"${id}" is in use by running requests; it cannot be unloaded now.`);
      }
      pins.set(entry, 'no');
      const { cache, traffic } = users.core;
      if (cache.has(content) && !cache.isPinned(content)) traffic.evict(content); // pinned: by another id of the same bytes
      users.wake();
    },
    remove: async (id) => {
      const entry = registry.get(id);
      pins.set(entry, 'no');
      registry.remove(id);
      sweep();
      // requests that hold it may yet read its bytes; the last of them lets go of those
      await disk?.forget(id, registry.entry(entry.key) ? 'keep' : 'delete');
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
    lost: () => {
      bytes.lost();
      for (const entry of registry.entries()) pins.bringBack(entry);
    },
    report: (pool) => ({
      tiers: tierStats(meter, { gpu: pool.bytes, heap: limits.heapBytes, disk: disk ? limits.diskBytes : 0 }, disk?.counters()),
      registered: registry.count(),
    }),
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
      if (entry.origin === undefined && entry.digest !== undefined && !bytes.known(entry.digest)) entry.digest = undefined;
    }
  };
  return { tiers, join };
}
