import { WebLoraError } from '../errors.ts';
import { firstDuplicateKey, jsonObject, show } from './json.ts';
import type { JsonObject } from './json.ts';

/** Bits of one value, for every type of the format; those below 8 are packed. */
const DTYPE_BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** Number types that a safetensors file can hold. */
export type TensorDtype = keyof typeof DTYPE_BITS;

/** One tensor of a file. `start` and `end` are bytes from the beginning of the file. */
export interface TensorInfo {
  readonly name: string;
  readonly file: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
}

/** The longest header that the format's own reader accepts. */
export const LONGEST_HEADER = 100_000_000;

function isDtype(value: unknown): value is TensorDtype {
  return typeof value === 'string' && Object.hasOwn(DTYPE_BITS, value);
}

function malformed(location: string, what: string): WebLoraError {
  return new WebLoraError('safetensors_header', `${location}: ${what}.`);
}

function badOffsets(location: string, what: string): WebLoraError {
  return new WebLoraError('safetensors_offsets', `${location}: ${what}. The file is damaged; download or write it again.`);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** The header as a map. Throws `safetensors_header`. */
function parseHeader(bytes: Uint8Array<ArrayBuffer>, location: string): JsonObject {
  if (bytes[0] !== 0x7b) throw malformed(location, 'its header does not begin with {, so this is no safetensors file');
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new WebLoraError('safetensors_header', `${location}: its header is not valid JSON: ${why}`, { cause });
  }
  const duplicate = firstDuplicateKey(text);
  if (duplicate !== undefined) throw malformed(location, `its header has the key ${show(duplicate)} twice`);
  return jsonObject(json, location);
}

function checkMetadata(value: unknown, location: string): void {
  if (value === undefined) return;
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isMap || Object.values(value).some((entry) => typeof entry !== 'string')) {
    throw malformed(location, '__metadata__ must map text to text');
  }
}

/** Bytes of a tensor; undefined if they are no whole number of bytes or too many to count. */
function tensorBytes(dtype: TensorDtype, shape: readonly number[]): number | undefined {
  const bits = shape.reduce((product, width) => product * width, 1) * DTYPE_BITS[dtype];
  return bits <= Number.MAX_SAFE_INTEGER && bits % 8 === 0 ? bits / 8 : undefined;
}

/** One entry, offsets still from the end of the header. */
function parseEntry(name: string, value: unknown, file: string, location: string): TensorInfo {
  const quoted = show(name);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(location, `tensor ${quoted} is no object`);
  const entry = new Map<string, unknown>(Object.entries(value));
  const dtype = entry.get('dtype');
  if (!isDtype(dtype)) {
    const known = Object.keys(DTYPE_BITS).join(', ');
    throw new WebLoraError('tensor_dtype', `${location}: tensor ${quoted} has the unknown dtype ${show(dtype)}; known are ${known}.`);
  }
  const shape: unknown = entry.get('shape');
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw malformed(location, `tensor ${quoted} has the shape ${show(shape)}, which is no list of non-negative integers`);
  }
  const offsets: unknown = entry.get('data_offsets');
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw malformed(location, `tensor ${quoted} has the data_offsets ${show(offsets)}, which are no two non-negative integers`);
  }
  const [start, end] = offsets as [number, number];
  const bytes = tensorBytes(dtype, shape);
  if (end - start !== bytes) {
    throw badOffsets(
      location,
      `tensor ${quoted} is ${dtype} ${show(shape)}, but data_offsets ${show(offsets)} give it ${end - start} bytes`,
    );
  }
  return { name, file, dtype, shape, start, end };
}

/** Throws unless the tensors lie next to each other, from 0 to the last byte. `tensors` is sorted by offsets. */
function checkCover(tensors: readonly TensorInfo[], dataBytes: number, location: string): void {
  let covered = 0;
  for (const { name, start, end } of tensors) {
    if (start !== covered) {
      const kind = start < covered ? 'overlaps the one before it' : 'leaves a hole before it';
      throw badOffsets(location, `tensor ${show(name)} ${kind}: it begins at byte ${start}, the one before ends at ${covered}`);
    }
    covered = end;
  }
  if (covered > dataBytes) {
    const last = show(tensors[tensors.length - 1]!.name);
    throw new WebLoraError(
      'file_truncated',
      `${location} holds ${dataBytes} bytes of tensors, but tensor ${last} ends at byte ${covered}: download or copy the file again.`,
    );
  }
  if (covered < dataBytes) throw badOffsets(location, `${dataBytes - covered} bytes at its end belong to no tensor`);
}

/**
 * Checks the header of one safetensors file as the format's own reader does, and returns its tensors in the order of their bytes.
 * `header` is the JSON part; `fileSize` the bytes of the whole file.
 *
 * Throws `safetensors_header`, `tensor_dtype`, `safetensors_offsets`, or `file_truncated`, each with the file's and the tensor's name.
 */
export function parseSafetensorsHeader(
  header: Uint8Array<ArrayBuffer>,
  fileSize: number,
  file: string,
  location: string,
): readonly TensorInfo[] {
  const entries = parseHeader(header, location);
  checkMetadata(entries.get('__metadata__'), location);
  const tensors: TensorInfo[] = [];
  for (const [name, value] of entries) {
    if (name !== '__metadata__') tensors.push(parseEntry(name, value, file, location));
  }
  tensors.sort((a, b) => a.start - b.start || a.end - b.end);
  const dataStart = 8 + header.length;
  checkCover(tensors, fileSize - dataStart, location);
  return tensors.map((tensor) => ({ ...tensor, start: tensor.start + dataStart, end: tensor.end + dataStart }));
}
