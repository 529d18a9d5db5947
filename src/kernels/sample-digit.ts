import cuts from '../../shaders/lib/cuts.wgsl?raw';
import source from '../../shaders/sample-digit.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { SAMPLER } from './libraries.ts';
import { SAMPLER_CONSTANTS } from './sample-chunk.ts';
import { FILTER_CHUNK, type SampleWork } from './sampler-layout.ts';

export const sampleDigit = defineKernel({
  label: 'sample-digit',
  source,
  buffers: {
    step: 'read',
    stages: 'read',
    logits: 'read',
    adjust: 'read',
    extremes: 'read',
    bins: 'read_write',
    trail: 'read_write',
  },
  constants: SAMPLER_CONSTANTS,
  ownConstants: { CHUNK4: FILTER_CHUNK / 4 },
  ownLibraries: [...SAMPLER, cuts],
});

/** One thread per sampler and chunk. */
export const sampleDigitThreads = ({ samplers, vocabulary }: SampleWork): number => samplers * Math.ceil(vocabulary / FILTER_CHUNK);
