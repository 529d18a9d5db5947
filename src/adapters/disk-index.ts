import { createNames, namedBy } from './disk-names.ts';
import type { DiskNames, Named } from './disk-names.ts';
import { decodeAdapterRecord, decodeBlobRecord, isLaterRecord } from './records.ts';
import type { BlobRecord, KnownAdapter } from './records.ts';
import { ADAPTER_RECORDS, BLOB_RECORDS, recordOfBlob } from './store.ts';
import type { Store, StoreEntry, StoreKeys } from './store.ts';

/**
 * Two random words. Everybody who changes what the store holds writes another first one, so that others look again, and another second
 * one for what cannot be seen from the keys.
 */
const GENERATION = 'm:generation';
/** Keys of records that version 1 wrote: `m:shape/model/id`. Nothing reads them now. */
const OLD_RECORD = /^m:[\da-f]{64}\//;

/** What others did to the store since it was last looked at. */
export interface IndexChange {
  readonly gone: readonly string[];
  /** New ones, and those that have become, or are no longer, the only copy. */
  readonly added: readonly BlobRecord[];
}

/** What the records in a store say, as one engine knows it. To be used in `store.exclusive`, reading apart. */
export interface DiskIndex {
  blob(key: string): BlobRecord | undefined;
  blobs(): readonly BlobRecord[];
  /** In whatever layout, precision and shape. */
  blobsOf(digest: string): readonly BlobRecord[];
  setBlob(record: BlobRecord): void;
  dropBlob(key: string): void;
  /**
   * Whether a blob is the only copy of what somebody can ask for: a record names it that has no address, or it was `keep`, until it is
   * dropped or `noted`.
   */
  only(key: string): 'copy' | undefined;
  keep(key: string): void;
  noted(key: string): void;
  /** Of this model, as of the start. */
  readonly known: readonly KnownAdapter[];
  /** What the adapters' records name. */
  names(): DiskNames;
  /** Reads the records again where somebody else changed the store, or where `distrust` was called. */
  refresh(): Promise<IndexChange>;
  /** The next `refresh` reads the records, whoever changed them. */
  distrust(): void;
  /**
   * What a change of the store has to write first: whoever finds it looks at a store that is as it was, or changed. `rewritten`: a record
   * that says otherwise takes another's place, so that others have to read those that they know, too.
   */
  nextGeneration(what: 'keys' | 'rewritten'): StoreEntry;
}

/** An index that knows of nothing yet: of a store that cannot be read. It looks before the first change. */
export function unreadIndex(store: Store, keys: StoreKeys): DiskIndex {
  const index = createIndex(store, keys, { blobs: new Map(), adapters: [], generation: undefined });
  index.distrust();
  return index;
}

/**
 * Reads all records of a store and deletes what crashes and older versions left: bytes without a record, records without bytes. No
 * adapter's bytes are read.
 * @param mode `sweep` needs the store for itself; `look` deletes nothing.
 * @param cleaning is told when the deletion fails, after which the index is right all the same.
 */
export async function openIndex(
  store: Store,
  keys: StoreKeys,
  mode: 'sweep' | 'look',
  cleaning: (error: unknown) => void,
): Promise<DiskIndex> {
  const generation = wordOf(await store.get(GENERATION));
  const [all, records, entries] = await Promise.all([store.keys('b:'), store.entries(BLOB_RECORDS), store.entries(ADAPTER_RECORDS)]);
  const bytes = new Set(all);
  const blobs = new Map<string, BlobRecord>();
  // Who has written a generation has swept these, too.
  const waste = generation === undefined ? (await store.keys('m:')).filter((key) => OLD_RECORD.test(key)) : [];
  for (const [key, content] of records) {
    const record = decodeBlob(key, content);
    if (record && bytes.delete(record.key)) blobs.set(key, record);
    else if (isLaterRecord(content)) bytes.delete(key.slice(2));
    else waste.push(key);
  }
  waste.push(...bytes);
  const adapters = entries.flatMap(([key, content]): AdapterRow[] => {
    const adapter = decodeAdapterRecord(content);
    return adapter ? [[key, adapter]] : [];
  });
  const index = createIndex(store, keys, { blobs, adapters, generation });
  if (mode === 'sweep' && waste.length > 0) {
    try {
      await store.put([index.nextGeneration('keys')]);
      await store.delete(waste);
    } catch (error) {
      index.distrust();
      cleaning(error);
    }
  }
  return index;
}

type AdapterRow = readonly [key: string, adapter: KnownAdapter];

interface Listed {
  /** By the keys of their records. */
  readonly blobs: Map<string, BlobRecord>;
  readonly adapters: readonly AdapterRow[];
  readonly generation: string | undefined;
}

function createIndex(store: Store, keys: StoreKeys, listed: Listed): DiskIndex {
  let { blobs, generation } = listed;
  let trusted: 'yes' | 'no' = 'yes';
  let names = createNames(listed.adapters.map(([key, adapter]) => [key, namedBy(adapter)]));
  let digests = byDigest(blobs);
  const kept = new Set<string>();
  const only = (key: string): 'copy' | undefined => (kept.has(key) || names.count(key).copies > 0 ? 'copy' : undefined);
  return {
    blob: (key) => blobs.get(recordOfBlob(key)),
    blobs: () => [...blobs.values()],
    blobsOf: (digest) => digests.get(digest) ?? [],
    setBlob: (record) => {
      blobs.set(recordOfBlob(record.key), record);
      const others = (digests.get(record.digest) ?? []).filter(({ key }) => key !== record.key);
      digests.set(record.digest, [...others, record]);
    },
    dropBlob: (key) => {
      kept.delete(key);
      const record = blobs.get(recordOfBlob(key));
      if (!record) return;
      blobs.delete(recordOfBlob(key));
      const others = digests.get(record.digest)!.filter((other) => other.key !== key);
      if (others.length === 0) digests.delete(record.digest);
      else digests.set(record.digest, others);
    },
    only,
    keep: (key) => void kept.add(key),
    noted: (key) => void kept.delete(key),
    known: listed.adapters.flatMap(([key, adapter]) => (key === keys.adapter(adapter.id) ? [adapter] : [])),
    names: () => names,
    refresh: async () => {
      const word = wordOf(await store.get(GENERATION));
      if (word === generation && trusted === 'yes') return { gone: [], added: [] };
      const same = trusted === 'yes' && secondOf(word) === secondOf(generation);
      const found = await readRecords(store, BLOB_RECORDS, same ? blobs : new Map<string, BlobRecord>(), decodeBlob);
      const named = await readRecords(store, ADAPTER_RECORDS, same ? names.entries() : new Map<string, Named>(), decodeNamed);
      const before = new Map([...blobs.values()].map(({ key }) => [key, only(key)]));
      names = createNames(named);
      const gone = [...before.keys()].filter((key) => !found.has(recordOfBlob(key)));
      const added = [...found.values()].filter(({ key }) => !before.has(key) || before.get(key) !== only(key));
      blobs = found;
      digests = byDigest(found);
      generation = word;
      trusted = 'yes';
      return { gone, added };
    },
    distrust: () => (trusted = 'no'),
    nextGeneration: (what) => {
      generation = `${randomWord()} ${what === 'keys' ? secondOf(generation) : randomWord()}`;
      return [GENERATION, new TextEncoder().encode(generation)];
    },
  };
}

function byDigest(blobs: ReadonlyMap<string, BlobRecord>): Map<string, BlobRecord[]> {
  const digests = new Map<string, BlobRecord[]>();
  for (const record of blobs.values()) {
    const others = digests.get(record.digest);
    if (others) others.push(record);
    else digests.set(record.digest, [record]);
  }
  return digests;
}

function decodeBlob(key: string, bytes: Uint8Array): BlobRecord | undefined {
  return decodeBlobRecord(key.slice(2), bytes);
}

function decodeNamed(_key: string, bytes: Uint8Array): Named | undefined {
  const adapter = decodeAdapterRecord(bytes);
  return adapter && namedBy(adapter);
}

/** More new records than this are read with all others at once. */
const MOST_SINGLE_READS = 64;

/** All records whose keys begin with this, by key; of those that are known only the keys are read. */
async function readRecords<T>(
  store: Store,
  prefix: string,
  known: ReadonlyMap<string, T>,
  decode: (key: string, bytes: Uint8Array) => T | undefined,
): Promise<Map<string, T>> {
  const all = known.size === 0 ? [] : await store.keys(prefix);
  const fresh = all.filter((key) => !known.has(key));
  const one = async (key: string): Promise<StoreEntry[]> => {
    const bytes = await store.get(key);
    return bytes ? [[key, bytes]] : [];
  };
  const single = known.size > 0 && fresh.length <= MOST_SINGLE_READS;
  const read = single ? (await Promise.all(fresh.map(one))).flat() : await store.entries(prefix);
  const found = new Map<string, T>();
  for (const key of single ? all : []) if (known.has(key)) found.set(key, known.get(key)!);
  for (const [key, bytes] of read) {
    const record = decode(key, bytes);
    if (record) found.set(key, record);
  }
  return found;
}

function randomWord(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(3)), (word) => word.toString(36)).join('-');
}

function secondOf(generation: string | undefined): string {
  return generation?.split(' ')[1] ?? '';
}

function wordOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes && new TextDecoder().decode(bytes);
}
