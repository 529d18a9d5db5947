import source from '../../shaders/wide-sample-merge.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { sampleMerge } from './sample-merge.ts';
import type { SampleWork } from './sampler-layout.ts';
import { WIDE_SAMPLE_CHUNK } from './wide-sample-chunk.ts';

export const wideSampleMerge = defineKernel({
  ...sampleMerge,
  label: 'wide-sample-merge',
  source,
  ownConstants: { CHUNK4: WIDE_SAMPLE_CHUNK / 4 },
  workgroupSize: 128,
});

/** One workgroup per sampler. */
export const wideSampleMergeThreads = ({ samplers }: SampleWork): number => samplers * 128;
