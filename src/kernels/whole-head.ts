import reduceMemory from '../../shaders/lib/reduce-memory.wgsl?raw';
import rowsAlone from '../../shaders/lib/rows-alone.wgsl?raw';
import rowsTogether from '../../shaders/lib/rows-together.wgsl?raw';
import source from '../../shaders/whole-head.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

/** A thread sums alone: for devices that run on the CPU. */
export const wholeHead = defineKernel({
  label: 'whole-head',
  source,
  buffers: { step: 'read', own: 'read', weights: 'read', x: 'read', y: 'read_write' },
  constants: [...STEP_CONSTANTS, 'WIDTH8', 'OUT4', 'OUT_AT4', 'Y_STRIDE4'],
  ownLibraries: [rowsAlone],
});

/** A workgroup sums together. */
export const wholeHeadTogether = defineKernel({ ...wholeHead, ownLibraries: [rowsTogether, reduceMemory] });

/** One thread, or one workgroup, per segment of logit rows and 4 outputs. */
export const wholeHeadThreads = (segments: number, out4: number, together: 'yes' | 'no'): number =>
  segments * out4 * (together === 'yes' ? 64 : 1);
