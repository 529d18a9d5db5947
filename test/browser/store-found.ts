// What lies in the database of adapters, past all that reads it otherwise.
import { createStore, entries, set } from 'idb-keyval';
import { sha256 } from '../../src/adapters/digest.ts';
import { decodeBlobRecord } from '../../src/adapters/records.ts';

/** A blob in the database, or what is left of one. */
export interface Found {
  readonly key: string;
  readonly bytes: number;
  /** `torn`: not the bytes of which the record tells; `orphan`: bytes without a record, or a record without bytes. */
  readonly state: 'whole' | 'torn' | 'orphan';
}

const table = createStore('weblora', 'adapters');

/** All blobs. */
export async function findBlobs(): Promise<readonly Found[]> {
  const all = new Map(await entries<string, Uint8Array<ArrayBuffer>>(table));
  const names = new Set([...all.keys()].filter((key) => /^(m:)?b:/.test(key)).map((key) => key.replace(/^m:/, '')));
  const states = [...names].map(async (key): Promise<Found> => {
    const [bytes, told] = [all.get(key), all.get(`m:${key}`)];
    const record = told && decodeBlobRecord(key, told);
    if (!bytes || !record) return { key, bytes: bytes?.length ?? 0, state: 'orphan' };
    const isWhole = bytes.length === record.stored && (await sha256(bytes)) === record.sha256;
    return { key, bytes: bytes.length, state: isWhole ? 'whole' : 'torn' };
  });
  return Promise.all(states);
}

/** Turns one bit of every blob. */
export async function flipBlobs(): Promise<void> {
  for (const [key, bytes] of await entries<string, Uint8Array<ArrayBuffer>>(table)) {
    if (!key.startsWith('b:')) continue;
    bytes[bytes.length - 100]! ^= 1;
    await set(key, bytes, table);
  }
}
