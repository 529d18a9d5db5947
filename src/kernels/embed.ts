import source from '../../shaders/embed.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const embed = defineKernel({
  label: 'embed',
  source,
  buffers: { step: 'read', weights: 'read', state: 'read', x: 'read_write' },
  constants: [...STEP_CONSTANTS, 'VOCABULARY', 'FIRST', 'COUNT', 'WIDTH8', 'SCALES_AT', 'SCALE'],
});

/** One thread per row and 8 columns. */
export const embedThreads = (rows: number, width8: number): number => rows * width8;
