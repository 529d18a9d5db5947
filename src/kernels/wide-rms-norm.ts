import source from '../../shaders/wide-rms-norm.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { BASE_NORM, NORM_CONSTANTS } from './rms-norm.ts';

export const wideRmsNorm = defineKernel({
  ...BASE_NORM,
  label: 'wide-rms-norm',
  source,
  buffers: { step: 'read', x: 'read', weight: 'read', y: 'read_write' },
  constants: NORM_CONSTANTS,
  workgroupSize: 128,
});

/** One workgroup per row. */
export const wideRmsNormThreads = (rows: number): number => rows * 128;
