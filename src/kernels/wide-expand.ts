import source from '../../shaders/wide-expand.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { EXPAND_CONSTANTS, loraExpand } from './lora-expand.ts';

export const wideExpand = defineKernel({
  label: 'wide-expand',
  source,
  buffers: loraExpand.buffers,
  constants: EXPAND_CONSTANTS,
});

/** One thread per segment and 4 columns of the group's output. */
export const wideExpandThreads = (segments: number, out4: number): number => segments * out4;
