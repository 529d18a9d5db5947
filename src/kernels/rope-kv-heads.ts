import headNormsBase from '../../shaders/lib/head-norms-base.wgsl?raw';
import headNormsSaved from '../../shaders/lib/head-norms-saved.wgsl?raw';
import source from '../../shaders/rope-kv-heads.wgsl?raw';
import { defineKernel, type Kernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

/** What the form for saved norms reads, and the base's does not. */
const SAVED = { Q_NORM_AT: 0, K_NORM_AT: 0, SITES_IN_MODEL: 0 } as const;

export const ropeKvHeads = defineKernel({
  label: 'rope-kv-heads',
  source,
  buffers: { step: 'read', rope: 'read', blocks: 'read', state: 'read', vectors: 'read', qkv: 'read_write', pool: 'read_write' },
  constants: [
    ...[...STEP_CONSTANTS, 'HEADS', 'KV_HEADS', 'DIM4', 'ROTARY', 'QKV_STRIDE4', 'PAGES_PER_ROW', 'BIAS', 'NORM', 'EPSILON'],
    ...Object.keys(SAVED),
  ],
  ownLibraries: [headNormsBase],
  ownConstants: SAVED,
});

/** The form that takes the norms of a row's adapter where that saved any; besides it takes Q_NORM_AT, K_NORM_AT and SITES_IN_MODEL. */
export function savedHeadNorms(kernel: RopeHeadsKernel): Kernel<keyof typeof ropeKvHeads.buffers | 'descriptors'> {
  const buffers = { ...kernel.buffers, descriptors: 'read' } as const;
  return { ...kernel, buffers, ownLibraries: [headNormsSaved], ownConstants: {} };
}

export type RopeHeadsKernel = Kernel<keyof typeof ropeKvHeads.buffers>;

/** Rows of a step, and heads of q and of k. */
export interface RopeHeadsWork {
  readonly rows: number;
  readonly heads: number;
  readonly kvHeads: number;
}

/** One thread per row and head of q, k or v. */
export const ropeKvHeadsThreads = ({ rows, heads, kvHeads }: RopeHeadsWork): number => rows * (heads + 2 * kvHeads);
