import source from '../../shaders/ceiling-fma.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';

export const ceilingFma = defineKernel({
  label: 'ceiling-fma',
  source,
  buffers: { source: 'read', sink: 'read_write' },
  constants: ['COUNT', 'CHAINS'],
});
