import source from '../../shaders/lora-shrink.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const loraShrink = defineKernel({
  label: 'lora-shrink',
  source,
  buffers: { step: 'read', descriptors: 'read', pool: 'read', x: 'read', v: 'read_write' },
  constants: [...STEP_CONSTANTS, 'WIDTH4', 'STRIDE4', 'SITE_FIRST', 'SITES', 'SITES_IN_MODEL', 'SPLITS', 'SPLIT4'],
  // a decode step has so few threads that workgroups of 64 would leave cores without any
  workgroupSize: 16,
});

/** Columns of x that one thread sums; splits depend on the width only, so that a sum never depends on the batch. */
export const SPLIT_COLUMNS = 512;

export const splitsOf = (width: number): number => Math.ceil(width / SPLIT_COLUMNS);

/** One thread per segment, site, split and 8 ranks of the widest adapter. */
export const loraShrinkThreads = (segments: number, sites: number, splits: number, rankQuads: number): number =>
  segments * sites * splits * Math.ceil(rankQuads / 2);
