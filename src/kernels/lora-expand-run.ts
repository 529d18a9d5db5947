import source from '../../shaders/lora-expand-run.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { loraExpand } from './lora-expand.ts';

export const loraExpandRun = defineKernel({
  label: 'lora-expand-run',
  source,
  buffers: loraExpand.buffers,
  constants: loraExpand.constants,
  workgroupSize: 32,
});

/** One thread per segment and 16 columns of the group's output. */
export const loraExpandRunThreads = (segments: number, out4: number): number => segments * Math.ceil(out4 / 4);
