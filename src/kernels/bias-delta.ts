import source from '../../shaders/bias-delta.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';

/** One thread per 4 outputs. */
export const biasDelta = defineKernel({
  label: 'bias-delta',
  source,
  buffers: { job: 'read', base: 'read', pool: 'read_write' },
  constants: [],
});
