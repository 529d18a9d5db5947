import source from '../../shaders/wide-shrink.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const wideShrink = defineKernel({
  label: 'wide-shrink',
  source,
  buffers: { step: 'read', descriptors: 'read', pool: 'read', x: 'read', v: 'read_write' },
  constants: [...STEP_CONSTANTS, 'WIDTH4', 'STRIDE4', 'SITE_FIRST', 'SITES', 'SITES_IN_MODEL', 'SPLITS', 'SPLIT4'],
  workgroupSize: 64,
});

/** One workgroup per segment, site and split, whatever the ranks. */
export const wideShrinkThreads = (segments: number, sites: number, splits: number): number => segments * sites * splits * 64;
