import type { Folder } from '../../src/formats/folder.ts';
import { readJson } from '../../src/formats/folder.ts';
import { isFloatDtype, toF32 } from '../../src/formats/half.ts';
import { openSafetensors } from '../../src/formats/safetensors.ts';
import { ggufTensorNames, permutedRows, type GgufArchitecture } from '../../src/model/gguf-config-tensors.ts';
import type { BlockType } from '../reference/gguf-dequantize.ts';
import { ggufBytes, type Entry, type GgufPart } from '../unit/gguf-files.ts';
import { modelEntries, settingsOf, type ConfigJson, type ModelSettings } from './gguf-model-metadata.ts';

/** A tensor as transformers names it; `bytes` are rows of ggml's blocks of its type. */
export interface ModelTensor {
  readonly shape: readonly number[];
  readonly type: BlockType;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What a folder of transformers holds. */
export interface ModelToWrite {
  readonly config: ConfigJson;
  readonly tensors: ReadonlyMap<string, ModelTensor>;
}

/** ggml's numbers of its types. */
export const GGML_TYPES: Readonly<Record<BlockType, number>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q5_0: 6,
  Q5_1: 7,
  Q8_0: 8,
  Q2_K: 10,
  Q3_K: 11,
  Q4_K: 12,
  Q5_K: 13,
  Q6_K: 14,
  IQ4_NL: 20,
  IQ4_XS: 23,
  BF16: 30,
};

/** A folder's model with all its tensors as F32. */
export async function readModel(folder: Folder): Promise<ModelToWrite> {
  const files = await openSafetensors(folder, 'model');
  const tensors = new Map<string, ModelTensor>();
  for (const [name, info] of files.tensors) {
    if (!isFloatDtype(info.dtype)) throw new Error(`${name} is ${info.dtype}`);
    tensors.set(name, f32Tensor(info.shape, toF32(await files.read(info), info.dtype)));
  }
  return { config: (await readJson(folder, 'config.json')) as ConfigJson, tensors };
}

export function f32Tensor(shape: readonly number[], values: Float32Array<ArrayBuffer>): ModelTensor {
  return { shape, type: 'F32', bytes: new Uint8Array(values.slice().buffer) };
}

/** Rows of a matrix, or numbers of a vector, in another order: row `i` of what comes back is row `order[i]`. */
export function orderedRows({ shape, type, bytes }: ModelTensor, order: ArrayLike<number>): ModelTensor {
  const rowBytes = bytes.length / shape[0]!;
  const ordered = new Uint8Array(bytes.length);
  for (let row = 0; row < order.length; row++) {
    ordered.set(bytes.subarray(order[row]! * rowBytes, (order[row]! + 1) * rowBytes), row * rowBytes);
  }
  return { shape, type, bytes: ordered };
}

function plusOne({ shape, type, bytes }: ModelTensor): ModelTensor {
  if (type !== 'F32') throw new Error(`A norm is ${type}`);
  return f32Tensor(
    shape,
    new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4).map((value) => value + 1),
  );
}

/** A tensor of the file; lengths come innermost first there. */
export function ggufPart(name: string, { shape, type, bytes }: ModelTensor): GgufPart {
  return { name, lengths: shape.toReversed(), type: GGML_TYPES[type], bytes };
}

/**
 * The model as a GGUF file, as llama.cpp's convert_hf_to_gguf.py writes it: its architecture's keys, tensors under ggml's names, q and k
 * permuted for `llama`, 1 added to Gemma's norms, rope's factors as tensors, no head where it is the embedding.
 * Without `tokenizer`, the entries of one, the file says that it has none (`tokenizer.ggml.model` = `none`).
 */
export function ggufOfModel(model: ModelToWrite, tokenizer?: readonly Entry[]): Uint8Array<ArrayBuffer> {
  const settings = settingsOf(model.config);
  const tensors = [...factorTensors(settings), ...modelTensors(model, settings)];
  const entries = modelEntries(settings);
  const own = tokenizer ? [...entries.filter(([key]) => !key.startsWith('tokenizer.')), ...tokenizer] : entries;
  return ggufBytes({ entries: own, tensors });
}

function modelTensors({ tensors }: ModelToWrite, settings: ModelSettings): GgufPart[] {
  const { architecture, layers, tied } = settings;
  const parts: GgufPart[] = [];
  const found = new Set<string>();
  const put = (name: string, gguf: string, { permuted, holdsOne }: Pick<Named, 'permuted' | 'holdsOne'>): void => {
    const tensor = tensors.get(name);
    if (!tensor) return;
    found.add(name);
    if (name === 'lm_head.weight' && tied) return;
    const heads = permuted === 'num_attention_heads' ? settings.heads : settings.kvHeads;
    const ordered = permuted ? orderedRows(tensor, permutedRows(heads, settings.headDim)) : tensor;
    parts.push(ggufPart(gguf, holdsOne ? plusOne(ordered) : ordered));
  };
  const names = ggufTensorNames(architecture);
  for (const named of names.filter(({ name }) => !name.includes('{layer}'))) put(named.name, named.gguf, named);
  for (let layer = 0; layer < layers; layer++) {
    const inLayer = (name: string): string => name.replace('{layer}', String(layer));
    for (const named of names.filter(({ name }) => name.includes('{layer}'))) put(inLayer(named.name), inLayer(named.gguf), named);
  }
  const left = [...tensors.keys()].find((name) => !found.has(name));
  if (left !== undefined) throw new Error(`${architecture} has no name for ${left}`);
  return parts;
}

type Named = ReturnType<typeof ggufTensorNames>[number];

/** rope's factors: Llama 3's computed from its settings, Phi's as they stand in the config. */
function factorTensors({ rope, ropeDimensions }: ModelSettings): GgufPart[] {
  const part = (name: string, factors: readonly number[]): GgufPart =>
    ggufPart(name, f32Tensor([factors.length], Float32Array.from(factors)));
  if (rope.kind === 'llama3') return [part('rope_freqs.weight', llama3Factors(rope, ropeDimensions))];
  if (rope.kind === 'longrope') return [part('rope_factors_long.weight', rope.long), part('rope_factors_short.weight', rope.short)];
  return [];
}

/** By what llama.cpp's converter divides each frequency of Llama 3. */
function llama3Factors(rope: Extract<ModelSettings['rope'], { kind: 'llama3' }>, dimensions: number): number[] {
  const { theta, factor, lowFactor, highFactor, original } = rope;
  return Array.from({ length: dimensions / 2 }, (_, pair) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * pair) / dimensions);
    if (wavelength < original / highFactor) return 1;
    if (wavelength > original / lowFactor) return factor;
    const smooth = (original / wavelength - lowFactor) / (highFactor - lowFactor);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** The architecture of a config.json; adapters name it too. */
export function architectureOf(config: ConfigJson): GgufArchitecture {
  return settingsOf(config).architecture;
}
