import candidates from '../../shaders/lib/candidates.wgsl?raw';
import source from '../../shaders/sample-chunk.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { PHILOX, SAMPLER } from './libraries.ts';
import { SAMPLE_CHUNK, type SampleWork } from './sampler-layout.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

/** What every kernel of the sampler takes that reads logits. */
export const SAMPLER_CONSTANTS: readonly string[] = [...STEP_CONSTANTS, 'VOCABULARY', 'LOGITS_STRIDE4', 'CHUNK4'];

export const sampleChunk = defineKernel({
  label: 'sample-chunk',
  source,
  buffers: { step: 'read', logits: 'read', adjust: 'read', trail: 'read', best: 'read_write' },
  constants: [...SAMPLER_CONSTANTS, 'OPTIONS'],
  ownConstants: { CHUNK4: SAMPLE_CHUNK / 4 },
  ownLibraries: [...SAMPLER, PHILOX, candidates],
});

/** One thread per sampler and chunk. */
export const sampleChunkThreads = ({ samplers, vocabulary }: SampleWork): number => samplers * Math.ceil(vocabulary / SAMPLE_CHUNK);
