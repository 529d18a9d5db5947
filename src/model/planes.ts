import { loadPart, WebLoraError } from '../errors.ts';
import { firstNotFinite, floatBytes, isFloatDtype, toF16, toF32, type FloatDtype } from '../formats/half.ts';
import type { TensorFiles, TensorInfo } from '../formats/safetensors.ts';
import type { Buffers } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { planeLayout, type QuantizedType, type WeightType } from '../kernels/libraries.ts';
import { padded } from './shape.ts';

/**
 * A weight matrix on the GPU: rows of `padded(width)` numbers, rows rounded up to 4, the rest zeros; cut where a binding ends. Each chunk
 * has its numbers first and the scales of a quantised type behind them (see `planeLayout`).
 */
export interface Plane {
  readonly type: WeightType;
  readonly rows: number;
  readonly width: number;
  readonly chunks: readonly { readonly buffer: GPUBuffer; readonly firstRow: number; readonly rows: number }[];
}

/** What weights are rounded to as they are loaded; norms never are. */
export interface Quantization {
  /** The embedding, and the head whether it is tied to it or not. */
  readonly vocabulary: QuantizedType;
  readonly layers: QuantizedType;
}

/**
 * What the two words of the engine's option `quantize` mean. With 4 bits the vocabulary keeps 8, as llama.cpp keeps more there: on the
 * small trained model that halves the error of the logits. A minimum beside each scale (q4_1) takes a bit more of each weight and only
 * 14% more of the error, so that it is left to files that come with it.
 */
export const QUANTIZATION: Readonly<Record<'q8' | 'q4', Quantization>> = {
  q8: { vocabulary: 'q8', layers: 'q8' },
  q4: { vocabulary: 'q8', layers: 'q4' },
};

export interface WeightLoading {
  readonly device: GPUDevice;
  readonly buffers: Buffers;
  readonly files: TensorFiles;
  readonly precision: 'exact' | 'half';
  /** Undefined: weights stay what the file has, but for f32 in `half`. */
  readonly quantize: Quantization | undefined;
  readonly halves: Halves;
  readonly onProgress: (loaded: number, file: string) => void;
  readonly signal: AbortSignal | undefined;
}

/** Bytes read at a time: no tensor is ever whole in JS memory because it is large. */
const SLICE_BYTES = 16 << 20;
/** Types that hold numbers as a file may have them. */
type FloatType = Exclude<WeightType, QuantizedType>;
const TYPE_OF: Readonly<Record<FloatDtype, FloatType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

/** Reads one tensor or several of one plane, in the order of the places. */
type Fill = () => Promise<void>;
export type Placing = WeightLoading & { readonly fills: Fill[] };

/** A tensor whose numbers can be served. */
type FloatTensor = TensorInfo & { readonly dtype: FloatDtype };

function find({ files }: WeightLoading, name: string, shape: readonly number[]): FloatTensor {
  const info = files.tensors.get(name);
  if (!info) throw new WebLoraError('tensor_missing', `${files.location}: no tensor ${name}, which config.json asks for`);
  if (info.shape.join() !== shape.join()) {
    throw new WebLoraError('tensor_shape', `${info.file}: ${name} is [${info.shape}], config.json says [${shape}]`);
  }
  const { dtype } = info;
  if (!isFloatDtype(dtype)) {
    throw new WebLoraError('tensor_dtype', `${info.file}: ${name} is ${dtype}; weights may be F32, F16 or BF16`);
  }
  return { ...info, dtype };
}

/** Whether f16 weights stay so on the device, or become f32. */
export type Halves = 'kept' | 'widened';

/** Bytes that the f16 weights of a model may come to as f32. */
const MOST_WIDENED_BYTES = 256 << 20;

/**
 * `widened` where a matmul takes a fifth less time for it and the model is small: on SwiftShader, which unpacks f16 with some twenty
 * instructions a number. Among the software devices seen so far it is known by its subgroups.
 */
export function halvesOn({ software, features }: Pick<Gpu, 'software' | 'features'>, { tensors }: TensorFiles): Halves {
  if (!software || features.subgroups === 'no') return 'kept';
  const numbers = [...tensors.values()].filter(({ dtype }) => dtype === 'F16').map(({ shape }) => shape.reduce((a, b) => a * b, 1));
  return numbers.reduce((sum, count) => sum + count, 0) * 4 <= MOST_WIDENED_BYTES ? 'widened' : 'kept';
}

/** How tensors are held that share a plane: as they are where they are of one type, f32 as f16 in `half`; as f32 where they differ. */
export function planeType(dtypes: readonly FloatDtype[], precision: 'exact' | 'half', halves: Halves): FloatType {
  const types = new Set(dtypes.map((dtype) => TYPE_OF[dtype]));
  if (types.size > 1) return 'f32';
  const [type] = types;
  if (type === 'f16' && precision === 'exact' && halves === 'widened') return 'f32';
  return type === 'f32' && precision === 'half' ? 'f16' : type!;
}

export async function placePlane(
  loading: Placing,
  names: readonly string[],
  heights: readonly number[],
  width: number,
  use: keyof Quantization,
): Promise<Plane> {
  const { device, buffers } = loading;
  const infos = names.map((name, i) => find(loading, name, [heights[i]!, width]));
  const type =
    loading.quantize?.[use] ??
    planeType(
      infos.map(({ dtype }) => dtype),
      loading.precision,
      loading.halves,
    );
  const rows = heights.reduce((sum, height) => sum + height, 0);
  const fourRows = planeLayout(type, 4, padded(width)).bytes;
  const most = Math.floor(device.limits.maxStorageBufferBindingSize / fourRows) * 4;
  const chunks: { buffer: GPUBuffer; firstRow: number; rows: number }[] = [];
  for (let firstRow = 0; firstRow < rows; firstRow += most) {
    const count = Math.min(most, rows - firstRow);
    chunks.push({ buffer: buffers.storage(`${names[0]}+${firstRow}`, Math.ceil(count / 4) * fourRows), firstRow, rows: count });
  }
  await buffers.settled();
  const plane = { type, rows, width, chunks };
  loading.fills.push(async () => {
    let row = 0;
    for (const info of infos)
      row = await streamRows(loading, info, type, width, row, (first, held) => writeRows(device, plane, first, held));
  });
  return plane;
}

/** Some rows as their plane's type holds them. */
interface HeldRows {
  readonly rows: number;
  readonly values: Uint8Array<ArrayBuffer>;
  /** Of a quantised type. */
  readonly scales?: Uint8Array<ArrayBuffer>;
}

/** Puts rows where they belong, in as many chunks as they lie in. */
function writeRows(device: GPUDevice, { type, width, chunks }: Plane, first: number, { rows, values, scales }: HeldRows): void {
  for (const { buffer, firstRow, rows: count } of chunks) {
    const from = Math.max(first, firstRow);
    const to = Math.min(first + rows, firstRow + count);
    if (from >= to) continue;
    const layout = planeLayout(type, Math.ceil(count / 4) * 4, padded(width));
    const write = (bytes: Uint8Array<ArrayBuffer>, at: number, size: number): void =>
      device.queue.writeBuffer(buffer, at + (from - firstRow) * size, bytes, (from - first) * size, (to - from) * size);
    write(values, 0, layout.rowBytes);
    if (scales) write(scales, layout.scalesAt, layout.rowScaleBytes);
  }
}

/** Reads a tensor in slices of whole rows, converts them, and hands them on; returns the row after the last. */
async function streamRows(
  loading: WeightLoading,
  info: FloatTensor,
  type: WeightType,
  width: number,
  firstRow: number,
  write: (row: number, held: HeldRows) => void,
): Promise<number> {
  const rows = info.shape[0]!;
  const stored = width * floatBytes(info.dtype);
  const step = Math.max(1, Math.floor(SLICE_BYTES / stored));
  for (let row = 0; row < rows; row += step) {
    loading.signal?.throwIfAborted();
    const count = Math.min(step, rows - row);
    const bytes = await loading.files.read(info, row * stored, (row + count) * stored);
    if (type === 'f32' || type === 'f16' || type === 'bf16') {
      const converted = convert(info, bytes, type, row * width);
      write(firstRow + row, { rows: count, values: pad(converted, count, width, type === 'f32' ? 4 : 2) });
    } else {
      const { LARGEST_QUANTIZED, quantizeSlices } = await loadPart(() => import('./quantize.ts'));
      const numbers = toF32(convert(info, bytes, TYPE_OF[info.dtype], row * width), info.dtype);
      requireAtMost(numbers, LARGEST_QUANTIZED, type, info);
      await quantizeSlices(type, numbers, width, (first, held) => write(firstRow + row + first, held));
    }
    loading.onProgress(bytes.byteLength, info.file);
  }
  return firstRow + rows;
}

/** Numbers as a type that can hold them, all of them finite. */
function convert(info: FloatTensor, bytes: Uint8Array<ArrayBuffer>, type: FloatType, firstIndex: number): Uint8Array<ArrayBuffer> {
  const bad = firstNotFinite(bytes, info.dtype);
  if (bad !== undefined) {
    throw new WebLoraError('tensor_not_finite', `${info.file}: ${info.name} holds NaN or infinity at element ${firstIndex + bad}`);
  }
  if (TYPE_OF[info.dtype] === type) return bytes;
  const values = toF32(bytes, info.dtype);
  if (type === 'f32') return new Uint8Array(values.buffer);
  requireAtMost(values, 65_504, type, info);
  return new Uint8Array(toF16(values).buffer);
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

/** A norm's weights, as f32 whatever the file has: a few kilobytes that every row reads. */
export async function placeVector(loading: Placing, name: string, width: number): Promise<GPUBuffer> {
  const info = find(loading, name, [width]);
  const buffer = loading.buffers.storage(name, width * 4);
  loading.fills.push(async () => {
    loading.signal?.throwIfAborted();
    const bytes = await loading.files.read(info);
    loading.device.queue.writeBuffer(buffer, 0, convert(info, bytes, 'f32', 0));
    loading.onProgress(bytes.byteLength, info.file);
  });
  return buffer;
}
