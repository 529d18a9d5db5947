import source from '../../shaders/ceiling-loads.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';

export const ceilingLoads = defineKernel({
  label: 'ceiling-loads',
  source,
  buffers: { source: 'read', sink: 'read_write' },
  constants: ['COUNT', 'APART'],
});
