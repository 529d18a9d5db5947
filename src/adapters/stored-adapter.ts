import type { FloatDtype } from '../formats/half.ts';
import { floatBytes, isFloatDtype } from '../formats/half.ts';
import type { Slices } from '../slices.ts';
import { sha256 } from './digest.ts';
import { isCount, isHash, isUnblendable, parseObject } from './records.ts';
import { quadWidth } from './sites.ts';
import type { PackedAdapter, PackedLayer, PackedMatrix, PackedNorm, SiteTable, Unblendable, WholeMatrix } from './sites.ts';

/** Rises when packing or this encoding changes: what older code kept is then a miss. */
export const LAYOUT_VERSION = 2;

/** `WLRA` as a little-endian word. */
const MAGIC = 0x41524c57;

/** Bytes of one f32 or f16 quad, in which packed offsets count. */
const QUAD_BYTES = { exact: 16, half: 8 } as const;

/** SHA-256 (hex) of everything in a site table that packed bytes depend on. */
export async function hashSiteTable({ prefix, layers, sites, norms, finalNorm, outer, normOffset }: SiteTable): Promise<string> {
  const rows = [...sites, ...outer].map(({ module, inWidth, outWidth, outStart, bias }) => [module, inWidth, outWidth, outStart, bias]);
  const normRows = [...norms, finalNorm].map(({ module, width }) => [module, width]);
  return sha256(new TextEncoder().encode(JSON.stringify(['sites', prefix, layers, rows, normRows, normOffset])));
}

/** Of the vectors, null for one that is not there, nothing where both are not. */
type Vectors = readonly [magnitude?: number | null, bias?: number | null];
type MatrixRow = readonly [site: number, offsetA: number, offsetB: number, rank4: number, scale: number, ...vectors: Vectors];
type NormRow = readonly [norm: number, offset: number];
type BlockRow = readonly [words: number, matrices: readonly MatrixRow[], norms?: readonly NormRow[]];
type WholeRow = readonly [sites: readonly number[], rows: number, width: number, dtype: FloatDtype, slices: readonly number[]];

/** What stands before the words. */
interface Header {
  readonly digest: string;
  readonly precision: 'exact' | 'half';
  readonly rank: number;
  readonly rank4: number;
  /** The layers, and what is outside of them. */
  readonly blocks: readonly BlockRow[];
  /** Absent where there are none. */
  readonly unblendable?: readonly Unblendable[];
  readonly whole?: readonly WholeRow[];
}

/** Length of a header in bytes: ASCII, so as many as characters; padded to 4. */
function headerOf({ digest, precision, rank, rank4, layers, outer, whole, unblendable }: PackedAdapter): string {
  const blocks = [...layers, outer].map(({ words, matrices, norms }): BlockRow => {
    const rows = matrices.map(({ site, offsetA, offsetB, rank4: width, scale, offsetMagnitude, offsetBias }): MatrixRow => {
      const vectors: Vectors =
        offsetMagnitude === undefined && offsetBias === undefined ? [] : [offsetMagnitude ?? null, offsetBias ?? null];
      return [site, offsetA, offsetB, width, scale, ...vectors];
    });
    const normRows = norms.map(({ norm, offset }): NormRow => [norm, offset]);
    return normRows.length > 0 ? [words.length, rows, normRows] : [words.length, rows];
  });
  const wholes = whole.map(({ sites, rows, width, dtype, slices }): WholeRow => {
    return [sites, rows, width, dtype, slices.map(({ length }) => length)];
  });
  const header: Header = {
    ...{ digest, precision, rank, rank4, blocks },
    ...(unblendable.length > 0 && { unblendable }),
    ...(wholes.length > 0 && { whole: wholes }),
  };
  const json = JSON.stringify(header);
  return json.padEnd(Math.ceil(json.length / 4) * 4);
}

/** What stands behind the header, each piece padded to 4 bytes. */
function contentOf({ layers, outer, whole }: PackedAdapter): readonly Uint8Array<ArrayBuffer>[] {
  const words = [...layers, outer].map(({ words: { buffer, byteOffset, byteLength } }) => new Uint8Array(buffer, byteOffset, byteLength));
  return [...words, ...whole.flatMap(({ slices }) => slices)];
}

const aligned4 = (bytes: number): number => Math.ceil(bytes / 4) * 4;

/** Length of `encodeAdapter(packed)` in bytes. Nothing is copied. */
export function storedBytes(packed: PackedAdapter): number {
  return contentOf(packed).reduce((sum, { length }) => sum + aligned4(length), 8 + headerOf(packed).length);
}

/** So many bytes are copied or hashed in one go: a millisecond or two. */
const PIECE_BYTES = 4 << 20;

/**
 * A packed adapter as bytes: two little-endian words (magic, length of the header), the header as JSON padded to 4 bytes, then every
 * layer's words in order, what is outside the layers, and the slices of whole matrices. The same adapter gives the same bytes. The
 * thread is given back as the slices say.
 */
export async function encodeAdapter(packed: PackedAdapter, slices: Slices): Promise<Uint8Array<ArrayBuffer>> {
  await slices.pause();
  const text = new TextEncoder().encode(headerOf(packed));
  const bytes = new Uint8Array(storedBytes(packed));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, text.length, true);
  bytes.set(text, 8);
  let at = 8 + text.length;
  for (const content of contentOf(packed)) {
    for (let from = 0; from < content.length; from += PIECE_BYTES) {
      await slices.pause();
      bytes.set(content.subarray(from, from + PIECE_BYTES), at + from);
    }
    at += aligned4(content.length);
  }
  return bytes;
}

/** Gives out bytes one piece behind the other. */
interface Cutter {
  /** The next bytes; undefined where there are not so many. */
  take(length: number): Uint8Array<ArrayBuffer> | undefined;
  left(): number;
}

function createCutter(bytes: Uint8Array<ArrayBuffer>, start: number): Cutter {
  let at = start;
  return {
    take: (length) => {
      if (aligned4(length) > bytes.length - at) return undefined;
      at += aligned4(length);
      return bytes.subarray(at - aligned4(length), at - aligned4(length) + length);
    },
    left: () => bytes.length - at,
  };
}

/**
 * What `encodeAdapter` wrote; the words are views of `bytes`, nothing is copied. Undefined where these are not the bytes of an adapter
 * that fits the table: every count and offset is compared with the bytes that are there.
 */
export function decodeAdapter(bytes: Uint8Array<ArrayBuffer>, table: SiteTable): PackedAdapter | undefined {
  const whole = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const header = readHeader(whole);
  if (!header || header.blocks.length !== table.layers + 1) return undefined;
  const { digest, precision, rank, rank4, unblendable } = header;
  const cutter = createCutter(whole, header.end);
  const blocks: PackedLayer[] = [];
  for (const [block, row] of header.blocks.entries()) {
    const read = readBlock(row, cutter, precision, block === table.layers ? outside(table) : table);
    if (!read) return undefined;
    blocks.push(read);
  }
  const matrices: WholeMatrix[] = [];
  for (const row of header.whole) {
    const read = readWhole(row, cutter, table);
    if (!read) return undefined;
    matrices.push(read);
  }
  const widest = blocks.flatMap((block) => block.matrices).reduce((most, matrix) => Math.max(most, matrix.rank4), 0);
  if (cutter.left() !== 0 || rank4 !== widest || !(rank > rank4 - 4 && rank <= rank4)) return undefined;
  const outer = blocks.pop()!;
  const held = [
    ...[...blocks, outer].map(({ words }) => words.byteLength),
    ...matrices.flatMap(({ slices }) => slices.map((s) => s.length)),
  ];
  const size = held.reduce((sum, length) => sum + length, 0);
  return { digest, precision, rank, rank4, bytes: size, layers: blocks, outer, whole: matrices, unblendable };
}

/** Places of one block. */
type Places = Pick<SiteTable, 'sites' | 'norms'>;

function outside({ outer, finalNorm }: SiteTable): Places {
  return { sites: outer, norms: [finalNorm] };
}

function readHeader(bytes: Uint8Array<ArrayBuffer>): (Required<Header> & { readonly end: number }) | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 8 || view.getUint32(0, true) !== MAGIC) return undefined;
  const end = 8 + view.getUint32(4, true);
  if (end > bytes.length || end % 4 !== 0) return undefined;
  const header = parseObject(bytes.subarray(8, end));
  if (!header) return undefined;
  const { digest, precision, rank, rank4, unblendable = [], blocks, whole = [] } = header;
  if (!isHash(digest) || (precision !== 'exact' && precision !== 'half') || !isCount(rank) || !isCount(rank4)) return undefined;
  if (!isRows(blocks) || !isRows(whole) || !isUnblendable(unblendable)) return undefined;
  return { digest, precision, rank, rank4, unblendable, blocks: blocks as never, whole: whole as never, end };
}

function isRows(value: unknown): value is readonly (readonly unknown[])[] {
  return Array.isArray(value) && value.every(Array.isArray);
}

function readBlock(row: BlockRow, cutter: Cutter, precision: 'exact' | 'half', places: Places): PackedLayer | undefined {
  const [length, matrixRows, normRows = []] = row as readonly unknown[];
  if (!isCount(length) || !isRows(matrixRows) || !isRows(normRows)) return undefined;
  const bytes = cutter.take(length * 4);
  if (!bytes) return undefined;
  const matrices = matrixRows.map((each) => readMatrix(each, length * 4, precision, places));
  const norms = normRows.map((each) => readNorm(each, length, places));
  if (!matrices.every((matrix) => matrix !== undefined) || !norms.every((norm) => norm !== undefined)) return undefined;
  return { words: new Uint32Array(bytes.buffer, bytes.byteOffset, length), matrices, norms };
}

/** What one site has, with all parts inside the block's bytes. */
function readMatrix(row: readonly unknown[], blockBytes: number, precision: 'exact' | 'half', { sites }: Places): PackedMatrix | undefined {
  const [site, offsetA, offsetB, rank4, scale, magnitude = null, bias = null] = row;
  if (!isCount(site) || !isCount(offsetA) || !isCount(offsetB) || !isCount(rank4)) return undefined;
  const place = sites[site];
  if (!place || typeof scale !== 'number' || rank4 % 4 !== 0 || (rank4 === 0 && bias === null)) return undefined;
  const quads = rank4 / 4;
  const fits = (offset: number, width: number): boolean => (offset + quads * width) * QUAD_BYTES[precision] <= blockBytes;
  if (!fits(offsetA, place.inWidth) || !fits(offsetB, quadWidth(place.outWidth))) return undefined;
  const isVector = (offset: unknown): offset is number | null =>
    offset === null || (isCount(offset) && (offset + place.outWidth) * 4 <= blockBytes);
  if (!isVector(magnitude) || !isVector(bias)) return undefined;
  const vectors = { ...(magnitude !== null && { offsetMagnitude: magnitude }), ...(bias !== null && { offsetBias: bias }) };
  return { site, offsetA, offsetB, rank4, scale, ...vectors };
}

function readNorm([norm, offset]: readonly unknown[], blockWords: number, { norms }: Places): PackedNorm | undefined {
  if (!isCount(norm) || !isCount(offset)) return undefined;
  const place = norms[norm];
  return place && offset + place.width <= blockWords ? { norm, offset } : undefined;
}

function readWhole(row: WholeRow, cutter: Cutter, { outer }: SiteTable): WholeMatrix | undefined {
  const [sites, rows, width, dtype, lengths] = row as readonly unknown[];
  const [embedding] = outer;
  if (!Array.isArray(sites) || sites.length === 0 || !sites.every((site) => isCount(site) && site < outer.length)) return undefined;
  if (rows !== embedding.inWidth || width !== embedding.outWidth || typeof dtype !== 'string' || !isFloatDtype(dtype)) return undefined;
  if (!Array.isArray(lengths) || !lengths.every(isCount)) return undefined;
  const rowBytes = embedding.outWidth * floatBytes(dtype);
  const sum = lengths.reduce((all, length) => all + length, 0);
  if (sum !== rowBytes * embedding.inWidth || lengths.some((length) => length % rowBytes !== 0)) return undefined;
  const slices = lengths.map((length) => cutter.take(length));
  if (!slices.every((slice) => slice !== undefined)) return undefined;
  return { sites: sites as readonly number[], rows: embedding.inWidth, width: embedding.outWidth, dtype, slices };
}
