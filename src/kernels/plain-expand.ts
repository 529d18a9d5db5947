import source from '../../shaders/plain-expand.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { EXPAND_CONSTANTS } from './lora-expand.ts';

export const plainExpand = defineKernel({
  label: 'plain-expand',
  source,
  buffers: { step: 'read', descriptors: 'read', pool: 'read', v: 'read', y: 'read_write' },
  constants: EXPAND_CONSTANTS,
});

/** One thread per segment and column of the group's output. */
export const plainExpandThreads = (segments: number, out4: number): number => segments * out4 * 4;
