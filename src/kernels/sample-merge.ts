import chunks from '../../shaders/lib/chunks.wgsl?raw';
import taken from '../../shaders/lib/taken.wgsl?raw';
import source from '../../shaders/sample-merge.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { SAMPLE_CHUNK, type SampleWork } from './sampler-layout.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const sampleMerge = defineKernel({
  label: 'sample-merge',
  source,
  buffers: { step: 'read', best: 'read', state: 'read_write', adjust: 'read_write', ids: 'read_write' },
  constants: [...STEP_CONSTANTS, 'VOCABULARY', 'CHUNK4'],
  ownConstants: { CHUNK4: SAMPLE_CHUNK / 4 },
  ownLibraries: [chunks, taken],
});

/** One thread per sampler. */
export const sampleMergeThreads = ({ samplers }: SampleWork): number => samplers;
