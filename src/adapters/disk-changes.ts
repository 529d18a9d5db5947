import { sha256 } from './digest.ts';
import { heldBlob, tell } from './disk-parts.ts';
import type { DiskParts } from './disk-parts.ts';
import type { DiskIndex } from './disk-index.ts';
import { namedBy } from './disk-names.ts';
import { encodeAdapterRecord, encodeBlobRecord } from './records.ts';
import type { BlobRecord, KnownAdapter } from './records.ts';
import { bytesApart } from './sites.ts';
import type { PackedAdapter } from './sites.ts';
import { decodeAdapter, encodeAdapter } from './stored-adapter.ts';
import { answered, isQuota, recordOfBlob } from './store.ts';
import type { Store } from './store.ts';

/** How old the note of a blob's last use may grow: reading an adapter shall not mean writing each time. */
const USE_NOTED_MS = 3_600_000;

/** Of a store that is silent for so long nothing more is expected: the origin is asked. */
const SILENCE_MS = 60_000;

/** `AdapterDisk.read` */
export async function readBlob(parts: DiskParts, digest: string): Promise<PackedAdapter | undefined> {
  const { store, keys, index, fail, writing } = parts;
  const onItsWay = writing.get(digest);
  if (onItsWay) return onItsWay;
  const key = keys.blob(digest);
  const record = index.blob(key);
  if (!record) {
    tell(parts, [key], []);
    return undefined;
  }
  try {
    const packed = (await unpack(parts, record, await answered(store.get(key), SILENCE_MS))) ?? (await heal(parts, key));
    if (packed) noteUse(parts, key);
    return packed;
  } catch (cause) {
    throw fail("The adapter's bytes cannot be read from the store", cause);
  }
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
  const { store, index, turns } = parts;
  const work = async (): Promise<PackedAdapter | undefined> => {
    const record = index.blob(key);
    if (!record) return undefined;
    const packed = await unpack(parts, record, await store.get(key));
    if (packed) return packed;
    await eraseBlobs(parts, [key]);
    tell(parts, [key], []);
    return undefined;
  };
  // What cannot be deleted is as unreadable as what was deleted: the count of failures tells.
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
export async function writeBlob(parts: DiskParts, packed: PackedAdapter, only: 'copy' | undefined): Promise<void> {
  const { keys, index, slices, turns, writing } = parts;
  const { digest, rank, layers, unblendable } = packed;
  const key = keys.blob(digest);
  const widest = layers.reduce((most, { words }) => Math.max(most, words.byteLength), 0);
  let bytes: Uint8Array<ArrayBuffer>;
  let hash: string;
  const prepare = async (): Promise<void> => {
    bytes = await encodeAdapter(packed, slices);
    hash = await sha256(bytes);
  };
  const work = (): Promise<void> => {
    if (only === 'copy') index.keep(key); // what was dropped since it was asked for comes back
    const sizes = { bytes: packed.bytes, stored: bytes.length, widest, apart: bytesApart(packed) };
    return putBlob(parts, { key, digest, sha256: hash, rank, ...sizes, unblendable, usedAt: Date.now() }, bytes);
  };
  writing.set(digest, packed);
  if (only === 'copy') index.keep(key);
  try {
    await turns.change('An adapter cannot be kept in the store', work, prepare);
  } finally {
    if (writing.get(digest) === packed) writing.delete(digest);
  }
}

async function putBlob(parts: DiskParts, record: BlobRecord, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const { store, index } = parts;
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
}

/** Where the store is full the owner makes room for so many bytes, and it is tried again. */
async function putWithRoom(parts: DiskParts, bytes: number, put: () => Promise<void>): Promise<void> {
  const { index, on } = parts;
  await put().catch(async (error: unknown) => {
    const leaving = isQuota(error) ? on.shrink(bytes) : [];
    if (leaving.length === 0) throw error;
    await eraseBlobs(parts, leaving).catch((failure: unknown) => {
      const held = leaving.flatMap((blob) => index.blob(blob) ?? []).map((blob) => heldBlob(parts, blob));
      on.change({ gone: [], held }); // the owner counts them as gone
      throw failure;
    });
    await put();
  });
}

/** `AdapterDisk.note`: without it the bytes are of no use, so they make room for it. */
export function noteAdapter(parts: DiskParts, adapter: KnownAdapter): Promise<string | undefined> {
  const { store, keys, index, turns } = parts;
  return turns.change(`What is known of "${adapter.id}" cannot be kept in the store`, async () => {
    const key = keys.adapter(adapter.id);
    const bytes = encodeAdapterRecord(adapter);
    const [before, named] = [index.names().get(key), namedBy(adapter)];
    const what = before && (before.digest !== named.digest || before.only !== named.only) ? 'rewritten' : 'keys';
    await putWithRoom(parts, bytes.length, () => store.put([index.nextGeneration(what), [key, bytes]]));
    tellOnly(parts, new Set([before?.digest ?? named.digest, named.digest]), () => {
      index.names().set(key, named);
      for (const { key: blob } of blobsOf(parts, named.digest)) index.noted(blob);
    });
    return before?.digest;
  });
}

function blobsOf({ keys, index }: DiskParts, digest: string): readonly BlobRecord[] {
  return index.blobsOf(digest).filter(({ key }) => keys.isBlobOf(key, digest));
}

/** Tells which blobs of these digests have become, or are no longer, the only copy with a change of the index. */
function tellOnly(parts: DiskParts, digests: ReadonlySet<string>, change: () => void): void {
  const { index } = parts;
  const before = [...digests].flatMap((digest) => blobsOf(parts, digest)).map((record) => ({ record, only: index.only(record.key) }));
  change();
  const found = before.filter(({ record, only }) => index.only(record.key) !== only).map(({ record }) => record);
  tell(parts, [], found);
}

/** `AdapterDisk.drop` */
export async function dropBlobs(parts: DiskParts, blobs: readonly string[]): Promise<void> {
  if (blobs.length === 0) return;
  const { turns, leaving } = parts;
  for (const key of blobs) leaving.set(key, (leaving.get(key) ?? 0) + 1);
  try {
    await turns.change('Adapters cannot be deleted from the store', () => eraseBlobs(parts, blobs));
  } finally {
    for (const key of blobs) {
      const left = leaving.get(key)! - 1;
      if (left === 0) leaving.delete(key);
      else leaving.set(key, left);
    }
  }
}

/** `AdapterDisk.forget` */
export function forgetAdapter(parts: DiskParts, id: string, blobs: 'keep' | 'delete'): Promise<void> {
  const { keys, index, turns } = parts;
  return turns.change(`Adapter "${id}" cannot be deleted from the store and will be back after a restart`, async () => {
    const key = keys.adapter(id);
    const digest = index.names().get(key)?.digest;
    if (digest === undefined) return eraseBlobs(parts, [], [key]);
    const found = blobsOf(parts, digest).map((record) => record.key);
    const isShared = found.some((blob) => index.names().count(blob).all > 1);
    const gone = isShared || blobs === 'keep' ? [] : found;
    await eraseBlobs(parts, gone, [key]);
    tellOnly(parts, new Set([digest]), () => {
      if (!isShared) for (const blob of found) if (blobs === 'keep' && index.only(blob) === 'copy') index.keep(blob);
      index.names().set(key, undefined);
    });
    tell(parts, gone, []);
  });
}

/** `AdapterDisk.release` */
export function releaseBlob(parts: DiskParts, digest: string): Promise<void> {
  const { index, turns } = parts;
  return turns.change('An adapter that nothing names cannot be deleted from the store', async () => {
    const found = blobsOf(parts, digest).map(({ key }) => key);
    const gone = found.filter((key) => index.names().count(key).all === 0);
    if (gone.length > 0) await eraseBlobs(parts, gone);
    tell(parts, gone, []);
    tellOnly(parts, new Set([digest]), () => found.forEach(index.noted)); // what others name is theirs alone now
  });
}

/** Deletes other records, then blobs: their records first, since bytes without a record are found and swept. */
async function eraseBlobs({ store, index }: DiskParts, blobs: readonly string[], others: readonly string[] = []): Promise<void> {
  const announced = await announce(store, index);
  await store.delete([...others, ...blobs.map(recordOfBlob), ...blobs]);
  for (const key of blobs) index.dropBlob(key);
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
