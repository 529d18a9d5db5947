import source from '../../shaders/plain-shrink.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { SHRINK_CONSTANTS } from './lora-shrink.ts';

export const plainShrink = defineKernel({
  label: 'plain-shrink',
  source,
  buffers: { step: 'read', descriptors: 'read', pool: 'read', x: 'read', v: 'read_write' },
  constants: SHRINK_CONSTANTS,
});

/** One thread per segment, site, split and rank of the widest adapter. */
export const plainShrinkThreads = (segments: number, sites: number, splits: number, rankQuads: number): number =>
  segments * sites * splits * rankQuads * 4;
