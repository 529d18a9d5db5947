import source from '../../shaders/lora-shrink.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

const SHAPE: readonly string[] = ['WIDTH4', 'STRIDE4', 'SITE_FIRST', 'SITES', 'SPLITS', 'SPLIT4'];
/** What every shrink takes. */
export const SHRINK_CONSTANTS: readonly string[] = [...STEP_CONSTANTS, ...SHAPE, 'SITES_IN_MODEL'];

export const loraShrink = defineKernel({
  label: 'lora-shrink',
  source,
  buffers: { step: 'read', descriptors: 'read', pool: 'read', x: 'read', v: 'read_write' },
  constants: [...SHRINK_CONSTANTS, 'ROWS'],
  runtime: SHAPE,
});

/** Columns of x that are summed apart; splits depend on the width only, so that a sum never depends on the batch. */
export const SPLIT_COLUMNS = 512;

export const splitsOf = (width: number): number => Math.ceil(width / SPLIT_COLUMNS);

/** `lanes` threads, which sum together, per segment, site and split. */
export const loraShrinkThreads = (lanes: number, segments: number, sites: number, splits: number): number =>
  segments * sites * splits * lanes;
