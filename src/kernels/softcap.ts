import source from '../../shaders/softcap.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const softcap = defineKernel({
  label: 'softcap',
  source,
  buffers: { step: 'read', logits: 'read_write' },
  constants: [...STEP_CONSTANTS, 'STRIDE4', 'CAP'],
});

/** One thread per row and 4 columns. */
export const softcapThreads = (rows: number, stride4: number): number => rows * stride4;
