import { WebLoraError } from '../errors.ts';
import { isFloatDtype } from '../formats/half.ts';
import type { SliceMemory } from '../formats/slice-memory.ts';
import type { Buffers } from '../gpu/buffers.ts';
import { planeLayout, type WeightType } from '../kernels/libraries.ts';
import { readVector, streamRows, type FloatTensor, type HeldRows, type RowReading, type WeightTensor } from './plane-rows.ts';
import { isWeightDtype, planeType, type Quantization, type TypeChoice } from './plane-types.ts';
import { padded } from './shape.ts';
import type { ModelTensor } from './tensors.ts';

/** Rows of a plane that lie in one buffer (see `planeLayout`), rounded up to 4; behind them zeros. */
export interface PlaneChunk {
  readonly type: WeightType;
  readonly buffer: GPUBuffer;
  /** A multiple of 4. */
  readonly firstRow: number;
  readonly rows: number;
}

/** A weight matrix on the GPU: rows of `padded(width)` numbers, cut where a binding ends and where tensors of another type begin. */
export interface Plane {
  readonly rows: number;
  readonly width: number;
  readonly chunks: readonly PlaneChunk[];
}

export interface WeightLoading extends RowReading, TypeChoice {
  readonly device: GPUDevice;
  readonly buffers: Buffers;
}

/** Reads one tensor or several of one plane, in the order of the places, through a memory that nobody else uses meanwhile. */
type Fill = (memory: SliceMemory) => Promise<void>;
export type Placing = WeightLoading & { readonly fills: Fill[] };

function find({ files }: WeightLoading, name: string, shape: readonly number[]): ModelTensor {
  const asking = files.format === 'gguf' ? 'its metadata' : 'config.json';
  const tensor = files.tensors.get(name);
  if (!tensor) {
    throw new WebLoraError('tensor_missing', `${files.location}: no tensor ${files.fileName?.(name) ?? name}, which ${asking} asks for`);
  }
  if (tensor.shape.join() !== shape.join()) {
    throw new WebLoraError('tensor_shape', `${tensor.file}: ${tensor.name} is [${tensor.shape}], ${asking} says [${shape}]`);
  }
  return tensor;
}

function findMatrix(loading: WeightLoading, name: string, shape: readonly number[]): WeightTensor {
  const tensor = find(loading, name, shape);
  if (isWeightDtype(tensor.dtype)) return { ...tensor, dtype: tensor.dtype };
  throw new WebLoraError('tensor_dtype', `${tensor.file}: ${tensor.name} is ${tensor.dtype}; weights may be F32, F16 or BF16`);
}

function findVector(loading: WeightLoading, name: string, length: number): FloatTensor {
  const tensor = find(loading, name, [length]);
  if (isFloatDtype(tensor.dtype)) return { ...tensor, dtype: tensor.dtype };
  throw new WebLoraError('tensor_dtype', `${tensor.file}: ${tensor.name} is ${tensor.dtype}; norms and biases may be F32, F16 or BF16`);
}

/**
 * Makes room for the matrices of these names below each other, `heights` rows each (a multiple of 4, but for the last), and notes how they
 * are read.
 * @throws WebLoraError `tensor_missing`, `tensor_shape`, `tensor_dtype`, `out_of_memory`.
 */
export async function placePlane(
  loading: Placing,
  names: readonly string[],
  heights: readonly number[],
  width: number,
  use: keyof Quantization,
): Promise<Plane> {
  const parts = names.map((name, i) => {
    const tensor = findMatrix(loading, name, [heights[i]!, width]);
    return { tensor, type: planeType(tensor.dtype, use, loading), firstRow: heights.slice(0, i).reduce((sum, rows) => sum + rows, 0) };
  });
  const rows = heights.reduce((sum, height) => sum + height, 0);
  const chunks: PlaneChunk[] = [];
  for (const [i, { type, firstRow }] of parts.entries()) {
    if (parts[i - 1]?.type === type) continue;
    const end = parts.slice(i).find((part) => part.type !== type)?.firstRow ?? rows;
    chunks.push(...placeRows(loading, names[0]!, type, padded(width), firstRow, end));
  }
  await loading.buffers.settled();
  loading.fills.push(async (memory) => {
    const write = (firstRow: number, held: HeldRows): void => writeRows(loading.device, chunks, padded(width), firstRow, held);
    for (const { tensor, type, firstRow } of parts) {
      await streamRows({ ...loading, memory }, tensor, type, width, (row, held) => write(firstRow + row, held));
    }
  });
  return { rows, width, chunks };
}

/** Buffers for rows of one type, as few as bindings and buffers allow. */
function placeRows(
  { device, buffers }: WeightLoading,
  label: string,
  type: WeightType,
  width: number,
  first: number,
  end: number,
): PlaneChunk[] {
  const fourRows = planeLayout(type, 4, width).bytes;
  const { maxStorageBufferBindingSize, maxBufferSize } = device.limits;
  const most = Math.floor(Math.min(maxStorageBufferBindingSize, maxBufferSize) / fourRows) * 4;
  const chunks: PlaneChunk[] = [];
  for (let firstRow = first; firstRow < end; firstRow += most) {
    const rows = Math.min(most, end - firstRow);
    chunks.push({ type, buffer: buffers.storage(`${label}+${firstRow}`, Math.ceil(rows / 4) * fourRows), firstRow, rows });
  }
  return chunks;
}

/** Puts rows where they belong, in as many chunks as they lie in, all of the type in which they are held. */
function writeRows(device: GPUDevice, chunks: readonly PlaneChunk[], width: number, first: number, { rows, sections }: HeldRows): void {
  for (const { type, buffer, firstRow, rows: count } of chunks) {
    const from = Math.max(first, firstRow);
    const to = Math.min(first + rows, firstRow + count);
    if (from >= to) continue;
    const layout = planeLayout(type, Math.ceil(count / 4) * 4, width);
    for (const [i, { offset, rowBytes }] of layout.sections.entries()) {
      device.queue.writeBuffer(
        buffer,
        offset + (from - firstRow) * rowBytes,
        sections[i]!,
        (from - first) * rowBytes,
        (to - from) * rowBytes,
      );
    }
  }
}

/** One tensor of a vector on the GPU. */
export interface VectorPart {
  readonly name: string;
  readonly width: number;
  /** What is added to each number, in f32; default 0. */
  readonly offset?: number;
}

/** Norms' weights and biases, one behind the other, as f32 whatever the file has: a few kilobytes that every row reads. */
export async function placeVector(loading: Placing, parts: readonly VectorPart[]): Promise<GPUBuffer> {
  const tensors = parts.map(({ name, width }) => findVector(loading, name, width));
  const buffer = loading.buffers.storage(parts[0]!.name, parts.reduce((sum, { width }) => sum + width, 0) * 4);
  loading.fills.push(async () => {
    let at = 0;
    for (const [i, { offset = 0 }] of parts.entries()) {
      const bytes = await readVector(loading, tensors[i]!);
      loading.device.queue.writeBuffer(buffer, at, offset === 0 ? bytes : raised(bytes, offset));
      at += bytes.byteLength;
    }
  });
  return buffer;
}

/** f32 numbers, each with `offset` added. */
function raised(bytes: Uint8Array<ArrayBuffer>, offset: number): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice(); // aligned, and the reader's bytes stay what they are
  return new Uint8Array(new Float32Array(copy.buffer).map((value) => value + offset).buffer);
}
