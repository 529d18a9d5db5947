import source from '../../shaders/sample-extremes.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const sampleExtremes = defineKernel({
  label: 'sample-extremes',
  source,
  buffers: { step: 'read', logits: 'read', adjust: 'read', extremes: 'read_write', bins: 'read_write' },
  constants: [...STEP_CONSTANTS, 'VOCABULARY', 'LOGITS_STRIDE4', 'CHUNKS', 'CHUNK4'],
});

/** One thread per sampler and chunk. */
export const sampleExtremesThreads = (samplers: number, chunks: number): number => samplers * chunks;
