import source from '../../shaders/ceiling-fma-four.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';

export const ceilingFmaFour = defineKernel({
  label: 'ceiling-fma-four',
  source,
  buffers: { source: 'read', sink: 'read_write' },
  constants: ['COUNT'],
});
