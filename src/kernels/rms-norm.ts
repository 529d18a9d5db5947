import normBase from '../../shaders/lib/norm-base.wgsl?raw';
import normSaved from '../../shaders/lib/norm-saved.wgsl?raw';
import source from '../../shaders/rms-norm.wgsl?raw';
import { defineKernel, type Kernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

/** What the form for saved norms reads, and the base's does not. */
const SAVED = { NORM_AT: 0, SITES_IN_MODEL: 0 } as const;
/** What every norm takes. */
export const NORM_CONSTANTS: readonly string[] = [
  ...STEP_CONSTANTS,
  'WIDTH4',
  'STRIDE4',
  'EPSILON',
  'GATHER',
  'ADD',
  ...Object.keys(SAVED),
];
/** What makes a norm that of the base. */
export const BASE_NORM = { ownConstants: SAVED, ownLibraries: [normBase] };

export const rmsNorm = defineKernel({
  ...BASE_NORM,
  label: 'rms-norm',
  source,
  buffers: { step: 'read', x: 'read', weight: 'read', y: 'read_write' },
  constants: NORM_CONSTANTS,
});

/** One thread per row. */
export const rmsNormThreads = (rows: number): number => rows;

export type SavedNormBinding = keyof typeof rmsNorm.buffers | 'descriptors' | 'pool';

/** A norm in the form that takes the weights of a row's adapter where that saved any; besides it takes NORM_AT and SITES_IN_MODEL. */
export function savedNorm({ ownConstants, ownLibraries, ...kernel }: Kernel<keyof typeof rmsNorm.buffers>): Kernel<SavedNormBinding> {
  const libraries = (ownLibraries ?? []).map((library) => (library === normBase ? normSaved : library));
  const constants = Object.entries(ownConstants ?? {}).filter(([name]) => !(name in SAVED));
  return {
    ...kernel,
    buffers: { ...kernel.buffers, descriptors: 'read', pool: 'read' },
    ownLibraries: libraries,
    ownConstants: Object.fromEntries(constants),
  };
}
