import { sha256 } from './digest.ts';
import { decodeAdapter, decodeRecord, encodeAdapter, encodeRecord, hashSiteTable, LAYOUT_VERSION } from './records.ts';
import type { AdapterRecord, StoredBlob } from './records.ts';
import type { PackedAdapter, SiteTable } from './sites.ts';
import { storeFailed, storeKeys } from './store.ts';
import type { Store } from './store.ts';

/** An adapter of this model that an earlier engine registered. */
export interface KnownAdapter {
  readonly id: string;
  readonly source: string | undefined;
  readonly name: string;
  /** Undefined where its bytes are packed otherwise: in another precision or by another version. */
  readonly blob: StoredBlob | undefined;
}

export interface DiskCounters {
  readonly reads: number;
  readonly misses: number;
  readonly writes: number;
  readonly failures: number;
  readonly lastFailure?: string;
}

/** The adapters of one model in a store. */
export interface AdapterDisk {
  /** Those that were there when the engine started. Only records were read, no adapter's bytes. */
  readonly known: readonly KnownAdapter[];
  /** A stored adapter; undefined where its bytes are missing or are not the ones that were written. Throws `store_failed`. */
  read(blob: StoredBlob): Promise<PackedAdapter | undefined>;
  /** Keeps an adapter's bytes, then its record; both in place of what the id had. Throws `store_failed`. */
  write(adapter: Pick<AdapterRecord, 'id' | 'source' | 'name'>, packed: PackedAdapter): Promise<StoredBlob>;
  /** Deletes an id's record, and its bytes where no other record names them. Throws `store_failed`. */
  forget(id: string): Promise<void>;
  /** Fulfilled when every write and deletion so far has come to its end. */
  settled(): Promise<void>;
  counters(): DiskCounters;
}

export interface DiskModel {
  readonly table: SiteTable;
  /** Where the model was opened, whole: keeps models of one shape apart, also those whose addresses end alike. */
  readonly location: string;
  readonly precision: 'exact' | 'half';
}

/** Records that are read at once: enough to hide the latency of a store, few enough not to flood it. */
const READS_AT_ONCE = 64;

/**
 * Opens the part of a store that belongs to a model, and reads its records. A store that cannot be listed counts as empty: the engine
 * starts all the same, and `counters` tells. Writes and deletions run one after the other, in the order of the calls.
 */
export async function openAdapterDisk(store: Store, { table, location, precision }: DiskModel): Promise<AdapterDisk> {
  const keys = storeKeys({
    shape: await hashSiteTable(table),
    model: await sha256(new TextEncoder().encode(location)),
    layoutVersion: LAYOUT_VERSION,
    precision,
  });
  const counters: { -readonly [K in keyof DiskCounters]: DiskCounters[K] } = { reads: 0, misses: 0, writes: 0, failures: 0 };
  let last: Promise<unknown> = Promise.resolve();

  const counted = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (cause) {
      const error = storeFailed(what, cause);
      counters.failures++;
      counters.lastFailure = error.message;
      throw error;
    }
  };
  const inOrder = <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const next = last.then(() => counted(what, work));
    last = next.catch(() => undefined); // told to who asked for it; those behind it go on
    return next;
  };
  const readRecord = async (key: string): Promise<AdapterRecord | undefined> => {
    const bytes = await store.get(key);
    return bytes && decodeRecord(bytes);
  };
  const readRecords = async (prefix: string): Promise<AdapterRecord[]> => {
    const found = await store.keys(prefix);
    const records: AdapterRecord[] = [];
    for (let at = 0; at < found.length; at += READS_AT_ONCE) {
      const some = await Promise.all(found.slice(at, at + READS_AT_ONCE).map(readRecord));
      records.push(...some.filter((record) => record !== undefined));
    }
    return records;
  };
  /** Deletes bytes that no record names, of this model or of another of its shape. */
  const release = async (blob: string): Promise<void> => {
    const records = await readRecords(keys.shapePrefix);
    if (!records.some((record) => record.blob.key === blob)) await store.delete(blob);
  };

  const records = await counted('The adapters in the store cannot be listed', () => readRecords(keys.modelPrefix)).catch(() => []);
  const known = records.map(({ blob, ...adapter }): KnownAdapter => {
    return { ...adapter, blob: blob.key === keys.blob(blob.digest) ? blob : undefined };
  });

  return {
    known,
    read: ({ key, sha256: expected, digest }) =>
      counted(`The adapter's bytes cannot be read from the store`, async () => {
        const bytes = await store.get(key);
        const whole = bytes !== undefined && (await sha256(bytes)) === expected;
        const packed = whole ? decodeAdapter(bytes, table) : undefined;
        const right = packed?.digest === digest && packed.precision === precision ? packed : undefined;
        if (right) counters.reads++;
        else counters.misses++;
        return right;
      }),
    write: ({ id, source, name: words }, packed) =>
      inOrder(`Adapter "${id}" cannot be kept in the store`, async () => {
        const bytes = encodeAdapter(packed);
        const { digest, rank } = packed;
        const blob: StoredBlob = { key: keys.blob(digest), digest, sha256: await sha256(bytes), rank, bytes: packed.bytes };
        const before = await readRecord(keys.record(id));
        await store.put(blob.key, bytes);
        try {
          await store.put(keys.record(id), encodeRecord({ id, source, name: words, blob }));
        } catch (error) {
          await release(blob.key).catch(() => undefined); // bytes without a record would never be found again
          throw error;
        }
        counters.writes++;
        if (before && before.blob.key !== blob.key) await release(before.blob.key);
        return blob;
      }),
    forget: (id) =>
      inOrder(`Adapter "${id}" cannot be deleted from the store and will be back after a restart`, async () => {
        const before = await readRecord(keys.record(id));
        await store.delete(keys.record(id));
        if (before) await release(before.blob.key);
      }),
    settled: async () => void (await last),
    counters: () => ({ ...counters }),
  };
}
