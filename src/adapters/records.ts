import { UNBLENDABLE } from './sites.ts';
import type { Unblendable } from './sites.ts';

/** Of the records. What an older version wrote counts as absent. */
const RECORD_VERSION = 2;

export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

export function isHash(value: unknown): value is string {
  return typeof value === 'string' && /^[\da-f]{64}$/.test(value);
}

/** Whether a value is `PackedAdapter.unblendable`. */
export function isUnblendable(value: unknown): value is readonly Unblendable[] {
  return Array.isArray(value) && value.every((each) => (UNBLENDABLE as readonly unknown[]).includes(each));
}

/** One for all: making it takes longer than reading a record. */
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** A JSON object, or undefined for anything else. */
export function parseObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(UTF8.decode(bytes));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // torn or foreign: the caller reads the adapter anew
  }
}

/** An adapter's bytes in a store. */
export interface BlobRecord {
  /** Where the bytes lie: `b:digest/layoutVersion/precision/shape`. */
  readonly key: string;
  /** Of what the adapter computes: `PackedAdapter.digest`. */
  readonly digest: string;
  /** Of the bytes as stored: what a read checks. */
  readonly sha256: string;
  readonly rank: number;
  /** Bytes on the GPU and in memory: `PackedAdapter.bytes`. */
  readonly bytes: number;
  /** Length of the bytes as stored. */
  readonly stored: number;
  /** Bytes of the widest layer's words. */
  readonly widest: number;
  /** Bytes of what lies outside the layers: `bytesApart`. */
  readonly apart: number;
  readonly unblendable: readonly Unblendable[];
  /** Milliseconds since 1970; to the hour, as reading an adapter shall not mean writing each time. */
  readonly usedAt: number;
}

/** A registered adapter as a store remembers it, also when its bytes have left the store. */
export interface KnownAdapter {
  readonly id: string;
  /** Path or address to read it from again; undefined for what was dropped or came from a program. */
  readonly source: string | undefined;
  /** Its source in words. */
  readonly name: string;
  readonly digest: string;
  /** What the source said of its state when it was last read, such as an ETag. */
  readonly stamp: string | undefined;
  /** When the source was last asked: milliseconds since 1970. */
  readonly checkedAt: number;
}

/** A record as bytes: JSON. Its key names blob and digest. */
export function encodeBlobRecord({ key: _key, digest: _digest, ...blob }: BlobRecord): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify({ version: RECORD_VERSION, ...blob }));
}

/** What `encodeBlobRecord` wrote of the blob with this key; undefined for anything else. */
export function decodeBlobRecord(key: string, bytes: Uint8Array): BlobRecord | undefined {
  const record = parseObject(bytes);
  const digest = key.slice(2, 66);
  if (record?.['version'] !== RECORD_VERSION || !key.startsWith('b:') || key[66] !== '/' || !isHash(digest)) return undefined;
  const { sha256: hash, rank, bytes: size, stored, widest, usedAt } = record;
  const { apart = 0, unblendable = [] } = record; // absent in what was written before there were such adapters
  if (!isHash(hash) || !isCount(rank) || !isCount(size) || !isCount(stored) || !isCount(widest) || !isTime(usedAt)) return undefined;
  if (!isCount(apart) || !isUnblendable(unblendable)) return undefined;
  return { key, digest, sha256: hash, rank, bytes: size, stored, widest, apart, unblendable, usedAt };
}

/** A record as bytes: JSON. */
export function encodeAdapterRecord({ id, source, name, digest, stamp, checkedAt }: KnownAdapter): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify({ version: RECORD_VERSION, id, source, name, digest, stamp, checkedAt }));
}

/** What `encodeAdapterRecord` wrote; undefined for anything else. */
export function decodeAdapterRecord(bytes: Uint8Array): KnownAdapter | undefined {
  const record = parseObject(bytes);
  if (record?.['version'] !== RECORD_VERSION) return undefined;
  const { id, source, name, digest, stamp, checkedAt } = record;
  if (typeof id !== 'string' || id === '' || typeof name !== 'string' || !isHash(digest) || !isTime(checkedAt)) return undefined;
  if (!isTextOrAbsent(source) || !isTextOrAbsent(stamp)) return undefined;
  return { id, source, name, digest, stamp, checkedAt };
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function isTextOrAbsent(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string';
}

/** Whether a later version of this library wrote the record: what it names is not ours to clean up. */
export function isLaterRecord(bytes: Uint8Array): boolean {
  const version = parseObject(bytes)?.['version'];
  return typeof version === 'number' && version > RECORD_VERSION;
}
