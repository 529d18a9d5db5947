import { WebLoraError } from '../errors.ts';
import { fileLocation, fileMissing } from './folder-contract.ts';
import type { Folder } from './folder-contract.ts';
import { GgufCursor, parseSlices } from './gguf-cursor.ts';
import { parseGgufHeader } from './gguf-header.ts';
import type { GgufHeader } from './gguf-header.ts';
import type { GgufTensor } from './gguf-tensors.ts';
import type { GgufValue } from './gguf-values.ts';
import { show } from './json.ts';

export type { GgufTensor } from './gguf-tensors.ts';
export type { GgufBlockType, GgufType } from './gguf-types.ts';
export type { GgufList, GgufValue } from './gguf-values.ts';

/** A GGUF file, or all parts of one that was split. */
export interface GgufFile {
  /** Of the file, or of the first part, for messages. */
  readonly location: string;
  readonly version: number;
  /** The first part's. */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** By name; in a file, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /**
   * The tensor's bytes, or those from `startByte` to `endByte` (exclusive) of them. Throws what the folder throws, and `RangeError` for
   * bytes outside the tensor.
   */
  read(tensor: GgufTensor, startByte?: number, endByte?: number, into?: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
}

const PART_NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

function padded(part: number): string {
  return String(part).padStart(5, '0');
}

function badSplit(location: string, what: string): WebLoraError {
  return new WebLoraError(
    'gguf_split',
    `${location}: ${what}. All parts of one model must lie in one folder under the names they came with.`,
  );
}

async function readHeader(folder: Folder, file: string, why = ''): Promise<GgufHeader> {
  const location = fileLocation(folder, file);
  const size = await folder.size(file);
  if (size === undefined) {
    if (why === '') throw fileMissing(location);
    throw new WebLoraError('file_missing', `There is no file ${location}, ${why}.`);
  }
  const cursor = new GgufCursor(location, size);
  return parseSlices(cursor, parseGgufHeader(cursor, file), (start, end) => folder.read(file, start, end));
}

/** A count of the split's own keys. Throws `gguf_split`. */
function splitNumber({ metadata }: GgufHeader, key: string, location: string): number {
  const value = metadata.get(key);
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
  throw badSplit(location, `${key} is ${value === undefined ? 'missing' : show(value)}; it must be a number of parts or tensors`);
}

/** The headers of all parts, in order, of which one is read already. */
async function readParts(folder: Folder, file: string, header: GgufHeader, count: number): Promise<readonly GgufHeader[]> {
  const location = fileLocation(folder, file);
  const match = PART_NAME.exec(file);
  if (!match || Number(match[3]) !== count) {
    throw badSplit(location, `it is one of ${count} parts (split.count), which its name does not say: NAME-00001-of-${padded(count)}.gguf`);
  }
  const parts: GgufHeader[] = [];
  const names = Array.from({ length: count }, (_, part) => `${match[1]}-${padded(part + 1)}-of-${match[3]}.gguf`);
  await folder.fetch?.(names);
  for (const [part, name] of names.entries()) {
    const found = name === file ? header : await readHeader(folder, name, `part ${part + 1} of the ${count} that ${file} belongs to`);
    checkPart(found, part, count, fileLocation(folder, name));
    parts.push(found);
  }
  return parts;
}

function checkPart(header: GgufHeader, part: number, count: number, location: string): void {
  const no = splitNumber(header, 'split.no', location);
  if (no !== part) throw badSplit(location, `it says that it is part ${no + 1} (split.no ${no}); its name says part ${part + 1}`);
  const said = splitNumber(header, 'split.count', location);
  if (said !== count) throw badSplit(location, `it says that it is one of ${said} parts (split.count); the others are ${count}`);
}

function joinTensors(parts: readonly GgufHeader[], location: string): ReadonlyMap<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  for (const tensor of parts.flatMap((part) => part.tensors)) {
    const other = tensors.get(tensor.name);
    if (other) throw badSplit(location, `tensor ${show(tensor.name)} is in two parts, ${other.file} and ${tensor.file}`);
    tensors.set(tensor.name, tensor);
  }
  const [first] = parts;
  if (parts.length > 1 && first?.metadata.has('split.tensors.count') === true) {
    const promised = splitNumber(first, 'split.tensors.count', location);
    if (promised !== tensors.size) {
      throw badSplit(location, `its parts hold ${tensors.size} tensors, but split.tensors.count is ${promised}`);
    }
  }
  return tensors;
}

/**
 * Opens a GGUF file of version 2 or 3. Of one that was split, `file` is any part; the others are found by its name. Reads and checks
 * every header; no tensor yet.
 *
 * Throws `file_missing` (the file or a part), `file_truncated`, `file_unreadable`, `gguf_header`, `gguf_offsets`, `gguf_split` for parts
 * that do not belong together, `tensor_dtype` for a type that is not served, `tensor_shape` for rows that are no whole blocks.
 */
export async function openGguf(folder: Folder, file: string): Promise<GgufFile> {
  const header = await readHeader(folder, file);
  const location = fileLocation(folder, file);
  const count = header.metadata.has('split.count') ? splitNumber(header, 'split.count', location) : 1;
  const parts = count > 1 ? await readParts(folder, file, header, count) : [header];
  const tensors = joinTensors(parts, location);
  const { version, metadata } = parts[0]!;
  return {
    location,
    version,
    metadata,
    tensors,
    async read(tensor, startByte = 0, endByte = tensor.byteLength, into) {
      if (startByte < 0 || endByte < startByte || endByte > tensor.byteLength) {
        throw new RangeError(`Bytes ${startByte} to ${endByte} are not inside ${tensor.name} (${tensor.byteLength} bytes)`);
      }
      return folder.read(tensor.file, tensor.start + startByte, tensor.start + endByte, into);
    },
  };
}
