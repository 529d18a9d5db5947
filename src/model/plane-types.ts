import type { FloatDtype } from '../formats/half.ts';
import type { GgufBlockType } from '../formats/gguf-types.ts';
import type { Gpu } from '../gpu/device.ts';
import type { BlockType, FloatType, QuantizedType, WeightType } from '../kernels/libraries.ts';
import type { ModelTensor, ModelTensors } from './tensors.ts';

/** What weights are rounded to as they are loaded; norms never are, and neither is what a file has in blocks. */
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

/** Number types that weights may come in. */
export type WeightDtype = FloatDtype | GgufBlockType;

const FLOATS: Readonly<Record<FloatDtype, FloatType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

/** What the blocks of a GGUF file become: the same numbers in sections of whole words. */
const BLOCKS: Readonly<Record<GgufBlockType, BlockType>> = {
  Q4_0: 'q4',
  Q4_1: 'q4_1',
  Q5_0: 'q5_0',
  Q5_1: 'q5_1',
  Q8_0: 'q8',
  Q2_K: 'q2_k',
  Q3_K: 'q3_k',
  Q4_K: 'q4_k',
  Q5_K: 'q5_k',
  Q6_K: 'q6_k',
  IQ4_NL: 'iq4_nl',
  IQ4_XS: 'iq4_xs',
};

export function isBlockDtype(dtype: ModelTensor['dtype']): dtype is GgufBlockType {
  return Object.hasOwn(BLOCKS, dtype);
}

export function isWeightDtype(dtype: ModelTensor['dtype']): dtype is WeightDtype {
  return Object.hasOwn(FLOATS, dtype) || isBlockDtype(dtype);
}

/** The type of a file's numbers as they are. */
export function typeOf(dtype: FloatDtype): FloatType {
  return FLOATS[dtype];
}

/** Whether f16 weights stay so on the device, or become f32. */
export type Halves = 'kept' | 'widened';

/** Bytes that the f16 weights of a model may come to as f32. */
const MOST_WIDENED_BYTES = 256 << 20;

/**
 * `widened` where a matmul takes a fifth less time for it and the model is small: on SwiftShader, which unpacks f16 with some twenty
 * instructions a number. Among the software devices seen so far it is known by its subgroups. GGUF files are chosen for their size: what
 * they have takes no more on the device.
 */
export function halvesOn({ software, features }: Pick<Gpu, 'software' | 'features'>, { format, tensors }: ModelTensors): Halves {
  if (!software || features.subgroups === 'no' || format === 'gguf') return 'kept';
  const numbers = [...tensors.values()].filter(({ dtype }) => dtype === 'F16').map(({ shape }) => shape.reduce((a, b) => a * b, 1));
  return numbers.reduce((sum, count) => sum + count, 0) * 4 <= MOST_WIDENED_BYTES ? 'widened' : 'kept';
}

/** What decides how the numbers of a matrix are held. */
export interface TypeChoice {
  readonly precision: 'exact' | 'half';
  /** Undefined: weights stay what the file has, but for f32 in `half`. */
  readonly quantize: Quantization | undefined;
  readonly halves: Halves;
}

/** How a matrix is held on the device. */
export function planeType(dtype: WeightDtype, use: keyof Quantization, { precision, quantize, halves }: TypeChoice): WeightType {
  if (isBlockDtype(dtype)) return BLOCKS[dtype];
  if (quantize) return quantize[use];
  if (dtype === 'F16' && precision === 'exact' && halves === 'widened') return 'f32';
  return dtype === 'F32' && precision === 'half' ? 'f16' : FLOATS[dtype];
}

/** All types that the matrices of a model may be held in; what loading refuses is left out. */
export function planeTypes({ tensors }: ModelTensors, choice: TypeChoice): readonly WeightType[] {
  const dtypes = new Set([...tensors.values()].filter(({ shape }) => shape.length === 2).map(({ dtype }) => dtype));
  const uses = ['vocabulary', 'layers'] as const;
  const types = [...dtypes].filter(isWeightDtype).flatMap((dtype) => uses.map((use) => planeType(dtype, use, choice)));
  return [...new Set(types)].sort();
}
