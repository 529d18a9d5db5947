import source from '../../shaders/embed-pair.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { SEGMENT_ROWS, STEP_CONSTANTS } from './step-layout.ts';

export const embedPair = defineKernel({
  label: 'embed-pair',
  source,
  buffers: { step: 'read', descriptors: 'read', pool: 'read', state: 'read', x: 'read_write' },
  constants: [...STEP_CONSTANTS, 'SITES_IN_MODEL', 'VOCABULARY', 'SITE', 'OUT4', 'STRIDE4', 'SCALE'],
});

/** One thread per segment, row of it and 4 columns. */
export const embedPairThreads = (segments: number, out4: number): number => segments * SEGMENT_ROWS * out4;
