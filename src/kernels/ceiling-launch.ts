import source from '../../shaders/ceiling-launch.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';

export const ceilingLaunch = defineKernel({
  label: 'ceiling-launch',
  source,
  buffers: { source: 'read', sink: 'read_write' },
  constants: [],
});
