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

/** How a plane of base weights is stored on the GPU. */
export type WeightType = 'f32' | 'f16' | 'bf16';

/** How KV pages and adapter blocks are stored in the pool. */
export type PoolType = 'f32' | 'f16';

export const BYTES_OF_WEIGHT: Readonly<Record<WeightType, number>> = { f32: 4, f16: 2, bf16: 2 };
export const BYTES_OF_POOL: Readonly<Record<PoolType, number>> = { f32: 4, f16: 2 };

/** Readers of the step metadata and the grid: every kernel has them. */
export const COMMON: readonly string[] = [step, grid];
export const WEIGHTS: Readonly<Record<WeightType, string>> = { f32: weightsF32, f16: weightsF16, bf16: weightsBf16 };
export const POOL: Readonly<Record<PoolType, string>> = { f32: poolF32, f16: poolF16 };
export const DESCRIPTORS: string = descriptors;
export const PHILOX: string = philox;
export const SAMPLER: string = sampler;
export const STATE: string = state;
