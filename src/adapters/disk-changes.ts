import { sha256 } from './digest.ts';
import type { DiskModel, DiskOwner, HeldBlob } from './disk-contract.ts';
import type { DiskIndex } from './disk-index.ts';
import type { CountFailure, Counters, Turns } from './disk-turns.ts';
import { decodeAdapter, decodeBlobRecord, encodeAdapter, encodeAdapterRecord, encodeBlobRecord } from './records.ts';
import type { BlobRecord, KnownAdapter } from './records.ts';
import type { PackedAdapter } from './sites.ts';
import { isQuota, recordOfBlob } from './store.ts';
import type { Store, StoreKeys } from './store.ts';

/** How old the note of a blob's last use may grow: reading an adapter shall not mean writing each time. */
const USE_NOTED_MS = 3_600_000;

export interface DiskParts {
  readonly store: Store;
  readonly model: DiskModel;
  readonly keys: StoreKeys;
  readonly index: DiskIndex;
  readonly counters: Counters;
  readonly fail: CountFailure;
  readonly on: DiskOwner;
  readonly turns: Turns;
  /** Writes that are under way or wait for their turn, by digest. Never rejected. */
  readonly writing: Map<string, Promise<void>>;
  /** Blobs whose use is to be noted. */
  readonly used: Set<string>;
}

/** A record as the owner sees it. */
export function heldBlob({ key, digest, rank, bytes, stored, widest, only }: BlobRecord, keys: StoreKeys): HeldBlob {
  return { key, digest, own: key === keys.blob(digest) ? 'yes' : 'no', rank, bytes, stored, widest, only };
}

/** `AdapterDisk.read` */
export async function readBlob(parts: DiskParts, digest: string): Promise<PackedAdapter | undefined> {
  const { store, keys, index, counters, fail, writing } = parts;
  await writing.get(digest);
  const key = keys.blob(digest);
  try {
    const record = index.blob(key) ?? (await findRecord(parts, key));
    let packed: PackedAdapter | undefined;
    if (record) packed = (await unpack(parts, record, await store.get(key))) ?? (await heal(parts, key));
    if (packed) noteUse(parts, key);
    if (packed) counters.reads++;
    else counters.misses++;
    return packed;
  } catch (cause) {
    throw fail("The adapter's bytes cannot be read from the store", cause);
  }
}

/** What another tab or process may have written since the records were read. */
async function findRecord({ store }: DiskParts, key: string): Promise<BlobRecord | undefined> {
  const bytes = await store.get(recordOfBlob(key));
  return bytes && decodeBlobRecord(key, bytes);
}

async function unpack(
  { model }: DiskParts,
  record: BlobRecord,
  bytes: Uint8Array<ArrayBuffer> | undefined,
): Promise<PackedAdapter | undefined> {
  if (bytes?.length !== record.stored || (await sha256(bytes)) !== record.sha256) return undefined;
  const packed = decodeAdapter(bytes, model.table);
  return packed?.digest === record.digest && packed.precision === model.precision ? packed : undefined;
}

/** Deletes bytes that are damaged, unless somebody else has deleted them or written them anew by now. */
async function heal(parts: DiskParts, key: string): Promise<PackedAdapter | undefined> {
  const { store, index, on, turns } = parts;
  const work = async (): Promise<PackedAdapter | undefined> => {
    const record = index.blob(key);
    if (!record) return undefined;
    const packed = await unpack(parts, record, await store.get(key));
    if (packed) return packed;
    await eraseBlobs(parts, [key]);
    on.change({ gone: [key], held: [] });
    return undefined;
  };
  // What cannot be deleted is as unreadable as what was deleted: `counters` tells.
  return turns.change("A damaged adapter's bytes cannot be deleted from the store", work).catch(() => undefined);
}

/** Uses that are not noted yet are noted together. */
function noteUse({ store, index, turns, used }: DiskParts, key: string): void {
  const record = index.blob(key);
  if (!record || Math.abs(Date.now() - record.usedAt) < USE_NOTED_MS) return;
  used.add(key);
  if (used.size > 1) return;
  const work = async (): Promise<void> => {
    const records = [...used].flatMap((key) => index.blob(key) ?? []).map((record) => ({ ...record, usedAt: Date.now() }));
    used.clear();
    await store.put(records.map((record) => [recordOfBlob(record.key), encodeBlobRecord(record)]));
    for (const record of records) index.setBlob(record);
  };
  turns.change('The use of adapters cannot be noted in the store', work).catch(() => used.clear());
}

/** `AdapterDisk.write` */
export function writeBlob(parts: DiskParts, packed: PackedAdapter, only: 'copy' | undefined): Promise<void> {
  const { keys, turns, writing } = parts;
  const { digest, rank, layers } = packed;
  const key = keys.blob(digest);
  const widest = layers.reduce((most, { words }) => Math.max(most, words.byteLength), 0);
  let bytes: Uint8Array<ArrayBuffer>;
  let hash: string;
  const done = turns.change(
    'An adapter cannot be kept in the store',
    () => {
      const record = { key, digest, sha256: hash, rank, bytes: packed.bytes, stored: bytes.length, widest, usedAt: Date.now(), only };
      return putBlob(parts, record, bytes);
    },
    async () => {
      bytes = encodeAdapter(packed);
      hash = await sha256(bytes);
    },
  );
  const ended: Promise<void> = done
    .catch(() => undefined)
    .then(() => {
      if (writing.get(digest) === ended) writing.delete(digest);
    });
  writing.set(digest, ended);
  return done;
}

async function putBlob(parts: DiskParts, record: BlobRecord, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const { store, index, counters } = parts;
  const { key } = record;
  const what = index.blob(key) ? 'rewritten' : 'keys';
  const put = (): Promise<void> => store.put([index.nextGeneration(what), [key, bytes], [recordOfBlob(key), encodeBlobRecord(record)]]);
  try {
    await putWithRoom(parts, bytes.length, put);
  } catch (error) {
    // Bytes without a record would lie there until the next start. Those of an earlier write are left: they are the same.
    if (!index.blob(key)) await store.delete([recordOfBlob(key), key]).catch(() => undefined);
    throw error;
  }
  index.setBlob(record);
  counters.writes++;
}

/** Where the store is full the owner makes room for so many bytes, and it is tried again. */
async function putWithRoom(parts: DiskParts, bytes: number, put: () => Promise<void>): Promise<void> {
  const { index, on, keys } = parts;
  await put().catch(async (error: unknown) => {
    const leaving = isQuota(error) ? on.shrink(bytes) : [];
    if (leaving.length === 0) throw error;
    await eraseBlobs(parts, leaving).catch((failure: unknown) => {
      const held = leaving.flatMap((blob) => index.blob(blob) ?? []).map((blob) => heldBlob(blob, keys));
      on.change({ gone: [], held }); // the owner counts them as gone
      throw failure;
    });
    await put();
  });
}

/** `AdapterDisk.note`: without it the bytes are of no use, so they make room for it. */
export function noteAdapter(parts: DiskParts, adapter: KnownAdapter): Promise<void> {
  const { store, keys, index, turns } = parts;
  return turns.change(`What is known of "${adapter.id}" cannot be kept in the store`, async () => {
    const key = keys.adapter(adapter.id);
    const bytes = encodeAdapterRecord(adapter);
    await putWithRoom(parts, bytes.length, () => store.put([index.nextGeneration('keys'), [key, bytes]]));
    index.setDigest(key, adapter.digest);
  });
}

/** `AdapterDisk.drop` */
export function dropBlobs(parts: DiskParts, blobs: readonly string[]): Promise<void> {
  if (blobs.length === 0) return Promise.resolve();
  return parts.turns.change('Adapters cannot be deleted from the store', () => eraseBlobs(parts, blobs));
}

/** `AdapterDisk.forget` */
export function forgetAdapter(parts: DiskParts, id: string): Promise<void> {
  const { keys, index, on, turns } = parts;
  return turns.change(`Adapter "${id}" cannot be deleted from the store and will be back after a restart`, async () => {
    const key = keys.adapter(id);
    const digests = await index.digests();
    const digest = digests.get(key);
    const shared = [...digests].some(([other, named]) => other !== key && named === digest);
    const blobs =
      digest === undefined || shared ? [] : index.blobs().flatMap((blob) => (keys.isBlobOf(blob.key, digest) ? [blob.key] : []));
    await eraseBlobs(parts, blobs, [key]);
    index.setDigest(key, undefined);
    if (blobs.length > 0) on.change({ gone: blobs, held: [] });
  });
}

/** `AdapterDisk.release` */
export function releaseBlob(parts: DiskParts, digest: string): Promise<void> {
  const { keys, index, on, turns } = parts;
  const key = keys.blob(digest);
  return turns.change('An adapter that nothing names cannot be deleted from the store', async () => {
    if (!index.blob(key)) return;
    for (const named of (await index.digests()).values()) if (named === digest) return;
    await eraseBlobs(parts, [key]);
    on.change({ gone: [key], held: [] });
  });
}

/** Deletes other records, then blobs: their records first, since bytes without a record are found and swept. */
async function eraseBlobs({ store, index, counters }: DiskParts, blobs: readonly string[], others: readonly string[] = []): Promise<void> {
  const announced = await announce(store, index);
  const counted = blobs.filter((key) => index.blob(key)).length;
  await store.delete([...others, ...blobs.map(recordOfBlob), ...blobs]);
  for (const key of blobs) index.dropBlob(key);
  counters.deletes += counted;
  if (announced === 'full') await announce(store, index);
}

/** Makes others look again. A full store has no room for the word: then it comes after the deletion that makes room. */
async function announce(store: Store, index: DiskIndex): Promise<'announced' | 'full'> {
  try {
    await store.put([index.nextGeneration('keys')]);
    return 'announced';
  } catch (error) {
    if (isQuota(error)) return 'full';
    throw error;
  }
}
