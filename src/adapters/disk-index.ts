import { decodeAdapterRecord, decodeBlobRecord, isLaterRecord } from './records.ts';
import type { BlobRecord, KnownAdapter } from './records.ts';
import { BLOB_RECORDS } from './store.ts';
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
  /** New ones, and those that others say are, or are no longer, the only copy. */
  readonly added: readonly BlobRecord[];
}

/** What the records in a store say, as one engine knows it. To be used in `store.exclusive`, reading apart. */
export interface DiskIndex {
  blob(key: string): BlobRecord | undefined;
  blobs(): readonly BlobRecord[];
  setBlob(record: BlobRecord): void;
  dropBlob(key: string): void;
  /** Of this model, as of the start. */
  readonly known: readonly KnownAdapter[];
  /** Reads the records of blobs again where somebody else changed the store, or where `distrust` was called. */
  refresh(): Promise<IndexChange>;
  /** The next `refresh` reads the records, whoever changed them. */
  distrust(): void;
  /**
   * What a change of the store has to write first: whoever finds it looks at a store that is as it was, or changed. `rewritten`: a blob's
   * record takes another's place, so that others have to read those that they know, too.
   */
  nextGeneration(what: 'keys' | 'rewritten'): StoreEntry;
  /** The digests that adapters' records in the store name, by the records' keys; of all models of this shape. */
  digests(): Promise<ReadonlyMap<string, string>>;
  /** What a record was made to name; undefined where it was deleted. */
  setDigest(key: string, digest: string | undefined): void;
}

/** An index that knows of nothing yet: of a store that cannot be read. It looks before the first change. */
export function unreadIndex(store: Store, keys: StoreKeys): DiskIndex {
  return createIndex(store, keys, { blobs: new Map(), adapters: undefined, generation: undefined });
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
  const [all, records, adapters] = await Promise.all([store.keys('b:'), store.entries(BLOB_RECORDS), store.entries(keys.shapePrefix)]);
  const bytes = new Set(all);
  const blobs = new Map<string, BlobRecord>();
  // Who has written a generation has swept these, too.
  const waste = generation === undefined ? (await store.keys('m:')).filter((key) => OLD_RECORD.test(key)) : [];
  for (const [key, content] of records) {
    const blob = key.slice(2);
    const record = decodeBlobRecord(blob, content);
    if (record && bytes.delete(blob)) blobs.set(blob, record);
    else if (isLaterRecord(content)) bytes.delete(blob);
    else waste.push(key);
  }
  waste.push(...bytes);
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

interface Listed {
  readonly blobs: Map<string, BlobRecord>;
  readonly adapters: readonly StoreEntry[] | undefined;
  readonly generation: string | undefined;
}

function createIndex(store: Store, keys: StoreKeys, listed: Listed): DiskIndex {
  let { blobs, generation } = listed;
  let trusted: 'yes' | 'no' = 'yes';
  const adapters = listed.adapters && readAdapters(listed.adapters);
  let names = adapters && digestsOf(adapters);
  const known = (adapters ?? []).flatMap(([key, adapter]) => (key === keys.adapter(adapter.id) ? [adapter] : []));
  return {
    blob: (key) => blobs.get(key),
    blobs: () => [...blobs.values()],
    setBlob: (record) => void blobs.set(record.key, record),
    dropBlob: (key) => void blobs.delete(key),
    known,
    refresh: async () => {
      const word = wordOf(await store.get(GENERATION));
      if (word === generation && trusted === 'yes') return { gone: [], added: [] };
      const same = trusted === 'yes' && secondOf(word) === secondOf(generation) ? blobs : new Map<string, BlobRecord>();
      const found = await readBlobs(store, same);
      const gone = [...blobs.keys()].filter((key) => !found.has(key));
      const added = [...found.values()].filter(({ key, only }) => !blobs.has(key) || blobs.get(key)!.only !== only);
      blobs = found;
      names = undefined;
      generation = word;
      trusted = 'yes';
      return { gone, added };
    },
    distrust: () => (trusted = 'no'),
    nextGeneration: (what) => {
      generation = `${randomWord()} ${what === 'keys' ? secondOf(generation) : randomWord()}`;
      return [GENERATION, new TextEncoder().encode(generation)];
    },
    digests: async () => (names ??= digestsOf(readAdapters(await store.entries(keys.shapePrefix)))),
    setDigest: (key, digest) => {
      if (digest === undefined) names?.delete(key);
      else names?.set(key, digest);
    },
  };
}

/** More new records than this are read with all others at once. */
const MOST_SINGLE_READS = 64;

/** All blob records; of those that are known only the keys are read. */
async function readBlobs(store: Store, known: ReadonlyMap<string, BlobRecord>): Promise<Map<string, BlobRecord>> {
  const names = known.size === 0 ? [] : await store.keys(BLOB_RECORDS);
  const fresh = names.filter((name) => !known.has(name.slice(2)));
  const one = async (name: string): Promise<StoreEntry[]> => {
    const bytes = await store.get(name);
    return bytes ? [[name, bytes]] : [];
  };
  const single = known.size > 0 && fresh.length <= MOST_SINGLE_READS;
  const read = single ? (await Promise.all(fresh.map(one))).flat() : await store.entries(BLOB_RECORDS);
  const kept = single ? names.flatMap((name) => known.get(name.slice(2)) ?? []) : [];
  const decoded = read.flatMap(([name, bytes]) => decodeBlobRecord(name.slice(2), bytes) ?? []);
  return new Map([...kept, ...decoded].map((record) => [record.key, record]));
}

function randomWord(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(3)), (word) => word.toString(36)).join('-');
}

function secondOf(generation: string | undefined): string {
  return generation?.split(' ')[1] ?? '';
}

type AdapterRow = readonly [key: string, adapter: KnownAdapter];

function readAdapters(entries: readonly StoreEntry[]): AdapterRow[] {
  return entries.flatMap(([key, bytes]): AdapterRow[] => {
    const adapter = decodeAdapterRecord(bytes);
    return adapter ? [[key, adapter]] : [];
  });
}

function digestsOf(adapters: readonly AdapterRow[]): Map<string, string> {
  return new Map(adapters.map(([key, { digest }]) => [key, digest]));
}

function wordOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes && new TextDecoder().decode(bytes);
}
