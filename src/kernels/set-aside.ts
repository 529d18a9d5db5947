import source from '../../shaders/set-aside.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { SEGMENT_ROWS, STEP_CONSTANTS } from './step-layout.ts';

export const setAside = defineKernel({
  label: 'set-aside',
  source,
  buffers: { step: 'read', descriptors: 'read', y: 'read_write', kept: 'read_write' },
  constants: [...STEP_CONSTANTS, 'GAIN_AT', 'SITES_IN_MODEL', 'OUT4', 'Y_STRIDE4', 'BACK'],
});

/** One thread per segment, row of it and 4 columns. */
export const setAsideThreads = (segments: number, out4: number): number => segments * SEGMENT_ROWS * out4;
