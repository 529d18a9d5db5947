import source from '../../shaders/sample-digit.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

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
  constants: [...STEP_CONSTANTS, 'VOCABULARY', 'LOGITS_STRIDE4', 'CHUNKS', 'CHUNK4'],
});

/** Tokens of one chunk of the vocabulary in sample-extremes and sample-digit. */
export const FILTER_CHUNK = 512;
/** Dispatches of sample-digit, in order: those that top-k needs, those that top-p needs, and the one that writes the cut. */
export const FILTER_STAGES = { topK: [0, 1, 2], topP: [3, 4, 5], settle: 6 } as const;
/** Words that a sampler takes in `bins` and in `trail`. */
export const BIN_WORDS = 3 * 512;
export const TRAIL_WORDS = 8 * 4;

/** One thread per sampler and chunk. */
export const sampleDigitThreads = (samplers: number, chunks: number): number => samplers * chunks;
