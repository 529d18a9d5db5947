import source from '../../shaders/ceiling-fma-eight.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';

export const ceilingFmaEight = defineKernel({
  label: 'ceiling-fma-eight',
  source,
  buffers: { source: 'read', sink: 'read_write' },
  constants: ['COUNT'],
});
