import source from '../../shaders/sample-chunk.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const sampleChunk = defineKernel({
  label: 'sample-chunk',
  source,
  buffers: { step: 'read', logits: 'read', adjust: 'read', trail: 'read', best: 'read_write' },
  constants: [...STEP_CONSTANTS, 'VOCABULARY', 'LOGITS_STRIDE4', 'CHUNKS', 'CHUNK4', 'OPTIONS'],
});

/** Tokens of one chunk of the vocabulary. */
export const SAMPLE_CHUNK = 256;

/** One thread per sampler and chunk. */
export const sampleChunkThreads = (samplers: number, chunks: number): number => samplers * chunks;
