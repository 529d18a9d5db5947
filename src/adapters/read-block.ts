import { WebLoraError } from '../errors.ts';
import type { Slices } from '../slices.ts';
import { sha256 } from './digest.ts';
import type { DigestOther, DigestPair, DigestTensor } from './digest.ts';
import { siteAt } from './modules.ts';
import { findNotFinite } from './numbers.ts';
import type { StoredNumbers } from './numbers.ts';
import { packLayer } from './pack.ts';
import type { NormNumbers, SiteNumbers } from './pack.ts';
import type { AdapterTensor, PairPart, Range, Rows, VectorPart } from './parts.ts';
import type { PackedLayer, SiteTable } from './sites.ts';
import type { TensorReader } from './tensor-reader.ts';

/** What the parts of an adapter are read with. */
export interface Reading {
  readonly reader: TensorReader;
  /** A file's place in messages. */
  readonly locate: (file: string) => string;
  readonly table: SiteTable;
  readonly precision: 'exact' | 'half';
  readonly slices: Slices;
}

/** All that lies in one block. */
export interface BlockParts {
  readonly block: number;
  readonly pairs: readonly PairPart[];
  readonly biases: readonly VectorPart[];
  readonly norms: readonly VectorPart[];
}

const keyOf = ({ file, start }: Range): string => `${start} ${file}`;

/** Every range of the file that the parts are made of, once, in the order of their use. */
export function rangesOf({ pairs, biases, norms }: BlockParts): readonly Range[] {
  const rows = [
    ...pairs.flatMap(({ a, b, magnitude }) => [a, b, ...(magnitude ? [magnitude] : [])]),
    ...[...biases, ...norms].map((v) => v.rows),
  ];
  return [...new Map(rows.map(({ tensor }) => [keyOf(tensor), tensor])).values()];
}

/** Throws `tensor_not_finite`. */
export async function checkFinite(
  numbers: StoredNumbers,
  { name, file }: Range,
  { locate, slices }: Pick<Reading, 'locate' | 'slices'>,
  firstIndex = 0,
): Promise<void> {
  const bad = await findNotFinite(numbers, slices);
  if (!bad) return;
  throw new WebLoraError(
    'tensor_not_finite',
    `${locate(file)}: ${name} holds ${bad.value} at element ${firstIndex + bad.index}; its training broke down.`,
  );
}

/** Rows with their hash, which is made beside the thread. */
interface ReadRows {
  readonly numbers: StoredNumbers;
  readonly digest: () => Promise<DigestTensor>;
}

/** The tensors of one block, each fetched, decoded, checked and hashed once. */
function createBlockReader(reading: Reading, ranges: readonly Range[]) {
  const { reader, slices } = reading;
  const bytes = new Map<string, Uint8Array<ArrayBuffer>>();
  const decoded = new Map<AdapterTensor, StoredNumbers>();
  const hashed = new Map<AdapterTensor, Map<number, ReadRows>>();
  const decode = async (tensor: AdapterTensor): Promise<StoredNumbers> => {
    const found = decoded.get(tensor);
    if (found) return found;
    const stored = bytes.get(keyOf(tensor))!;
    const numbers = { bytes: tensor.decode ? await tensor.decode(stored, slices) : stored, dtype: tensor.dtype };
    decoded.set(tensor, numbers);
    await checkFinite(numbers, tensor, reading);
    return numbers;
  };
  return {
    fetch: async (): Promise<void> => {
      for (const range of ranges) {
        await slices.pause(); // it begins with a copy of the bytes
        bytes.set(keyOf(range), await reader.next(range));
      }
    },
    rows: async ({ tensor, first, count }: Rows): Promise<ReadRows> => {
      const numbers = await decode(tensor);
      const known = hashed.get(tensor) ?? new Map<number, ReadRows>();
      hashed.set(tensor, known);
      const found = known.get(first);
      if (found) return found;
      const { dtype, shape } = tensor;
      const rowBytes = numbers.bytes.length / shape[0]!;
      const own = numbers.bytes.subarray(first * rowBytes, (first + count) * rowBytes);
      await slices.pause();
      const hash = sha256(own);
      hash.catch(() => undefined); // asked for below, unless another error comes first
      const digest = async () => ({ dtype, shape: [count, ...shape.slice(1)], sha256: await hash });
      const read = { numbers: { bytes: own, dtype }, digest };
      known.set(first, read);
      return read;
    },
  };
}

export interface ReadBlock {
  readonly packed: PackedLayer;
  readonly pairs: readonly DigestPair[];
  readonly others: readonly DigestOther[];
}

export async function readBlock(reading: Reading, parts: BlockParts, ranges: readonly Range[]): Promise<ReadBlock> {
  const { table, precision, slices } = reading;
  const { block } = parts;
  const layer = block === table.layers ? -1 : block;
  const reader = createBlockReader(reading, ranges);
  await reader.fetch();
  const sites = new Map<number, SiteNumbers>();
  const digests: (() => Promise<DigestPair>)[] = [];
  const otherDigests: (() => Promise<DigestOther>)[] = [];
  const other = (kind: DigestOther['kind'], module: string, { digest }: ReadRows, offset = 0): void => {
    otherDigests.push(async () => ({ kind, layer, module, offset, tensor: await digest() }));
  };
  for (const { place, rank, scale, a, b, magnitude } of parts.pairs) {
    const { module } = siteAt(table, block, place);
    const [readA, readB] = [await reader.rows(a), await reader.rows(b)];
    const readMagnitude = magnitude && (await reader.rows(magnitude));
    digests.push(async () => ({ layer, module, scale, a: await readA.digest(), b: await readB.digest() }));
    if (readMagnitude) other('magnitude', module, readMagnitude);
    const pair = { rank, scale, a: readA.numbers, b: readB.numbers };
    sites.set(place, { site: place, pair, magnitude: readMagnitude?.numbers, bias: undefined });
  }
  for (const { place, rows } of parts.biases) {
    const read = await reader.rows(rows);
    other('bias', siteAt(table, block, place).module, read);
    sites.set(place, { ...(sites.get(place) ?? { site: place, pair: undefined, magnitude: undefined }), bias: read.numbers });
  }
  const norms: NormNumbers[] = [];
  for (const { place, rows, offset } of parts.norms) {
    const read = await reader.rows(rows);
    other('norm', (block === table.layers ? table.finalNorm : table.norms[place]!).module, read, offset);
    norms.push({ norm: place, weights: read.numbers, offset });
  }
  const numbers = { sites: [...sites.values()].sort((x, y) => x.site - y.site), norms: norms.sort((x, y) => x.norm - y.norm) };
  const packed = await packLayer(numbers, precision, slices);
  const [pairs, others] = [await Promise.all(digests.map((ask) => ask())), await Promise.all(otherDigests.map((ask) => ask()))];
  return { packed, pairs, others };
}
