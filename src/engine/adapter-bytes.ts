import type { Placement } from '../adapters/cache.ts';
import type { AdapterDisk, DiskOwner, HeldBlob } from '../adapters/disk.ts';
import type { AdapterFacts, Move } from '../adapters/lower-tiers.ts';
import { createAdapterPool, pagesFor, type AdapterPool } from '../adapters/pool.ts';
import { traitsOf, WHOLE_TRAITS, type PackedAdapter } from '../adapters/sites.ts';
import { WebLoraError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import type { Part } from '../model/plan.ts';
import { onlyCopy, type AdapterEntry, type BytesInfo } from './adapter-entry.ts';
import type { StorePart } from './adapter-tiers.ts';
import { createUploads } from './adapter-uploads.ts';
import type { ReadBytes } from './adapter-reading.ts';
import type { Core } from './core.ts';
import type { ServingDevice } from './device.ts';
import type { EventHub } from './events.ts';
import type { Pace } from './pace.ts';
import type { AdapterEvent, Tier } from './report-types.ts';
import { atMost } from './shared-task.ts';
import type { TierMeter } from './tier-meter.ts';

/** The bytes of adapters in memory, on the GPU and in the store: carries out what `core` decides. By content. */
export interface AdapterBytes {
  /** What is known of the store is told to `core`. */
  begin(): void;
  /** Of bytes that were read, or lie in the store. */
  known(content: string): (BytesInfo & AdapterFacts) | undefined;
  inHeap(content: string): PackedAdapter | undefined;
  /** A request or a load begins to need it, and reads it. */
  asked<T>(content: string, read: () => Promise<T>): Promise<T>;
  /**
   * What was read is to be taken on, once the device and the store have room for it: `deliver` is called then, and what it calls tells
   * `core` whose bytes they are and does what that decides. Where nobody wants them any more it calls nothing.
   */
  arrived(read: ReadBytes, deliver: (take: (entry: AdapterEntry) => void) => void): Promise<void>;
  /** A decision of `core`. */
  moved(move: Move): void;
  /** Begins to write what is in memory to its place on the GPU. */
  write(content: string, placement: Placement): void;
  /** Goes on with it for so many milliseconds; `more`: it is not all there yet; `none`: there was nothing to do. */
  upload(ms: number): 'none' | 'done' | 'more';
  /** Fulfilled when it is there, or its place is another's. */
  uploaded(content: string): Promise<void>;
  /** What steps must know of what is resident: its rank on the GPU, and its traits. */
  part(content: string): Pick<Part, 'rank4' | 'traits'>;
  /** `core` forgot it. */
  forgotten(content: string): void;
  /** The device is gone. */
  lost(): void;
  /** Keeps what is known of an entry. */
  note(entry: AdapterEntry): void;
  /** Throws `adapter_too_large`. */
  checkFits(entry: AdapterEntry, packed: PackedAdapter): void;
  /** Fulfilled when the store has taken what was on its way there, and knows of it. */
  settled(): Promise<void>;
  /** Of the disk, where there is one. */
  readonly owner: DiskOwner | undefined;
}

export interface AdapterBytesParts {
  readonly device: Pick<ServingDevice, 'model' | 'reserveRank' | 'reserveTraits' | 'checkRoom'>;
  readonly core: () => Pick<Core, 'cache' | 'traffic' | 'lower' | 'contents' | 'isNeeded'>;
  readonly disk: () => AdapterDisk | undefined;
  /** Makes what keeps bytes on the disk, where there is one. */
  readonly createStore: StorePart['create'] | undefined;
  readonly events: EventHub;
  readonly meter: TierMeter;
  readonly pace: Pace;
  /** The entries of a content, those that are only still in use included. */
  readonly namesOf: (content: string) => readonly AdapterEntry[];
  /** Whether the entry is the one behind its id. */
  readonly isCurrent: (entry: AdapterEntry) => boolean;
  /** The device has no room for a content: whoever waits for it waits in vain. */
  readonly failed: (content: string, error: unknown) => void;
}

export function createAdapterBytes(parts: AdapterBytesParts): AdapterBytes {
  const { device, core, disk, createStore, events, meter, pace, namesOf, isCurrent } = parts;
  const heap = new Map<string, PackedAdapter>();
  const known = new Map<string, BytesInfo & AdapterFacts>();
  const resident = new Map<string, Pick<Part, 'slot' | 'rank4' | 'traits'> & { readonly bytes: number }>();
  /** Since when what is not on the GPU is needed; and what was read for the load that is to come. */
  const since = new Map<string, number>();
  const fresh = new Set<string>();
  let arriving: ReadBytes | undefined;
  const pools = new WeakMap<Model, AdapterPool>(); // a device that is built again has a pool of its own
  const pool = (): AdapterPool => {
    const { model } = device;
    const found = pools.get(model) ?? createAdapterPool(model.pool, model.shape.table, { finisher: model.finisher });
    pools.set(model, found);
    return found;
  };
  const tell = (event: Omit<AdapterEvent, 'id'>, content: string): void => {
    if (events.heard() === 'no') return;
    for (const entry of namesOf(content)) if (isCurrent(entry)) events.adapter({ ...event, id: entry.id });
  };
  const pagesOfHeld = ({ widest, apart }: HeldBlob): number => {
    const { pool, shape } = device.model;
    return pagesFor({ ...pool, layers: shape.table.layers }, { widest, outer: 0, whole: apart }); // about: it is found out when it is read
  };
  const opened = createStore?.(() => ({
    disk: disk()!,
    lower: () => core().lower,
    meter,
    isCurrent,
    isNamed: (content) => (namesOf(content).length > 0 ? 'yes' : 'no'),
    found: (blob) => {
      const { digest, rank, bytes, stored, unblendable } = blob;
      known.set(digest, { digest, rank, bytes, stored, unblendable, pages: pagesOfHeld(blob) });
    },
    told: (kind, content, bytes, error) =>
      tell({ kind, tier: 'disk', bytes, ...(error !== undefined && { message: wordsOf(error) }) }, content),
  }));
  const store = opened?.store;
  const written = (content: string, ms: number): void => {
    const now = performance.now();
    meter.took('heap', ms);
    meter.took('gpu', now - (since.get(content) ?? now));
    since.delete(content);
    core().traffic.written(content);
    tell({ kind: 'load', tier: 'gpu', bytes: resident.get(content)!.bytes }, content);
  };
  const uploads = createUploads(pool, {
    written,
    makeRoom: (error) => {
      const other = error instanceof WebLoraError && error.code === 'out_of_memory' ? looseHolder() : undefined;
      if (other === undefined) return 'none';
      core().traffic.evict(other);
      return 'made';
    },
    failed: (content, error) => {
      tell({ kind: 'fail', tier: 'gpu', bytes: resident.get(content)!.bytes, message: wordsOf(error) }, content);
      core().traffic.evict(content);
      parts.failed(content, error);
    },
  });
  /** Who has buffers beside the pool, and leaves for another that needs some: nobody needs it, and it came first. */
  const looseHolder = (): string | undefined => {
    const { cache, isNeeded } = core();
    const isLoose = (content: string): boolean => !isNeeded(content) && !cache.isPinned(content) && !uploads.has(content);
    return [...resident].find(([content, { traits = 0 }]) => (traits & WHOLE_TRAITS) !== 0 && isLoose(content))?.[0];
  };

  /** What is under way for the store; never rejected. */
  const busy = new Set<Promise<void>>();
  const follow = (work: Promise<void>): void => {
    busy.add(work);
    void work.then(() => busy.delete(work));
  };
  const keep = async ({ packed, entry }: ReadBytes): Promise<void> => {
    if (!store) return;
    await store.write(packed, known.get(packed.digest)!.stored, onlyCopy(entry));
    await store.note(entry);
  };
  const moveInHeap = ({ kind, content }: Move): void => {
    if (kind === 'load') heap.set(content, arriving!.packed);
    const { bytes } = heap.get(content)!;
    if (kind === 'load') meter.loaded('heap', bytes);
    else meter.evicted('heap', bytes);
    const from = arriving?.from;
    tell(
      { kind: kind === 'load' ? 'load' : 'evict', tier: 'heap', bytes, ...(kind === 'load' && from !== 'heap' && from && { from }) },
      content,
    );
    if (kind === 'evict') heap.delete(content);
  };
  const moveOnDisk = ({ kind, content }: Move): void => {
    if (kind === 'load') follow(keep(arriving!));
    else if (kind === 'evict') store?.drop(content);
    else tell({ kind: 'fail', tier: 'disk', bytes: known.get(content)!.stored, message: FULL }, content);
  };
  const offGpu = (content: string): void => {
    const here = resident.get(content);
    if (!here) return; // it was placed and displaced in one turn
    const { bytes, slot } = here;
    resident.delete(content);
    pool().release(slot);
    uploads.cancel(content);
    meter.evicted('gpu', bytes);
    tell({ kind: 'evict', tier: 'gpu', bytes }, content);
  };
  const factsOf = (packed: PackedAdapter): AdapterFacts => {
    const { digest, rank, bytes, unblendable } = packed;
    const facts = { digest, bytes, pages: pool().pagesOf(packed), stored: disk()?.stored(packed) ?? 0 };
    known.set(digest, { ...facts, rank, unblendable });
    return facts;
  };

  const take = (read: ReadBytes): void => {
    const { packed, entry, from } = read;
    const { digest } = packed;
    const before = core().contents.of(entry.key);
    const facts = factsOf(packed);
    arriving = read;
    fresh.add(digest);
    const began = since.get(before);
    if (began !== undefined && since.delete(before)) since.set(digest, began);
    core().traffic.arrived(entry.key, facts, from === 'origin' ? 'origin' : 'disk', onlyCopy(entry));
    arriving = undefined;
  };

  return {
    owner: opened?.owner,
    begin: () => store?.begin(),
    known: (content) => known.get(content),
    inHeap: (content) => heap.get(content),
    asked: async (content, read) => {
      if (!since.has(content)) since.set(content, performance.now());
      try {
        return await read();
      } catch (error) {
        since.delete(content);
        throw error;
      }
    },
    arrived: async (read, deliver) => {
      const { packed, from } = read;
      await device.reserveRank(packed.rank4);
      await device.reserveTraits(traitsOf(packed));
      if (packed.whole.length > 0 && looseHolder() === undefined) await device.checkRoom(packed);
      if (from === 'origin') await store?.room();
      await new Promise<void>((resolve) => {
        pace.read(core().contents.of(read.entry.key), () => {
          deliver((entry) => take({ ...read, entry }));
          resolve();
        });
      });
    },
    moved: (move) => {
      if (move.tier === 'gpu') offGpu(move.content);
      else if (move.tier === 'heap') moveInHeap(move);
      else moveOnDisk(move);
    },
    write: (content, placement) => {
      const packed = heap.get(content)!;
      const { pageBytes } = device.model.pool;
      const bytes = placement.pages * pageBytes * packed.layers.length;
      meter.asked('heap', fresh.delete(content) ? 'miss' : 'hit');
      meter.loaded('gpu', bytes);
      if (!since.has(content)) since.set(content, performance.now());
      resident.set(content, { slot: placement.slot, rank4: packed.rank4, traits: traitsOf(packed), bytes });
      uploads.begin(content, placement, packed);
    },
    upload: (ms) => {
      if (uploads.isIdle()) return 'none';
      uploads.go(ms);
      return uploads.isIdle() ? 'done' : 'more';
    },
    uploaded: uploads.ended,
    part: (content) => {
      const { rank4, traits } = resident.get(content)!;
      return { rank4, ...(traits && { traits }) };
    },
    forgotten: (content) => {
      const packed = heap.get(content);
      if (packed && heap.delete(content)) meter.changed('heap', -packed.bytes);
      for (const gone of [since, fresh, known]) gone.delete(content);
    },
    lost: () => uploads.clear(),
    note: (entry) => {
      if (store) follow(store.note(entry));
    },
    settled: async () => {
      const all = async (): Promise<void> => {
        while (busy.size > 0) await Promise.all(busy);
        await disk()?.settled();
      };
      await atMost(LONGEST_CLOSE_MS, all());
    },
    checkFits: (entry, packed) => {
      const needed = pool().pagesOf(packed);
      if (needed > device.model.pool.pages - 1) throw tooLarge(entry, needed, device.model.pool);
    },
  };
}

/** A store that does not answer keeps nobody from closing. */
const LONGEST_CLOSE_MS = 30_000;

const FULL = 'memory.disk (--disk-memory) has no room for it beside adapters that have no other origin. Raise it, or remove some.';

/** What an error says. */
export const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function tooLarge({ id, name }: AdapterEntry, needed: number, { pages, pageBytes }: Model['pool']): WebLoraError {
  const message = `"${id}" from ${name} needs ${needed} pages of ${pageBytes} bytes a layer; the pool has ${pages}`;
  return new WebLoraError('adapter_too_large', `${message}. Raise memory.pool (--pool-memory).`);
}

/** The nearest tier that has a content's bytes. */
export function tierOf({ lower, traffic }: Pick<Core, 'lower' | 'traffic'>, adapter: string, content: string): Tier {
  if (traffic.residency(adapter) === 'resident') return 'gpu';
  if (lower.heap.has(content)) return 'heap';
  return lower.disk.has(content) ? 'disk' : 'origin';
}
