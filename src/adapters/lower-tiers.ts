import { createByteTier, type ByteTier, type Demand } from './cache.ts';

/** What is known of an adapter once it was read, by this engine or by one before it. */
export interface AdapterFacts {
  /** SHA-256 of what it computes. */
  readonly digest: string;
  /** Pages of the pool that it takes. */
  readonly pages: number;
  /** Bytes in memory, and in the store. */
  readonly bytes: number;
  readonly stored: number;
}

/** Bytes that lie in a store, under the name by which the tier knows them: a digest, or for other models' the store's own key. */
export interface Held {
  readonly key: string;
  readonly bytes: number;
  /** `copy`: there is no origin to read it from again, so it never makes room. */
  readonly only: 'copy' | undefined;
}

/** Bytes that come into a tier or leave it to make room; `refuse`: nothing that may leave makes room for them. */
export interface Move {
  readonly tier: 'gpu' | 'heap' | 'disk';
  readonly kind: 'load' | 'evict' | 'refuse';
  readonly content: string;
}

/** Which adapters lie in memory and on disk, and who leaves first. Pure: others do what `moved` is told. */
export interface LowerTiers {
  readonly heap: Pick<ByteTier, 'has' | 'bytes' | 'budget' | 'sizeOf'>;
  readonly disk: Pick<ByteTier, 'has' | 'bytes' | 'budget' | 'keys'>;
  /** Its bytes came into memory; what came from its origin goes to the disk too. It stays in memory until the next call at least. */
  arrived(facts: AdapterFacts, from: 'disk' | 'origin', only: 'copy' | undefined): void;
  /** It is brought to the GPU: a use. */
  used(content: string): void;
  /** Makes room in memory and on disk where a budget is exceeded and something may leave. */
  settle(): void;
  /** Nobody can ask for it any more. */
  forget(content: string): void;
  /** Others put bytes into the store, in the order of their last use, or found that they are, or are no more, the only copy; or took them out. */
  held(held: readonly Held[]): void;
  gone(keys: readonly string[]): void;
  /**
   * Takes from the disk what makes room for so many bytes: the store refused them though the budget did not. `isOnItsWay`: what the store
   * does not hold yet, and which therefore makes no room.
   */
  shrink(bytes: number, isOnItsWay?: (content: string) => boolean): readonly string[];
}

export interface LowerTiersParts {
  readonly heapBytes: number;
  /** 0: there is no store. */
  readonly diskBytes: number;
  readonly clock: () => number;
  /** Its place among those waited for, undefined where nobody waits for it. */
  readonly place: Demand['place'];
  /** Whether it lies on the GPU, and whether its bytes in memory are being read from for that. */
  readonly isResident: (content: string) => boolean;
  readonly isUploading: (content: string) => boolean;
  readonly moved: (move: Move) => void;
}

export function createLowerTiers({ heapBytes, diskBytes, clock, place, isResident, isUploading, moved }: LowerTiersParts): LowerTiers {
  const heap = createByteTier(heapBytes, clock);
  const disk = createByteTier(diskBytes, clock);
  let arriving: string | undefined;
  // what is on the GPU needs its copy here no more than what nobody waits for
  const inHeap: Demand = {
    inUse: (content) => content === arriving || isUploading(content),
    place: (content) => (isResident(content) ? undefined : place(content)),
  };
  const onDisk: Demand = {
    inUse: () => false,
    place: (content) => (isResident(content) || heap.has(content) ? undefined : place(content)),
  };
  const trimHeap = (before: number | undefined): void => {
    if (heap.bytes() <= heap.budget) return;
    for (const content of heap.trim(inHeap, before)) moved({ tier: 'heap', kind: 'evict', content });
  };
  const trimDisk = (): void => {
    for (const content of disk.trim(onDisk, undefined)) moved({ tier: 'disk', kind: 'evict', content });
  };
  const dropFromDisk = (keys: readonly string[]): void => {
    for (const content of keys) {
      disk.remove(content);
      moved({ tier: 'disk', kind: 'evict', content });
    }
  };
  const hold = ({ key, bytes, only }: Held): void => {
    if (!disk.has(key)) disk.add(key, bytes);
    disk[only === 'copy' ? 'pin' : 'unpin'](key);
  };
  const keep = ({ digest, stored }: AdapterFacts, only: 'copy' | undefined): void => {
    if (disk.has(digest)) {
      if (only === 'copy') disk.pin(digest);
      return disk.touch(digest);
    }
    if (disk.budget === 0) return;
    const leaving = disk.admit(stored, onDisk, undefined);
    if (!leaving) return moved({ tier: 'disk', kind: 'refuse', content: digest });
    dropFromDisk(leaving);
    hold({ key: digest, bytes: stored, only });
    moved({ tier: 'disk', kind: 'load', content: digest });
  };

  return {
    heap,
    disk,
    arrived: (facts, from, only) => {
      const { digest, bytes } = facts;
      if (heap.has(digest)) heap.touch(digest);
      else {
        heap.add(digest, bytes);
        moved({ tier: 'heap', kind: 'load', content: digest });
      }
      arriving = digest;
      trimHeap(place(digest));
      arriving = undefined;
      if (from === 'origin') keep(facts, only);
      else if (disk.has(digest)) disk.touch(digest);
    },
    used: (content) => {
      if (heap.has(content)) heap.touch(content);
      if (disk.has(content)) disk.touch(content);
    },
    settle: () => {
      trimHeap(undefined);
      trimDisk();
    },
    forget: (content) => {
      if (heap.has(content)) heap.remove(content);
    },
    held: (held) => {
      held.forEach(hold);
      trimDisk();
    },
    gone: (keys) => {
      for (const key of keys) {
        if (disk.has(key)) disk.remove(key);
        disk.unpin(key);
      }
    },
    shrink: (bytes, isOnItsWay = () => false) => {
      const keys = disk.admit(disk.budget - disk.bytes() + bytes, { ...onDisk, inUse: isOnItsWay }, undefined) ?? [];
      dropFromDisk(keys);
      return keys;
    },
  };
}
