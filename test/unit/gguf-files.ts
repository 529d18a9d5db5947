/** Bytes in the order they are written. */
export function bytesOf(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array<ArrayBuffer> {
  return joined(parts);
}

/** The same of more parts than a call can have. */
function joined(parts: readonly (Uint8Array | readonly number[])[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A number of so many bytes, little-endian, two's complement. */
export function integer(value: number | bigint, bytes: 1 | 2 | 4 | 8): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigInt64(0, BigInt(value), true);
  return new Uint8Array(view.buffer).slice(0, bytes);
}

export const u32 = (value: number): Uint8Array<ArrayBuffer> => integer(value, 4);
export const u64 = (value: number | bigint): Uint8Array<ArrayBuffer> => integer(value, 8);

/** Text as the format has it: its length, its bytes. */
export function textBytes(value: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(value);
  return bytesOf(u64(bytes.length), bytes);
}

/** Numbers of the format for types of values. */
export const VALUE = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  text: 8,
  list: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;

/** A value of the metadata behind the number of its type. */
export type Entry = readonly [key: string, type: number, bytes: Uint8Array];

export const text = (key: string, value: string): Entry => [key, VALUE.text, textBytes(value)];
export const count = (key: string, value: number): Entry => [key, VALUE.u32, u32(value)];

/** The bytes of a list of `length` items of one type. */
export function listBytes(type: number, length: number | bigint, ...items: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return bytesOf(u32(type), u64(length), ...items);
}

export const texts = (key: string, values: readonly string[]): Entry => [
  key,
  VALUE.list,
  listBytes(VALUE.text, values.length, joined(values.map(textBytes))),
];

/** Metadata as gguf-py writes it: texts, booleans, integers, and lists of texts, i32 and f32. */
export function entriesOf(metadata: ReadonlyMap<string, unknown>): Entry[] {
  return Array.from(metadata, ([key, value]): Entry => {
    if (typeof value === 'string') return text(key, value);
    if (typeof value === 'boolean') return [key, VALUE.bool, integer(value ? 1 : 0, 1)];
    if (typeof value === 'number' && Number.isInteger(value)) return count(key, value);
    if (Array.isArray(value)) return texts(key, value as string[]);
    if (!(value instanceof Int32Array || value instanceof Float32Array)) throw new Error(`${key}: ${String(value)} is not written`);
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return [key, VALUE.list, listBytes(value instanceof Int32Array ? VALUE.i32 : VALUE.f32, value.length, bytes)];
  });
}

/** A tensor: its bytes, and what the header says of it. Lengths of the shape come innermost first, as in the file. */
export interface GgufPart {
  readonly name: string;
  readonly lengths: readonly (number | bigint)[];
  /** ggml's number of its type. */
  readonly type: number;
  readonly bytes: Uint8Array;
  /** Default: where its bytes are put. */
  readonly offset?: number | bigint;
}

/** A tensor of F32 numbers 0, 1, 2, … */
export function floats(name: string, ...lengths: number[]): GgufPart {
  const values = Float32Array.from({ length: lengths.reduce((a, b) => a * b, 1) }, (_, i) => i);
  return { name, lengths, type: 0, bytes: new Uint8Array(values.buffer) };
}

export interface GgufParts {
  readonly version?: number;
  readonly entries?: readonly Entry[];
  readonly tensors?: readonly GgufPart[];
  readonly alignment?: number;
  /** What the header says, where it is not the truth. */
  readonly tensorCount?: number | bigint;
  readonly entryCount?: number | bigint;
}

const padding = (length: number, alignment: number): number[] =>
  Array.from({ length: (alignment - (length % alignment)) % alignment }, () => 0);

/** A GGUF file. */
export function ggufBytes({ version = 3, entries = [], tensors = [], alignment = 32, ...said }: GgufParts): Uint8Array<ArrayBuffer> {
  const head: Uint8Array[] = [new TextEncoder().encode('GGUF'), u32(version), u64(said.tensorCount ?? tensors.length)];
  head.push(u64(said.entryCount ?? entries.length));
  for (const [key, type, bytes] of entries) head.push(textBytes(key), u32(type), bytes);
  const data: (Uint8Array | number[])[] = [];
  let at = 0;
  for (const { name, lengths, type, bytes, offset = at } of tensors) {
    head.push(textBytes(name), u32(lengths.length), ...lengths.map(u64), u32(type), u64(offset));
    const pad = padding(bytes.length, alignment);
    data.push(bytes, pad);
    at += bytes.length + pad.length;
  }
  const header = joined(head);
  return joined([header, tensors.length > 0 ? padding(header.length, alignment) : [], ...data]);
}
