import { loadPart, WebLoraError } from '../errors.ts';
import { firstNotFinite, floatBytes, toF16, toF32, type FloatDtype } from '../formats/half.ts';
import type { GgufBlockType } from '../formats/gguf-types.ts';
import type { SliceMemory } from '../formats/slice-memory.ts';
import type { FloatType, QuantizedType, WeightType } from '../kernels/libraries.ts';
import { isBlockDtype, typeOf, type WeightDtype } from './plane-types.ts';
import { padded } from './shape.ts';
import type { ModelTensor, ModelTensors } from './tensors.ts';

/** Bytes read at a time: no tensor is ever whole in JS memory because it is large, and what is read stays in the processor's cache. */
const SLICE_BYTES = 4 << 20;

/** A tensor whose numbers can be served. */
export type WeightTensor = ModelTensor & { readonly dtype: WeightDtype };
export type FloatTensor = ModelTensor & { readonly dtype: FloatDtype };
type BlockTensor = ModelTensor & { readonly dtype: GgufBlockType };

/** Some rows as their plane's type holds them: the bytes of each of its sections. */
export interface HeldRows {
  readonly rows: number;
  readonly sections: readonly Uint8Array<ArrayBuffer>[];
}

export type WriteRows = (row: number, held: HeldRows) => void;

export interface RowReading {
  readonly files: ModelTensors;
  readonly onProgress: (loaded: number, file: string) => void;
  readonly signal: AbortSignal | undefined;
}

export interface SliceReading extends RowReading {
  readonly memory: SliceMemory;
}

/** Code that only GGUF files need. */
const ggufPart = (): Promise<typeof import('./gguf-rows.ts')> => loadPart(() => import('./gguf-rows.ts'));

const isOfBlocks = (tensor: WeightTensor): tensor is BlockTensor => isBlockDtype(tensor.dtype);

/** Reads a matrix in slices of whole rows, puts them into transformers' order, converts them to `type`, and hands them on. */
export async function streamRows(
  reading: SliceReading,
  tensor: WeightTensor,
  type: WeightType,
  width: number,
  write: WriteRows,
): Promise<void> {
  const rows = tensor.shape[0]!;
  const { dtype, interleaved = 1 } = tensor;
  const stored = isBlockDtype(dtype) ? (await ggufPart()).blockRowBytes(dtype, width) : width * floatBytes(dtype);
  const step = Math.max(1, Math.floor(SLICE_BYTES / (stored * interleaved))) * interleaved;
  for (let row = 0; row < rows; row += step) {
    reading.signal?.throwIfAborted();
    const slice = { row, rows: Math.min(step, rows - row), width, stored };
    if (isOfBlocks(tensor)) await writeBlocks(reading, tensor, slice, write);
    else await writeFloats(reading, tensor as FloatTensor, type, slice, write);
    reading.onProgress(slice.rows * stored, tensor.file);
  }
}

/** Rows of a tensor from `row` on; `stored`: bytes of each in the file. */
interface Slice {
  readonly row: number;
  readonly rows: number;
  readonly width: number;
  readonly stored: number;
}

/** Reads them to the beginning of the memory, which gets `room` bytes. */
async function readSlice({ files, memory }: SliceReading, tensor: ModelTensor, { row, rows, stored }: Slice, room: number) {
  const into = memory.bytes(room).subarray(0, rows * stored);
  const found = await files.read(tensor, row * stored, (row + rows) * stored, into);
  if (found.buffer !== into.buffer) into.set(found);
  return into;
}

async function writeBlocks(reading: SliceReading, tensor: BlockTensor, slice: Slice, write: WriteRows): Promise<void> {
  const { repackSlice, roomOf } = await ggufPart();
  const { row, rows, width } = slice;
  const blocks = { type: tensor.dtype, rows, width, headRows: tensor.interleaved ?? 1 };
  await readSlice(reading, tensor, slice, roomOf(blocks));
  const { sections, bad } = repackSlice(reading.memory, blocks);
  if (bad !== undefined) throw notFinite(tensor, 'a scale that is NaN or infinity', row * width + bad);
  write(row, { rows, sections });
}

async function writeFloats(reading: SliceReading, tensor: FloatTensor, type: WeightType, slice: Slice, write: WriteRows): Promise<void> {
  const { row, rows, width, stored } = slice;
  const { dtype, interleaved } = tensor;
  const found = await readSlice(reading, tensor, slice, rows * stored);
  requireFinite(tensor, reading.memory.firstNotFinite(dtype, 0, rows * width), row * width);
  const bytes = interleaved === undefined ? found : (await ggufPart()).inOrder(found, stored, interleaved);
  if (type === 'f32' || type === 'f16' || type === 'bf16') {
    write(row, { rows, sections: [pad(convert(tensor, bytes, type), rows, width, type === 'f32' ? 4 : 2)] });
  } else await writeQuantized(tensor, type as QuantizedType, { row, width, bytes }, write);
}

async function writeQuantized(
  tensor: FloatTensor,
  type: QuantizedType,
  { row, width, bytes }: { readonly row: number; readonly width: number; readonly bytes: Uint8Array<ArrayBuffer> },
  write: WriteRows,
): Promise<void> {
  const { LARGEST_QUANTIZED, quantizeSlices } = await loadPart(() => import('./quantize.ts'));
  const numbers = toF32(bytes, tensor.dtype);
  requireAtMost(numbers, LARGEST_QUANTIZED, type, tensor);
  await quantizeSlices(type, numbers, width, (first, { rows, values, scales }) => write(row + first, { rows, sections: [values, scales] }));
}

/** A vector as f32, in transformers' order. */
export async function readVector(reading: RowReading, tensor: FloatTensor): Promise<Uint8Array<ArrayBuffer>> {
  reading.signal?.throwIfAborted();
  const { dtype, interleaved } = tensor;
  const found = await reading.files.read(tensor);
  const bytes = interleaved === undefined ? found : (await ggufPart()).inOrder(found, floatBytes(dtype), interleaved);
  reading.onProgress(bytes.byteLength, tensor.file);
  requireFinite(tensor, firstNotFinite(bytes, dtype), 0);
  return convert(tensor, bytes, 'f32');
}

function requireFinite(tensor: FloatTensor, bad: number | undefined, firstIndex: number): void {
  if (bad !== undefined) throw notFinite(tensor, 'NaN or infinity', firstIndex + bad);
}

/** Finite numbers as a type that can hold them. */
function convert(tensor: FloatTensor, bytes: Uint8Array<ArrayBuffer>, type: FloatType): Uint8Array<ArrayBuffer> {
  if (typeOf(tensor.dtype) === type) return bytes;
  const values = toF32(bytes, tensor.dtype);
  if (type === 'f32') return new Uint8Array(values.buffer);
  requireAtMost(values, 65_504, type, tensor);
  return new Uint8Array(toF16(values).buffer);
}

function notFinite({ file, name }: ModelTensor, what: string, index: number): WebLoraError {
  return new WebLoraError('tensor_not_finite', `${file}: ${name} holds ${what} at element ${index}`);
}

function requireAtMost(values: Float32Array, most: number, type: WeightType, { file, name }: FloatTensor): void {
  const large = values.find((value) => Math.abs(value) > most);
  if (large === undefined) return;
  const hint = type === 'f16' ? "load the model with precision: 'exact'" : 'load the model without quantize';
  throw new WebLoraError('model_unsupported', `${file}: ${name} holds ${large}, which ${type} cannot; ${hint}`);
}

function pad(bytes: Uint8Array<ArrayBuffer>, rows: number, width: number, size: number): Uint8Array<ArrayBuffer> {
  if (padded(width) === width) return bytes;
  const out = new Uint8Array(rows * padded(width) * size);
  for (let row = 0; row < rows; row++) {
    out.set(bytes.subarray(row * width * size, (row + 1) * width * size), row * padded(width) * size);
  }
  return out;
}
