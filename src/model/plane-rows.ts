import { loadPart, WebLoraError } from '../errors.ts';
import { firstNotFinite, floatBytes, toF16, toF32, type FloatDtype } from '../formats/half.ts';
import type { GgufBlockType } from '../formats/gguf-types.ts';
import type { FloatType, QuantizedType, WeightType } from '../kernels/libraries.ts';
import { isBlockDtype, typeOf, type WeightDtype } from './plane-types.ts';
import { padded } from './shape.ts';
import type { ModelTensor, ModelTensors } from './tensors.ts';

/** Bytes read at a time: no tensor is ever whole in JS memory because it is large. */
const SLICE_BYTES = 16 << 20;

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

/** Code that only GGUF files need. */
const ggufPart = (): Promise<typeof import('./gguf-rows.ts')> => loadPart(() => import('./gguf-rows.ts'));

const isOfBlocks = (tensor: WeightTensor): tensor is BlockTensor => isBlockDtype(tensor.dtype);

/** Reads a matrix in slices of whole rows, puts them into transformers' order, converts them to `type`, and hands them on. */
export async function streamRows(
  reading: RowReading,
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
    const count = Math.min(step, rows - row);
    const found = await reading.files.read(tensor, row * stored, (row + count) * stored);
    const bytes = interleaved === 1 ? found : (await ggufPart()).inOrder(found, stored, interleaved);
    const slice = { row, rows: count, width, bytes };
    if (isOfBlocks(tensor)) await writeBlocks(tensor, slice, write);
    else if (type === 'f32' || type === 'f16' || type === 'bf16') writeFloats(tensor as FloatTensor, type, slice, write);
    else await writeQuantized(tensor as FloatTensor, type as QuantizedType, slice, write);
    reading.onProgress(bytes.byteLength, tensor.file);
  }
}

/** Rows of a tensor from `row` on, as the file has them. */
interface Slice {
  readonly row: number;
  readonly rows: number;
  readonly width: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

async function writeBlocks(tensor: BlockTensor, { row, rows, width, bytes }: Slice, write: WriteRows): Promise<void> {
  const { firstBadElement, sectionsOf } = await ggufPart();
  const sections = sectionsOf(tensor.dtype, bytes, rows, width);
  const bad = firstBadElement(tensor.dtype, sections, rows, width);
  if (bad !== undefined) throw notFinite(tensor, 'a scale that is NaN or infinity', row * width + bad);
  write(row, { rows, sections });
}

function writeFloats(tensor: FloatTensor, type: FloatType, { row, rows, width, bytes }: Slice, write: WriteRows): void {
  const converted = convert(tensor, bytes, type, row * width);
  write(row, { rows, sections: [pad(converted, rows, width, type === 'f32' ? 4 : 2)] });
}

async function writeQuantized(tensor: FloatTensor, type: QuantizedType, { row, width, bytes }: Slice, write: WriteRows): Promise<void> {
  const { LARGEST_QUANTIZED, quantizeSlices } = await loadPart(() => import('./quantize.ts'));
  const numbers = toF32(convert(tensor, bytes, typeOf(tensor.dtype), row * width), tensor.dtype);
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
  return convert(tensor, bytes, 'f32', 0);
}

/** Numbers as a type that can hold them, all of them finite. */
function convert(tensor: FloatTensor, bytes: Uint8Array<ArrayBuffer>, type: FloatType, firstIndex: number): Uint8Array<ArrayBuffer> {
  const bad = firstNotFinite(bytes, tensor.dtype);
  if (bad !== undefined) throw notFinite(tensor, 'NaN or infinity', firstIndex + bad);
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
