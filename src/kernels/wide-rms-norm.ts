import source from '../../shaders/wide-rms-norm.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const wideRmsNorm = defineKernel({
  label: 'wide-rms-norm',
  source,
  buffers: { step: 'read', x: 'read', weight: 'read', y: 'read_write' },
  constants: [...STEP_CONSTANTS, 'WIDTH4', 'STRIDE4', 'EPSILON', 'GATHER'],
  workgroupSize: 128,
});

/** One workgroup per row. */
export const wideRmsNormThreads = (rows: number): number => rows * 128;
