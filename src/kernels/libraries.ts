import descriptors from '../../shaders/lib/descriptors.wgsl?raw';
import grid from '../../shaders/lib/grid.wgsl?raw';
import philox from '../../shaders/lib/philox.wgsl?raw';
import poolF16 from '../../shaders/lib/pool-f16.wgsl?raw';
import poolF32 from '../../shaders/lib/pool-f32.wgsl?raw';
import sampler from '../../shaders/lib/sampler.wgsl?raw';
import state from '../../shaders/lib/state.wgsl?raw';
import step from '../../shaders/lib/step.wgsl?raw';
import weightsBf16 from '../../shaders/lib/weights-bf16.wgsl?raw';
import weightsF16 from '../../shaders/lib/weights-f16.wgsl?raw';
import weightsF32 from '../../shaders/lib/weights-f32.wgsl?raw';
import weightsQ4 from '../../shaders/lib/weights-q4.wgsl?raw';
import weightsQ4_1 from '../../shaders/lib/weights-q4_1.wgsl?raw';
import weightsQ8 from '../../shaders/lib/weights-q8.wgsl?raw';

/**
 * How a plane of base weights is stored on the GPU. The quantised types have a scale for each block of 32 numbers of a row:
 * q8 is i8 * scale; q4 is (nibble - 8) * scale; q4_1, named as in ggml, is nibble * scale + minimum.
 */
export type WeightType = 'f32' | 'f16' | 'bf16' | QuantizedType;
export type QuantizedType = 'q8' | 'q4' | 'q4_1';

/** How KV pages and adapter blocks are stored in the pool. */
export type PoolType = 'f32' | 'f16';

/** Bytes of eight numbers, and of what their block of 32 has besides. */
const PLANE_BYTES: Readonly<Record<WeightType, { readonly eight: number; readonly block: number }>> = {
  f32: { eight: 32, block: 0 },
  f16: { eight: 16, block: 0 },
  bf16: { eight: 16, block: 0 },
  q8: { eight: 8, block: 4 },
  q4: { eight: 4, block: 4 },
  q4_1: { eight: 4, block: 8 },
};

/** Where things lie in the buffer that holds `rows` rows (a multiple of 4) of `width` numbers (a multiple of 32). */
export interface PlaneLayout {
  readonly bytes: number;
  /** Bytes of the numbers of one row. */
  readonly rowBytes: number;
  /** Bytes of the scales of one row: 0 for types without. */
  readonly rowScaleBytes: number;
  /** The first byte of the scales: behind the numbers of all rows. */
  readonly scalesAt: number;
  /** The same as the kernels' SCALES_AT: in words of eight numbers; 0 for types without scales. */
  readonly scalesAtWord: number;
}

export function planeLayout(type: WeightType, rows: number, width: number): PlaneLayout {
  const { eight, block } = PLANE_BYTES[type];
  const rowBytes = (width / 8) * eight;
  const rowScaleBytes = (width / 32) * block;
  const scalesAt = rows * rowBytes;
  return {
    bytes: rows * (rowBytes + rowScaleBytes),
    rowBytes,
    rowScaleBytes,
    scalesAt,
    scalesAtWord: block === 0 ? 0 : scalesAt / eight,
  };
}

export const BYTES_OF_POOL: Readonly<Record<PoolType, number>> = { f32: 4, f16: 2 };

/** Readers of the step metadata and the grid: every kernel has them. */
export const COMMON: readonly string[] = [step, grid];
export const WEIGHTS: Readonly<Record<WeightType, string>> = {
  f32: weightsF32,
  f16: weightsF16,
  bf16: weightsBf16,
  q8: weightsQ8,
  q4: weightsQ4,
  q4_1: weightsQ4_1,
};
export const POOL: Readonly<Record<PoolType, string>> = { f32: poolF32, f16: poolF16 };
export const DESCRIPTORS: string = descriptors;
export const PHILOX: string = philox;
export const SAMPLER: string = sampler;
export const STATE: string = state;
