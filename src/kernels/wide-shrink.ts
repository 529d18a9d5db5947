import source from '../../shaders/wide-shrink.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { SHRINK_CONSTANTS } from './lora-shrink.ts';

export const wideShrink = defineKernel({
  label: 'wide-shrink',
  source,
  buffers: { step: 'read', descriptors: 'read', pool: 'read', x: 'read', v: 'read_write' },
  constants: SHRINK_CONSTANTS,
  workgroupSize: 64,
});

/** One workgroup per segment, site and split, whatever the ranks. */
export const wideShrinkThreads = (segments: number, sites: number, splits: number): number => segments * sites * splits * 64;
