import type { Slices } from '../slices.ts';
import { sha256 } from './digest.ts';
import { emptyLayer } from './sites.ts';
import type { PackedAdapter, PackedLayer, PackedMatrix, SiteTable } from './sites.ts';

/** Rises when packing or this encoding changes: what older code kept is then a miss. */
export const LAYOUT_VERSION = 1;

/** `WLRA` as a little-endian word. */
const MAGIC = 0x41524c57;
/** Of the records. What an older version wrote counts as absent. */
const RECORD_VERSION = 2;

/** Bytes of one f32 or f16 quad, in which packed offsets count. */
const QUAD_BYTES = { exact: 16, half: 8 } as const;

/** SHA-256 (hex) of everything in a site table that packed bytes depend on. */
export async function hashSiteTable({ prefix, layers, sites }: SiteTable): Promise<string> {
  const rows = sites.map(({ module, inWidth, outWidth, outStart }) => [module, inWidth, outWidth, outStart]);
  return sha256(new TextEncoder().encode(JSON.stringify(['sites', prefix, layers, rows])));
}

type MatrixRow = readonly [site: number, offsetA: number, offsetB: number, rank4: number, scale: number];
type LayerRow = readonly [words: number, matrices: readonly MatrixRow[]];

/** What stands before the words. */
interface Header {
  readonly digest: string;
  readonly precision: 'exact' | 'half';
  readonly rank: number;
  readonly rank4: number;
  readonly layers: readonly LayerRow[];
}

/** What stands before the words: ASCII, so as many bytes as characters; padded to 4. */
function headerOf({ digest, precision, rank, rank4, layers }: PackedAdapter): string {
  const rows = layers.map(({ words, matrices }): LayerRow => {
    return [words.length, matrices.map(({ site, offsetA, offsetB, rank4: width, scale }) => [site, offsetA, offsetB, width, scale])];
  });
  const json = JSON.stringify({ digest, precision, rank, rank4, layers: rows } satisfies Header);
  return json.padEnd(Math.ceil(json.length / 4) * 4);
}

/** Length of `encodeAdapter(packed)` in bytes. No word is copied. */
export function storedBytes(packed: PackedAdapter): number {
  return 8 + headerOf(packed).length + packed.layers.reduce((sum, { words }) => sum + words.byteLength, 0);
}

/** So many bytes are copied or hashed in one go: a millisecond or two. */
const PIECE_BYTES = 4 << 20;

/**
 * A packed adapter as bytes: two little-endian words (magic, length of the header), the header as JSON padded to 4 bytes, then every
 * layer's words in order. The same adapter gives the same bytes. The thread is given back as the slices say.
 */
export async function encodeAdapter(packed: PackedAdapter, slices: Slices): Promise<Uint8Array<ArrayBuffer>> {
  const { layers } = packed;
  await slices.pause();
  const text = new TextEncoder().encode(headerOf(packed));
  const bytes = new Uint8Array(8 + text.length + layers.reduce((sum, { words }) => sum + words.byteLength, 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, text.length, true);
  bytes.set(text, 8);
  let at = 8 + text.length;
  for (const { words } of layers) {
    for (const piece of pieces(new Uint8Array(words.buffer, words.byteOffset, words.byteLength))) {
      await slices.pause();
      bytes.set(piece, at);
      at += piece.length;
    }
  }
  return bytes;
}

function* pieces<T extends ArrayBufferLike>(bytes: Uint8Array<T>): Generator<Uint8Array<T>> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}

/**
 * What `encodeAdapter` wrote; the words are views of `bytes`, nothing is copied. Undefined where these are not the bytes of an adapter
 * that fits the table: every count and offset is compared with the bytes that are there.
 */
export function decodeAdapter(bytes: Uint8Array<ArrayBuffer>, table: SiteTable): PackedAdapter | undefined {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const header = readHeader(aligned);
  if (!header || header.layers.length !== table.layers) return undefined;
  const layers: PackedLayer[] = [];
  let at = header.end;
  for (const [length, rows] of header.layers) {
    if (!isCount(length) || length * 4 > aligned.length - at || !Array.isArray(rows)) return undefined;
    const matrices = rows.map((row) => readMatrix(row, length * 4, header.precision, table));
    if (!matrices.every((matrix) => matrix !== undefined)) return undefined;
    layers.push({ words: new Uint32Array(aligned.buffer, aligned.byteOffset + at, length), matrices, norms: [] });
    at += length * 4;
  }
  const { digest, precision, rank, rank4 } = header;
  const widest = layers.flatMap(({ matrices }) => matrices).reduce((most, matrix) => Math.max(most, matrix.rank4), 0);
  if (at !== aligned.length || rank4 !== widest || !(rank > rank4 - 4 && rank <= rank4)) return undefined;
  return { digest, precision, rank, rank4, bytes: at - header.end, layers, outer: emptyLayer(), whole: [], unblendable: [] };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isHash(value: unknown): value is string {
  return typeof value === 'string' && /^[\da-f]{64}$/.test(value);
}

/** One for all: making it takes longer than reading a record. */
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** A JSON object, or undefined for anything else. */
function parseObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(UTF8.decode(bytes));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // torn or foreign: the caller reads the adapter anew
  }
}

function readHeader(bytes: Uint8Array<ArrayBuffer>): (Header & { readonly end: number }) | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 8 || view.getUint32(0, true) !== MAGIC) return undefined;
  const end = 8 + view.getUint32(4, true);
  if (end > bytes.length || end % 4 !== 0) return undefined;
  const header = parseObject(bytes.subarray(8, end));
  if (!header) return undefined;
  const { digest, precision, rank, rank4, layers } = header;
  if (!isHash(digest) || (precision !== 'exact' && precision !== 'half') || !isCount(rank) || !isCount(rank4)) return undefined;
  if (!Array.isArray(layers) || !layers.every(Array.isArray)) return undefined;
  return { digest, precision, rank, rank4, layers: layers as unknown as readonly LayerRow[], end };
}

/** One matrix pair, with both parts inside the layer's bytes. */
function readMatrix(row: unknown, layerBytes: number, precision: 'exact' | 'half', table: SiteTable): PackedMatrix | undefined {
  if (!Array.isArray(row)) return undefined;
  const [site, offsetA, offsetB, rank4, scale] = row as unknown[];
  if (!isCount(site) || !isCount(offsetA) || !isCount(offsetB) || !isCount(rank4)) return undefined;
  if (typeof scale !== 'number' || rank4 === 0 || rank4 % 4 !== 0) return undefined;
  const place = table.sites[site];
  if (!place) return undefined;
  const quads = rank4 / 4;
  const fits = (offset: number, width: number): boolean => (offset + quads * width) * QUAD_BYTES[precision] <= layerBytes;
  if (!fits(offsetA, place.inWidth) || !fits(offsetB, place.outWidth)) return undefined;
  return { site, offsetA, offsetB, rank4, scale };
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
  if (!isHash(hash) || !isCount(rank) || !isCount(size) || !isCount(stored) || !isCount(widest) || !isTime(usedAt)) return undefined;
  return { key, digest, sha256: hash, rank, bytes: size, stored, widest, usedAt };
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
