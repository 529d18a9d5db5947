import source from '../../shaders/sample-merge.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const sampleMerge = defineKernel({
  label: 'sample-merge',
  source,
  buffers: { step: 'read', best: 'read', state: 'read_write', adjust: 'read_write', ids: 'read_write' },
  constants: [...STEP_CONSTANTS, 'VOCABULARY', 'CHUNKS'],
});

/** One thread per sampler. */
export const sampleMergeThreads = (samplers: number): number => samplers;
