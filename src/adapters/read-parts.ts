import { floatBytes } from '../formats/half.ts';
import { areSame } from './base-matrices.ts';
import type { BaseMatrices } from './base-matrices.ts';
import { digestParts, sha256 } from './digest.ts';
import type { DigestOther, DigestPair } from './digest.ts';
import type { StoredNumbers } from './numbers.ts';
import { roundRank } from './pack.ts';
import type { AdapterParts, AdapterTensor, PairPart, Range, VectorPart, WholePart } from './parts.ts';
import { checkFinite, rangesOf, readBlock } from './read-block.ts';
import type { BlockParts, Reading } from './read-block.ts';
import { emptyLayer } from './sites.ts';
import type { PackedAdapter, PackedLayer, Unblendable, WholeMatrix } from './sites.ts';
import { createTensorReader } from './tensor-reader.ts';
import type { RangeFiles, ReadProgress } from './tensor-reader.ts';

/** What is needed to read the parts of an adapter. */
export interface PartsReading extends Omit<Reading, 'reader'> {
  readonly files: RangeFiles;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ReadProgress | undefined;
  readonly base: BaseMatrices | undefined;
}

/** Bytes of a whole matrix that are held as one piece, unless one row has more: an upload takes one at a time. */
const WHOLE_SLICE = 4 << 20;

/** Parts by block. */
function byBlock({ pairs, biases, norms }: AdapterParts, blocks: number): readonly BlockParts[] {
  const found = Array.from({ length: blocks }, (_, block) => ({
    block,
    pairs: [] as PairPart[],
    biases: [] as VectorPart[],
    norms: [] as VectorPart[],
  }));
  for (const pair of pairs) found[pair.block]!.pairs.push(pair);
  for (const bias of biases) found[bias.block]!.biases.push(bias);
  for (const norm of norms) found[norm.block]!.norms.push(norm);
  return found.filter((parts) => parts.pairs.length + parts.biases.length + parts.norms.length > 0);
}

const isBefore = (a: Range, b: Range): boolean => (a.file === b.file ? a.start < b.start : a.file < b.file);

/** Blocks as their tensors follow one another in the files, where layer 10 may well come before layer 2. */
function inFileOrder(blocks: readonly BlockParts[]): readonly { readonly parts: BlockParts; readonly ranges: readonly Range[] }[] {
  const ordered = blocks.map((parts) => {
    const ranges = rangesOf(parts);
    return { parts, ranges, first: ranges.reduce((first, range) => (isBefore(range, first) ? range : first)) };
  });
  return ordered.sort((a, b) => (isBefore(a.first, b.first) ? -1 : 1));
}

/** A whole matrix in slices of whole rows. */
function sliceWhole(tensor: AdapterTensor): readonly Range[] {
  const [rows] = tensor.shape as [number];
  const rowBytes = (tensor.end - tensor.start) / rows;
  const step = Math.max(1, Math.floor(WHOLE_SLICE / rowBytes)) * rowBytes;
  const slices: Range[] = [];
  for (let start = tensor.start; start < tensor.end; start += step) {
    slices.push({ name: tensor.name, file: tensor.file, start, end: Math.min(start + step, tensor.end) });
  }
  return slices;
}

interface ReadWhole {
  readonly matrix: WholeMatrix;
  readonly digests: readonly DigestOther[];
}

/**
 * Undefined where the matrix is the base's own: PEFT saves that beside a pair of the head or the embedding, and it would take room and a
 * dispatch of its own.
 */
async function readWhole(
  reading: Reading,
  { places, tensor }: WholePart,
  ranges: readonly Range[],
  base: BaseMatrices | undefined,
): Promise<ReadWhole | undefined> {
  const { reader, slices, table } = reading;
  const { dtype, shape } = tensor;
  const [rows, width] = shape as [number, number];
  const held: Uint8Array<ArrayBuffer>[] = [];
  const hashes: string[] = [];
  const rowBytes = (tensor.end - tensor.start) / rows;
  /** A place of both is only there with tied weights. */
  const isOfBase = async (numbers: StoredNumbers, { start, end }: Range): Promise<boolean> => {
    const same = await base?.rows(places[0]!, (start - tensor.start) / rowBytes, (end - start) / rowBytes);
    return same !== undefined && areSame(numbers, same, slices);
  };
  let isOwn = false;
  for (const range of ranges) {
    await slices.pause();
    const read = await reader.next(range);
    const bytes = read.length === read.buffer.byteLength ? read : read.slice(); // what was fetched with it is not held
    await slices.pause();
    const hash = sha256(bytes);
    hash.catch(() => undefined);
    await checkFinite({ bytes, dtype }, range, reading, (range.start - tensor.start) / floatBytes(dtype));
    held.push(bytes);
    hashes.push(await hash);
    isOwn ||= !(await isOfBase({ bytes, dtype }, range));
  }
  if (!isOwn) return undefined;
  const digests = places.map((place): DigestOther => {
    return { kind: 'whole', layer: -1, module: table.outer[place]!.module, offset: 0, tensor: { dtype, shape, sha256: hashes } };
  });
  return { matrix: { sites: places, rows, width, dtype, slices: held }, digests };
}

function unblendable({ pairs, biases, norms }: AdapterParts, whole: readonly WholeMatrix[]): readonly Unblendable[] {
  const reasons: Unblendable[] = [];
  if (pairs.some(({ magnitude }) => magnitude !== undefined)) reasons.push('DoRA');
  if (norms.length + whole.length > 0) reasons.push('saved modules');
  if (biases.length > 0) reasons.push('trained biases');
  return reasons;
}

/**
 * Reads all parts of an adapter and packs them for the GPU. Of the stored bytes one layer is in memory at a time, or 4 MiB where that is
 * more; whole matrices stay as they are, but for those that are the base's. The thread is given back as the slices say.
 *
 * Throws what reading throws, `tensor_not_finite`, and `adapter_setting` for numbers that no f32 scale holds.
 */
export async function readParts(parts: AdapterParts, { files, signal, onProgress, base, ...rest }: PartsReading): Promise<PackedAdapter> {
  const { table, precision } = rest;
  const order = inFileOrder(byBlock(parts, table.layers + 1));
  const wholes = parts.whole.map((part) => ({ part, ranges: sliceWhole(part.tensor) }));
  const ranges = [...order, ...wholes].flatMap((each) => each.ranges);
  const reading: Reading = { ...rest, reader: createTensorReader(files, ranges, signal, onProgress) };
  const blocks = Array.from({ length: table.layers + 1 }, emptyLayer);
  const pairs: DigestPair[] = [];
  const others: DigestOther[] = [];
  for (const { parts: of, ranges: own } of order) {
    const read = await readBlock(reading, of, own);
    blocks[of.block] = read.packed;
    pairs.push(...read.pairs);
    others.push(...read.others);
  }
  const whole: WholeMatrix[] = [];
  for (const { part, ranges: own } of wholes) {
    const read = await readWhole(reading, part, own, base);
    if (!read) continue;
    whole.push(read.matrix);
    others.push(...read.digests);
  }
  const rank = parts.pairs.reduce((largest, pair) => Math.max(largest, pair.rank), 0);
  return packed({ digest: await digestParts(pairs, others), precision, rank, blocks, whole, unblendable: unblendable(parts, whole) });
}

function packed(
  of: Omit<PackedAdapter, 'rank4' | 'bytes' | 'layers' | 'outer'> & { readonly blocks: readonly PackedLayer[] },
): PackedAdapter {
  const { blocks, whole, rank, ...rest } = of;
  const bytes = [...blocks.map(({ words }) => words), ...whole.flatMap(({ slices }) => slices)];
  return {
    ...rest,
    rank,
    rank4: roundRank(rank),
    bytes: bytes.reduce((sum, { byteLength }) => sum + byteLength, 0),
    layers: blocks.slice(0, -1),
    outer: blocks.at(-1)!,
    whole,
  };
}
