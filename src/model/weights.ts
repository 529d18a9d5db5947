import { WebLoraError } from '../errors.ts';
import { firstNotFinite, isFloatDtype, toF16, toF32, type FloatDtype } from '../formats/half.ts';
import type { TensorFiles, TensorInfo } from '../formats/safetensors.ts';
import type { Buffers } from '../gpu/buffers.ts';
import { BYTES_OF_WEIGHT, type WeightType } from '../kernels/libraries.ts';
import type { ModelConfig } from './config.ts';
import { padded, type ModelShape } from './shape.ts';

/** A weight matrix on the GPU: rows of `padded(width)` numbers, rows rounded up to 4, the rest zeros; cut where a binding ends. */
export interface Plane {
  readonly type: WeightType;
  readonly rows: number;
  readonly width: number;
  readonly chunks: readonly { readonly buffer: GPUBuffer; readonly firstRow: number; readonly rows: number }[];
}

export interface LayerWeights {
  readonly inputNorm: GPUBuffer;
  readonly qkv: Plane;
  readonly o: Plane;
  readonly postNorm: GPUBuffer;
  readonly gateUp: Plane;
  readonly down: Plane;
}

export interface ModelWeights {
  readonly embedding: Plane;
  readonly head: Plane;
  readonly finalNorm: GPUBuffer;
  readonly layers: readonly LayerWeights[];
}

export interface WeightLoading {
  readonly device: GPUDevice;
  readonly buffers: Buffers;
  readonly files: TensorFiles;
  readonly precision: 'exact' | 'half';
  readonly onProgress: (loaded: number, file: string) => void;
  readonly signal: AbortSignal | undefined;
}

/** Bytes read at a time: no tensor is ever whole in JS memory because it is large. */
const SLICE_BYTES = 16 << 20;
const DTYPE_OF: Readonly<Record<WeightType, string>> = { f32: 'F32', f16: 'F16', bf16: 'BF16' };
const TYPE_OF: Readonly<Record<FloatDtype, WeightType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

/**
 * Streams a checkpoint to the GPU. Names are those of transformers' Llama.
 * @throws WebLoraError `tensor_missing`, `tensor_shape`, `tensor_dtype`, `tensor_not_finite`, `model_unsupported`, `out_of_memory`,
 * and what reading throws.
 */
export async function loadWeights(loading: WeightLoading, config: ModelConfig, { groups, table }: ModelShape): Promise<ModelWeights> {
  const { hiddenSize, vocabSize } = config;
  const embedding = await loadPlane(loading, ['model.embed_tokens.weight'], [vocabSize], hiddenSize);
  const head = config.tiedEmbeddings ? embedding : await loadPlane(loading, ['lm_head.weight'], [vocabSize], hiddenSize);
  const finalNorm = await loadVector(loading, 'model.norm.weight', hiddenSize);
  const layers: LayerWeights[] = [];
  for (let layer = 0; layer < config.layers; layer++) {
    const name = `${table.prefix}${layer}.`;
    const group = ({ modules, inWidth, siteFirst }: ModelShape['groups']['qkv']): Promise<Plane> =>
      loadPlane(
        loading,
        modules.map((module) => `${name}${module}.weight`),
        modules.map((_, i) => table.sites[siteFirst + i]!.outWidth),
        inWidth,
      );
    layers.push({
      inputNorm: await loadVector(loading, `${name}input_layernorm.weight`, hiddenSize),
      qkv: await group(groups.qkv),
      o: await group(groups.o),
      postNorm: await loadVector(loading, `${name}post_attention_layernorm.weight`, hiddenSize),
      gateUp: await group(groups.gateUp),
      down: await group(groups.down),
    });
  }
  await loading.buffers.settled();
  return { embedding, head, finalNorm, layers };
}

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

/** One type for tensors that share a plane: their own where it is one, f32 where they differ, f16 for f32 in `half`. */
function planeType(infos: readonly FloatTensor[], precision: 'exact' | 'half'): WeightType {
  const types = new Set(infos.map((info) => TYPE_OF[info.dtype]));
  if (types.size > 1) return 'f32';
  const [type] = types;
  return type === 'f32' && precision === 'half' ? 'f16' : type!;
}

async function loadPlane(loading: WeightLoading, names: readonly string[], heights: readonly number[], width: number): Promise<Plane> {
  const { device, buffers } = loading;
  const infos = names.map((name, i) => find(loading, name, [heights[i]!, width]));
  const type = planeType(infos, loading.precision);
  const rows = heights.reduce((sum, height) => sum + height, 0);
  const rowBytes = padded(width) * BYTES_OF_WEIGHT[type];
  const most = Math.floor(device.limits.maxStorageBufferBindingSize / rowBytes / 4) * 4;
  const chunks: { buffer: GPUBuffer; firstRow: number; rows: number }[] = [];
  for (let firstRow = 0; firstRow < rows; firstRow += most) {
    const count = Math.min(most, Math.ceil((rows - firstRow) / 4) * 4);
    chunks.push({ buffer: buffers.storage(`${names[0]}+${firstRow}`, count * rowBytes), firstRow, rows: Math.min(count, rows - firstRow) });
  }
  await buffers.settled();
  let row = 0;
  for (const info of infos) {
    row = await streamRows(loading, info, type, width, row, (first, bytes) => {
      const chunk = chunks.findLast((candidate) => candidate.firstRow <= first)!;
      const room = (chunk.rows - (first - chunk.firstRow)) * rowBytes;
      device.queue.writeBuffer(chunk.buffer, (first - chunk.firstRow) * rowBytes, bytes, 0, Math.min(room, bytes.byteLength));
      const next = chunks.find((candidate) => candidate.firstRow > first);
      if (bytes.byteLength > room && next) device.queue.writeBuffer(next.buffer, 0, bytes, room);
    });
  }
  return { type, rows, width, chunks };
}

/** Reads a tensor in slices of whole rows, converts and pads them, and hands them on; returns the row after the last. */
async function streamRows(
  loading: WeightLoading,
  info: FloatTensor,
  type: WeightType,
  width: number,
  firstRow: number,
  write: (row: number, bytes: Uint8Array<ArrayBuffer>) => void,
): Promise<number> {
  const rows = info.shape[0]!;
  const stored = width * BYTES_OF_WEIGHT[TYPE_OF[info.dtype]];
  const step = Math.max(1, Math.floor(SLICE_BYTES / stored));
  for (let row = 0; row < rows; row += step) {
    loading.signal?.throwIfAborted();
    const count = Math.min(step, rows - row);
    const bytes = await loading.files.read(info, row * stored, (row + count) * stored);
    write(firstRow + row, pad(convert(info, bytes, type, row * width), count, width, BYTES_OF_WEIGHT[type]));
    loading.onProgress(bytes.byteLength, info.file);
  }
  return firstRow + rows;
}

function convert(info: FloatTensor, bytes: Uint8Array<ArrayBuffer>, type: WeightType, firstIndex: number): Uint8Array<ArrayBuffer> {
  const bad = firstNotFinite(bytes, info.dtype);
  if (bad !== undefined) {
    throw new WebLoraError('tensor_not_finite', `${info.file}: ${info.name} holds NaN or infinity at element ${firstIndex + bad}`);
  }
  if (DTYPE_OF[type] === info.dtype) return bytes;
  const values = toF32(bytes, info.dtype);
  if (type === 'f32') return new Uint8Array(values.buffer);
  const large = values.findIndex((value) => Math.abs(value) > 65_504);
  if (large >= 0) {
    const what = `${info.file}: ${info.name} holds ${values[large]}, which f16 cannot`;
    throw new WebLoraError('model_unsupported', `${what}; load the model with precision: 'exact'`);
  }
  return new Uint8Array(toF16(values).buffer);
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
async function loadVector(loading: WeightLoading, name: string, width: number): Promise<GPUBuffer> {
  const info = find(loading, name, [width]);
  loading.signal?.throwIfAborted();
  const bytes = await loading.files.read(info);
  const buffer = loading.buffers.storage(name, width * 4);
  loading.device.queue.writeBuffer(buffer, 0, convert(info, bytes, 'f32', 0));
  loading.onProgress(bytes.byteLength, info.file);
  return buffer;
}
