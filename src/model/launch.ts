import type { PackedAdapter, Sliced } from '../adapters/sites.ts';
import type { Constant } from '../gpu/kernel.ts';
import type { Dispatch, Pipelines } from '../gpu/pipelines.ts';
import type { PoolMemory } from '../gpu/pool-memory.ts';
import { record } from '../gpu/recorder.ts';
import type { PoolType } from '../kernels/libraries.ts';
import { stepConstants, type StepLayout } from '../kernels/step-layout.ts';
import type { KernelSet } from '../kernels/variants.ts';
import type { Activations } from './activations.ts';
import type { ModelConfig } from './config.ts';
import type { Plan } from './plan.ts';
import type { ModelShape } from './shape.ts';
import type { ModelWeights } from './weights.ts';

/** Everything a forward pass is made of; all of it exists before the first step. */
export interface ForwardParts {
  readonly pipelines: Pipelines;
  readonly config: ModelConfig;
  readonly shape: ModelShape;
  readonly layout: StepLayout;
  readonly weights: ModelWeights;
  readonly activations: Activations;
  readonly pool: PoolMemory;
  readonly poolType: PoolType;
  readonly kernels: KernelSet;
  /** Bits of `TRAITS` that adapters may have: launches for others are not there. */
  readonly traits: number;
  /** Embeddings and heads that adapters brought; undefined while none may. */
  readonly wholes: WholeMatrices | undefined;
  /** What lora-shrink writes and lora-expand reads. */
  readonly v: GPUBuffer;
  /** The adjust table, or a few bytes that nothing reads while no sampler needs it. */
  readonly adjust: GPUBuffer;
}

/** Embeddings and heads that adapters brought with them, each in buffers of its own as long as the adapter is resident. */
export interface WholeMatrices {
  /** See `Finisher`. */
  checkRoom(adapter: PackedAdapter): Promise<void>;
  /**
   * Makes buffers for an adapter's matrices and fills them, a few milliseconds at a time; nothing where it has none. A step throws
   * `out_of_memory` where the device has no room, and leaves nothing.
   */
  begin(slot: number, adapter: PackedAdapter): Sliced | undefined;
  /** Frees what the slot's adapter has. Steps that were submitted still see it. */
  release(slot: number): void;
  /** What computes with the matrices of these slots, one dispatch each, and where a matrix takes several buffers one for each of them. */
  launches(slots: readonly number[], kind: WholeKind): readonly OwnLaunch[];
  /** Bound like these, and started by nobody: what a launch is where a step has fewer. */
  readonly nothing: Readonly<Record<WholeKind, Dispatch>>;
  /** Buffers that a matrix takes at most. */
  readonly mostChunks: number;
}

export type WholeKind = 'embedding' | 'head';

export interface OwnLaunch {
  readonly dispatch: Dispatch;
  readonly threads: (plan: Plan) => number;
}

/** One dispatch of the pass: which pipeline, and how many threads, this step's plan decides. */
export interface Launch {
  readonly dispatch: (plan: Plan) => Dispatch;
  /** 0: not in this step. */
  readonly threads: (plan: Plan) => number;
}

/** Records every launch of a step into one pass. */
export function recordForward(pass: GPUComputePassEncoder, launches: readonly Launch[], plan: Plan): void {
  for (const launch of launches) record(pass, launch.dispatch(plan), launch.threads(plan));
}

/** A kernel's constants with those that every kernel takes. */
export const constants = (
  { layout }: Pick<ForwardParts, 'layout'>,
  more: Readonly<Record<string, Constant>>,
): Readonly<Record<string, Constant>> => ({
  ...stepConstants(layout),
  ...more,
});

/** A launch that is the same dispatch in every step. */
export const fixed = (dispatch: Dispatch, threads: (plan: Plan) => number): Launch => ({ dispatch: () => dispatch, threads });
