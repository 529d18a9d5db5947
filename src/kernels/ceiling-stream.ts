import source from '../../shaders/ceiling-stream.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';

export const ceilingStream = defineKernel({
  label: 'ceiling-stream',
  source,
  buffers: { source: 'read', sink: 'read_write' },
  constants: ['COUNT', 'APART', 'STEP'],
});
