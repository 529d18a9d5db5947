import { WebLoraError } from '../errors.ts';
import { malformedGguf } from './gguf-cursor.ts';
import { GGUF_BLOCKS, ggufTypeOf } from './gguf-types.ts';
import type { GgufType } from './gguf-types.ts';
import { show } from './json.ts';

/** One tensor of a file. */
export interface GgufTensor {
  readonly name: string;
  readonly file: string;
  readonly type: GgufType;
  /** Outermost first, as everywhere but in the file itself: the last is the length of a row. */
  readonly shape: readonly number[];
  /** Its first byte, from the beginning of the file. */
  readonly start: number;
  readonly byteLength: number;
}

/** A tensor as the header describes it; `type` is ggml's number, `offset` counts from the end of the header. */
export interface TensorEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  readonly offset: number;
}

interface FileOfTensors {
  readonly file: string;
  readonly location: string;
  readonly size: number;
}

function badOffsets(location: string, what: string): WebLoraError {
  return new WebLoraError('gguf_offsets', `${location}: ${what}. The file is damaged; download or write it again.`);
}

function typeOf({ name, type }: TensorEntry, location: string): GgufType {
  const found = ggufTypeOf(type);
  if ('type' in found) return found.type;
  const served = Object.keys(GGUF_BLOCKS).join(', ');
  throw new WebLoraError(
    'tensor_dtype',
    `${location}: tensor ${show(name)} is ${found.unserved}, which is not served; served are ${served}. Choose another quantisation of the model.`,
  );
}

function bytesOf({ name, shape }: TensorEntry, type: GgufType, location: string): number {
  const block = GGUF_BLOCKS[type];
  const width = shape[shape.length - 1] ?? 1;
  if (width % block.weights !== 0) {
    throw new WebLoraError(
      'tensor_shape',
      `${location}: tensor ${show(name)} is ${type} with rows of ${width} weights; ${type} needs a multiple of ${block.weights}.`,
    );
  }
  const weights = shape.reduce((product, length) => product * length, 1);
  const bytes = (weights / block.weights) * block.bytes;
  if (!Number.isSafeInteger(weights) || !Number.isSafeInteger(bytes)) {
    throw badOffsets(location, `tensor ${show(name)} is ${type} ${show(shape)}: more than can be counted`);
  }
  return bytes;
}

function placeTensor(entry: TensorEntry, file: FileOfTensors, dataStart: number, alignment: number): GgufTensor {
  const { location, size } = file;
  const { name, shape, offset } = entry;
  const type = typeOf(entry, location);
  const byteLength = bytesOf(entry, type, location);
  if (offset % alignment !== 0) {
    throw badOffsets(location, `tensor ${show(name)} begins ${offset} bytes behind the header, which is no multiple of ${alignment}`);
  }
  const start = dataStart + offset;
  if (start + byteLength > size) {
    throw new WebLoraError(
      'file_truncated',
      `${location} has ${size} bytes, but tensor ${show(name)} ends at byte ${start + byteLength}: download or copy the file again.`,
    );
  }
  return { name, file: file.file, type, shape, start, byteLength };
}

/**
 * The tensors of a file whose header ends at `headerEnd`, in the order of their bytes.
 *
 * Throws `tensor_dtype` for a type that is not served, `tensor_shape` for rows that are no whole blocks, `file_truncated` for bytes that
 * the file has not, `gguf_offsets` where tensors overlap or lie askew, `gguf_header` for a name that two have.
 */
export function placeGgufTensors(
  entries: readonly TensorEntry[],
  file: FileOfTensors,
  headerEnd: number,
  alignment: number,
): readonly GgufTensor[] {
  const dataStart = Math.ceil(headerEnd / alignment) * alignment;
  const names = new Set<string>();
  const tensors: GgufTensor[] = [];
  for (const entry of entries) {
    if (names.has(entry.name)) throw malformedGguf(file.location, `it has the tensor ${show(entry.name)} twice`);
    names.add(entry.name);
    tensors.push(placeTensor(entry, file, dataStart, alignment));
  }
  tensors.sort((a, b) => a.start - b.start || a.byteLength - b.byteLength);
  let before: GgufTensor | undefined;
  for (const tensor of tensors) {
    if (tensor.byteLength === 0) continue;
    if (before && tensor.start < before.start + before.byteLength) {
      throw badOffsets(file.location, `tensors ${show(before.name)} and ${show(tensor.name)} overlap at byte ${tensor.start}`);
    }
    before = tensor;
  }
  return tensors;
}
