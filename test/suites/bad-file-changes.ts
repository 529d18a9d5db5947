import type { ErrorCode } from '../../src/errors.ts';
import { safetensors, withHeader, type TestTensor } from '../unit/files.ts';
import type { Files } from './fixtures.ts';

/** One way in which a folder is bad. */
export interface Bad {
  readonly name: string;
  readonly code: ErrorCode;
  /** What the message must show: the file, and the value that is wrong. */
  readonly says: readonly (string | RegExp)[];
  /** Spoils a good folder. */
  readonly spoil: (files: Files, weights: string) => void;
}

type Header = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;

interface Parts {
  readonly header: Header;
  readonly data: Uint8Array<ArrayBuffer>;
}

function split(file: Uint8Array<ArrayBuffer>): Parts {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const { __metadata__: _, ...header } = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Header;
  return { header, data: file.slice(8 + length) };
}

/** Tensors of a file, to be changed and written again. */
function tensorsOf(file: Uint8Array<ArrayBuffer>): TestTensor[] {
  const { header, data } = split(file);
  return Object.entries(header).map(
    ([
      name,
      {
        dtype,
        shape,
        data_offsets: [start, end],
      },
    ]) => ({ name, dtype, shape, bytes: data.slice(start, end) }),
  );
}

/** Changes the header of a file and leaves its bytes. */
export const header =
  (change: (header: Header, names: string[]) => void): Bad['spoil'] =>
  (files, weights) => {
    const { header: entries, data } = split(files[weights]!);
    change(
      entries,
      Object.keys(entries).sort((a, b) => entries[a]!.data_offsets[0] - entries[b]!.data_offsets[0]),
    );
    files[weights] = withHeader(JSON.stringify(entries), data);
  };

/** Writes a file anew from changed tensors. */
export const tensors =
  (change: (tensors: TestTensor[]) => TestTensor[]): Bad['spoil'] =>
  (files, weights) => {
    files[weights] = safetensors(change(tensorsOf(files[weights]!)));
  };

/** Puts a value in place of a field of a JSON file; the value is text, because NaN is no JSON. */
export const field =
  (file: string, key: string, value: string): Bad['spoil'] =>
  (files) => {
    const object = { ...(JSON.parse(new TextDecoder().decode(files[file])) as object), [key]: '@' };
    files[file] = new TextEncoder().encode(JSON.stringify(object).replace('"@"', value));
  };

/** Puts a number into the last place of the first tensor whose name has `part`. */
const number = (part: string, bytes: (dtype: string) => readonly number[]): Bad['spoil'] =>
  tensors((all) =>
    all.map((tensor) => {
      if (tensor !== all.find(({ name }) => name.includes(part))) return tensor;
      const spoilt = tensor.bytes.slice();
      const value = bytes(tensor.dtype!);
      spoilt.set(value, spoilt.length - value.length);
      return { ...tensor, bytes: spoilt };
    }),
  );

const NAN = (dtype: string): number[] => (dtype === 'F32' ? [0, 0, 0xc0, 0x7f] : [0, 0x7e]);
const INFINITY = (dtype: string): number[] => (dtype === 'F32' ? [0, 0, 0x80, 0xff] : [0, 0xfc]);

/** What is wrong with the bytes or the header of a safetensors file, whoever reads it. */
export const formatCases = (weights: string, half: string): readonly Bad[] => [
  {
    name: 'cut short',
    code: 'file_truncated',
    says: [weights, /\d+ bytes/],
    spoil: (files) => void (files[weights] = files[weights]!.slice(0, -100)),
  },
  {
    name: 'cut inside the length',
    code: 'file_truncated',
    says: [weights, '5 bytes'],
    spoil: (files) => void (files[weights] = files[weights]!.slice(0, 5)),
  },
  {
    name: 'a header longer than the file',
    code: 'file_truncated',
    says: [weights, '90000008'],
    spoil: (files) => new DataView(files[weights]!.buffer).setBigUint64(0, 90_000_000n, true),
  },
  {
    name: 'a header longer than the format allows',
    code: 'safetensors_header',
    says: [weights, '1099511627776', '100000000'],
    spoil: (files) => new DataView(files[weights]!.buffer).setBigUint64(0, 2n ** 40n, true),
  },
  {
    name: 'a header that is no JSON',
    code: 'safetensors_header',
    says: [weights, 'JSON'],
    spoil: (files) => void (files[weights] = withHeader('{"a": nonsense}')),
  },
  {
    name: 'overlapping offsets',
    code: 'safetensors_offsets',
    says: [weights, 'overlaps', /byte \d+/],
    spoil: header((entries, names) => {
      const [, second] = names;
      const [start, end] = entries[second!]!.data_offsets;
      entries[second!]!.data_offsets = [start - 16, end - 16];
    }),
  },
  {
    name: 'offsets out of range',
    code: 'safetensors_offsets',
    says: [weights, /99999\d+/],
    spoil: header((entries, names) => {
      const last = entries[names.at(-1)!]!;
      const [start, end] = last.data_offsets;
      last.data_offsets = [99_999_000_000, 99_999_000_000 + end - start];
    }),
  },
  {
    name: 'offsets that contradict the shape',
    code: 'safetensors_offsets',
    says: [weights, '123456789'],
    spoil: header((entries, names) => void (entries[names[0]!]!.shape[0] = 123_456_789)),
  },
  {
    name: 'an unknown dtype',
    code: 'tensor_dtype',
    says: [weights, 'F33'],
    spoil: header((entries, names) => void (entries[names[0]!]!.dtype = 'F33')),
  },
  {
    name: 'a dtype that weights cannot have',
    code: 'tensor_dtype',
    says: [weights, half],
    spoil: header((entries) => Object.values(entries).forEach((entry) => (entry.dtype = half))),
  },
];

/** `part` of a tensor's name, for the last that is read: everything before it is there by then. */
export const valueCases = (weights: string, part: string): readonly Bad[] => [
  { name: 'NaN in a tensor', code: 'tensor_not_finite', says: [weights, part, /NaN/], spoil: number(part, NAN) },
  { name: 'infinity in a tensor', code: 'tensor_not_finite', says: [weights, part, /[Ii]nfinity/], spoil: number(part, INFINITY) },
];

/** Writes a file anew with other names of tensors. */
export const rename = (from: string, to: string): Bad['spoil'] =>
  tensors((all) => all.map((tensor) => ({ ...tensor, name: tensor.name.replace(from, to) })));
