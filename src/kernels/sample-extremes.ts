import extremes from '../../shaders/lib/extremes.wgsl?raw';
import source from '../../shaders/sample-extremes.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { SAMPLER } from './libraries.ts';
import { SAMPLER_CONSTANTS } from './sample-chunk.ts';
import { FILTER_CHUNK, type SampleWork } from './sampler-layout.ts';

export const sampleExtremes = defineKernel({
  label: 'sample-extremes',
  source,
  buffers: { step: 'read', logits: 'read', adjust: 'read', extremes: 'read_write', bins: 'read_write' },
  constants: SAMPLER_CONSTANTS,
  ownConstants: { CHUNK4: FILTER_CHUNK / 4 },
  ownLibraries: [...SAMPLER, extremes],
});

/** One thread per sampler and chunk. */
export const sampleExtremesThreads = ({ samplers, vocabulary }: SampleWork): number => samplers * Math.ceil(vocabulary / FILTER_CHUNK);
