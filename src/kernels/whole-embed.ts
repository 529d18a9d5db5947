import source from '../../shaders/whole-embed.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const wholeEmbed = defineKernel({
  label: 'whole-embed',
  source,
  buffers: { step: 'read', own: 'read', weights: 'read', state: 'read', x: 'read_write' },
  constants: [...STEP_CONSTANTS, 'VOCABULARY', 'FIRST', 'COUNT', 'WIDTH8', 'SCALE'],
});
