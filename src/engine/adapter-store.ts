import type { AdapterDisk, DiskChange, DiskOwner, HeldBlob } from '../adapters/disk.ts';
import type { LowerTiers } from '../adapters/lower-tiers.ts';
import type { PackedAdapter } from '../adapters/sites.ts';
import { isAddressed, onlyCopy, type AdapterEntry } from './adapter-entry.ts';
import { recordOf } from './adapter-reading.ts';
import type { TierMeter } from './tier-meter.ts';

/** Carries out what is decided of the store, beside the steps, and tells what others did to it. */
export interface AdapterStore {
  /** What `lower` is to know from the start. */
  begin(): void;
  /** Keeps bytes that were admitted. Never rejected: `told` hears how it ended. */
  write(packed: PackedAdapter, stored: number, only: 'copy' | undefined): Promise<void>;
  /** Fulfilled when so few writes wait that one more does no harm: each holds its bytes in memory. First come, first served. */
  room(): Promise<void>;
  /** Deletes bytes that make room. */
  drop(content: string): void;
  /** Keeps what is known of an entry. */
  note(entry: AdapterEntry): Promise<void>;
}

export interface AdapterStoreParts {
  readonly disk: AdapterDisk;
  readonly lower: () => LowerTiers;
  readonly meter: TierMeter;
  /** Whether the entry is the one behind its id. */
  readonly isCurrent: (entry: AdapterEntry) => boolean;
  /** Whether any entry, one that is still in use included, stands for a content. */
  readonly isNamed: (content: string) => 'yes' | 'no';
  /** Of this model's bytes that are found in the store. */
  readonly found: (blob: HeldBlob) => void;
  /** The store took a content's bytes, could not take them, or dropped them. */
  readonly told: (kind: 'load' | 'evict' | 'fail', content: string, bytes: number, error?: unknown) => void;
}

export interface OpenedStore {
  readonly owner: DiskOwner;
  readonly store: AdapterStore;
}

/** Writes that wait at once: more are not begun by those who ask for room. */
const MOST_WRITES = 16;
const LONGEST_WAIT_MS = 2000;

/** The name of bytes in the tiers: by digest where this model can use them, else by the store's key. */
const nameOf = ({ own, digest, key }: HeldBlob): string => (own === 'yes' ? digest : key);

/** Makes the store's owner, to be given to the disk as it opens, and then the tier itself. */
export function createAdapterStore(parts: () => AdapterStoreParts): OpenedStore {
  const sizes = new Map<string, Held>();
  const writes = createWrites();
  let shrinking: 'yes' | 'no' = 'no';
  const keyOf = (content: string): string => (content.startsWith('b:') ? content : parts().disk.key(content));
  /** A digest is 64 signs behind `b:`. */
  const contentOf = (key: string): string => (keyOf(key.slice(2, 66)) === key ? key.slice(2, 66) : key);

  const hold = (blobs: readonly HeldBlob[]): void => {
    const { lower, meter, found } = parts();
    const news = blobs.filter((blob) => !sizes.has(nameOf(blob)));
    for (const blob of news) {
      sizes.set(nameOf(blob), { bytes: blob.stored });
      meter.changed('disk', blob.stored);
      if (blob.own === 'yes') found(blob);
    }
    lower().held(blobs.map((blob) => ({ key: nameOf(blob), bytes: blob.stored, only: blob.only })));
  };
  const change = ({ gone, held }: DiskChange): void => {
    const left = gone.map(contentOf).filter((content) => sizes.has(content));
    parts().lower().gone(left);
    for (const content of left) {
      parts().meter.changed('disk', -sizes.get(content)!.bytes);
      sizes.delete(content);
    }
    hold(held);
  };
  const dropped = (content: string): void => {
    const { bytes } = sizes.get(content) ?? { bytes: 0 };
    sizes.delete(content);
    parts().meter.evicted('disk', bytes);
    parts().told('evict', content, bytes);
  };

  return {
    owner: {
      change,
      shrink: (bytes) => {
        shrinking = 'yes'; // the disk deletes them itself, within the write that needs the room
        const leaving = parts().lower().shrink(bytes, writes.has);
        shrinking = 'no';
        return leaving.map(keyOf);
      },
    },
    store: {
      begin: () => hold(parts().disk.held),
      write: async (packed, stored, only) => {
        const { disk, lower, meter, told } = parts();
        const { digest } = packed;
        const held: Held = { bytes: stored };
        sizes.set(digest, held);
        meter.changed('disk', stored);
        try {
          await writes.add(digest, disk.write(packed, only));
          meter.loaded('disk', 0); // its bytes count since it was admitted
          told('load', digest, stored);
        } catch (error) {
          told('fail', digest, stored, error);
          if (sizes.get(digest) !== held) return; // it was dropped meanwhile, and may have been written again
          sizes.delete(digest);
          meter.changed('disk', -stored);
          lower().gone([digest]);
        }
      },
      room: writes.room,
      drop: (content) => {
        dropped(content);
        if (shrinking === 'yes') return;
        // what could not be deleted is found again when the store is next looked through
        parts()
          .disk.drop([keyOf(content)])
          .catch(() => undefined);
      },
      note: async (entry) => {
        const { disk, lower, isCurrent, isNamed } = parts();
        const { digest } = entry;
        if (entry.noted === 'yes' || digest === undefined) return;
        if (entry.by === 'resolve' && !isAddressed(entry)) return; // it is asked again, and may answer otherwise
        if (onlyCopy(entry)) {
          await writes.ended(digest);
          if (!lower().disk.has(digest)) return; // nobody could use what is known of bytes that are nowhere
        }
        if (!isCurrent(entry)) return;
        entry.noted = 'yes';
        let before: string | undefined;
        try {
          before = await disk.note(recordOf(entry));
        } catch {
          entry.noted = 'no'; // counted by the disk
          return;
        }
        // who takes another's place may have taken it from the last who named its bytes
        if (before !== undefined && before !== digest && isNamed(before) === 'no') await disk.release(before).catch(() => undefined);
      },
    },
  };
}

interface Held {
  readonly bytes: number;
}

/** Writes under way, and who waits for their end. */
interface Writes {
  add(content: string, write: Promise<void>): Promise<void>;
  has(content: string): boolean;
  /** Fulfilled when no write of this content is under way. */
  ended(content: string): Promise<void>;
  /** Fulfilled when few enough are under way, or after a while: nobody waits for ever for a store that does not answer. */
  room(): Promise<void>;
}

function createWrites(): Writes {
  const open = new Map<string, Promise<void>>();
  const waiting = new Set<() => void>();
  let count = 0;
  return {
    add: async (content, write) => {
      count += 1;
      const ended = write.catch(() => undefined);
      open.set(content, ended);
      try {
        await write;
      } finally {
        count -= 1;
        if (open.get(content) === ended) open.delete(content);
        const [next] = waiting;
        next?.();
      }
    },
    has: (content) => open.has(content),
    ended: async (content) => open.get(content),
    room: () => {
      if (count < MOST_WRITES) return Promise.resolve();
      return new Promise((resolve) => {
        const go = (): void => {
          clearTimeout(patience);
          waiting.delete(go);
          resolve();
        };
        const patience = setTimeout(go, LONGEST_WAIT_MS);
        waiting.add(go);
      });
    },
  };
}
