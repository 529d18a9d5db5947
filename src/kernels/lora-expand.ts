import source from '../../shaders/lora-expand.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const loraExpand = defineKernel({
  label: 'lora-expand',
  source,
  buffers: { step: 'read', descriptors: 'read', pool: 'read', v: 'read', y: 'read_write' },
  constants: [...STEP_CONSTANTS, 'OUT4', 'Y_STRIDE4', 'SITE_FIRST', 'SITES', 'SITES_IN_MODEL', 'SPLITS'],
});

/** One thread per segment and 4 columns of the group's output. */
export const loraExpandThreads = (segments: number, out4: number): number => segments * out4;
