import source from '../../shaders/wide-sample-chunk.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { sampleChunk } from './sample-chunk.ts';
import type { SampleWork } from './sampler-layout.ts';

/** Tokens of one chunk of the vocabulary: two quads a thread. */
export const WIDE_SAMPLE_CHUNK = 2048;

export const wideSampleChunk = defineKernel({
  ...sampleChunk,
  label: 'wide-sample-chunk',
  source,
  ownConstants: { CHUNK4: WIDE_SAMPLE_CHUNK / 4 },
  workgroupSize: 256,
});

/** One workgroup per sampler and chunk. */
export const wideSampleChunkThreads = ({ samplers, vocabulary }: SampleWork): number =>
  samplers * Math.ceil(vocabulary / WIDE_SAMPLE_CHUNK) * 256;
