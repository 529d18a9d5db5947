import blocks from '../../shaders/lib/blocks.wgsl?raw';
import chunks from '../../shaders/lib/chunks.wgsl?raw';
import descriptors from '../../shaders/lib/descriptors.wgsl?raw';
import grid from '../../shaders/lib/grid.wgsl?raw';
import levelsIq4 from '../../shaders/lib/levels-iq4.wgsl?raw';
import philox from '../../shaders/lib/philox.wgsl?raw';
import poolF16 from '../../shaders/lib/pool-f16.wgsl?raw';
import poolF32 from '../../shaders/lib/pool-f32.wgsl?raw';
import reduceMemory from '../../shaders/lib/reduce-memory.wgsl?raw';
import sampler from '../../shaders/lib/sampler.wgsl?raw';
import softcap from '../../shaders/lib/softcap.wgsl?raw';
import state from '../../shaders/lib/state.wgsl?raw';
import step from '../../shaders/lib/step.wgsl?raw';
import window from '../../shaders/lib/window.wgsl?raw';
import weightsBf16 from '../../shaders/lib/weights-bf16.wgsl?raw';
import weightsF16 from '../../shaders/lib/weights-f16.wgsl?raw';
import weightsF32 from '../../shaders/lib/weights-f32.wgsl?raw';
import weightsIq4Nl from '../../shaders/lib/weights-iq4_nl.wgsl?raw';
import weightsIq4Xs from '../../shaders/lib/weights-iq4_xs.wgsl?raw';
import weightsQ2K from '../../shaders/lib/weights-q2_k.wgsl?raw';
import weightsQ3K from '../../shaders/lib/weights-q3_k.wgsl?raw';
import weightsQ4 from '../../shaders/lib/weights-q4.wgsl?raw';
import weightsQ4_1 from '../../shaders/lib/weights-q4_1.wgsl?raw';
import weightsQ4K from '../../shaders/lib/weights-q4_k.wgsl?raw';
import weightsQ5_0 from '../../shaders/lib/weights-q5_0.wgsl?raw';
import weightsQ5_1 from '../../shaders/lib/weights-q5_1.wgsl?raw';
import weightsQ5K from '../../shaders/lib/weights-q5_k.wgsl?raw';
import weightsQ6K from '../../shaders/lib/weights-q6_k.wgsl?raw';
import weightsQ8 from '../../shaders/lib/weights-q8.wgsl?raw';

/**
 * How a plane of base weights is stored on the GPU. Those that weights can be rounded to have a scale for each block of 32 numbers of a row:
 * q8 is i8 * scale; q4 is (nibble - 8) * scale; q4_1 is nibble * scale + minimum. They are ggml's Q8_0, Q4_0 and Q4_1; the others, named
 * as there, only come out of GGUF files (see `lib/blocks` and formats/gguf-repack).
 */
export type WeightType = FloatType | BlockType;
export type FloatType = 'f32' | 'f16' | 'bf16';
export type QuantizedType = 'q8' | 'q4' | 'q4_1';
export type BlockType = QuantizedType | 'q5_0' | 'q5_1' | 'q2_k' | 'q3_k' | 'q4_k' | 'q5_k' | 'q6_k' | 'iq4_nl' | 'iq4_xs';

/** How KV pages and adapter blocks are stored in the pool. */
export type PoolType = 'f32' | 'f16';

/** Bytes of 32 numbers in each section of a plane, and of the word that SCALES_AT counts in. */
interface TypeBytes {
  readonly values: number;
  readonly scales: number;
  readonly parts: number;
  readonly high: number;
  readonly word: number;
}

const bytes = (values: number, scales: number, parts = 0, high = 0, word = 4): TypeBytes => ({ values, scales, parts, high, word });

const TYPE_BYTES: Readonly<Record<WeightType, TypeBytes>> = {
  f32: bytes(128, 0),
  f16: bytes(64, 0),
  bf16: bytes(64, 0),
  q8: bytes(32, 4, 0, 0, 8),
  q4: bytes(16, 4),
  q4_1: bytes(16, 8),
  q5_0: bytes(16, 4, 0, 4),
  q5_1: bytes(16, 8, 0, 4),
  q2_k: bytes(8, 1, 2),
  q3_k: bytes(8, 0.5, 2, 4),
  q4_k: bytes(16, 1, 2),
  q5_k: bytes(16, 1, 2, 4),
  q6_k: bytes(16, 0.5, 2, 8),
  iq4_nl: bytes(16, 4),
  iq4_xs: bytes(16, 0.5, 1),
};

/** Where things lie in the buffer that holds `rows` rows (a multiple of 4) of `width` numbers (a multiple of 32, or of 256 for q*_k and iq4_xs). */
export interface PlaneLayout {
  readonly bytes: number;
  /** One behind the other: the numbers of all rows, or their low bits; what blocks of a quantised type have besides. */
  readonly sections: readonly { readonly offset: number; readonly rowBytes: number }[];
  /** The first word of the scales, behind the numbers: the kernels' SCALES_AT; 0 for types without scales. */
  readonly scalesAtWord: number;
}

export function planeLayout(type: WeightType, rows: number, width: number): PlaneLayout {
  const { values, scales, parts, high, word } = TYPE_BYTES[type];
  const sections: { offset: number; rowBytes: number }[] = [];
  let offset = 0;
  for (const each of [values, scales, parts, high]) {
    const rowBytes = (width / 32) * each;
    if (rowBytes > 0) sections.push({ offset, rowBytes });
    offset += rows * rowBytes;
  }
  return { bytes: offset, sections, scalesAtWord: scales === 0 ? 0 : sections[1]!.offset / word };
}

export const BYTES_OF_POOL: Readonly<Record<PoolType, number>> = { f32: 4, f16: 2 };

export const GRID: string = grid;
export const REDUCE_MEMORY: string = reduceMemory;
/** Readers of the step metadata and the grid: every kernel of a step has them. */
export const COMMON: readonly string[] = [step, grid];
const ofBlocks = (...readers: readonly string[]): string => [blocks, ...readers].join('\n');

/** Readers of weights, one a type: whole files. */
export const WEIGHTS: Readonly<Record<WeightType, string>> = {
  f32: weightsF32,
  f16: weightsF16,
  bf16: weightsBf16,
  q8: weightsQ8,
  q4: weightsQ4,
  q4_1: weightsQ4_1,
  q5_0: ofBlocks(weightsQ5_0),
  q5_1: ofBlocks(weightsQ5_1),
  q2_k: ofBlocks(weightsQ2K),
  q3_k: ofBlocks(weightsQ3K),
  q4_k: ofBlocks(weightsQ4K),
  q5_k: ofBlocks(weightsQ5K),
  q6_k: ofBlocks(weightsQ6K),
  iq4_nl: ofBlocks(levelsIq4, weightsIq4Nl),
  iq4_xs: ofBlocks(levelsIq4, weightsIq4Xs),
};
export const POOL: Readonly<Record<PoolType, string>> = { f32: poolF32, f16: poolF16 };
export const DESCRIPTORS: string = descriptors;
export const PHILOX: string = philox;
/** What every kernel of the sampler has that reads logits. */
export const SAMPLER: readonly string[] = [sampler, chunks];
export const SOFTCAP: string = softcap;
/** What every attention kernel has besides what it reads keys with; the merge of splits has the second alone. */
export const ATTENTION: readonly string[] = [softcap, window];
export const WINDOW: string = window;
export const STATE: string = state;
