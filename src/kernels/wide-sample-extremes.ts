import source from '../../shaders/wide-sample-extremes.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { sampleExtremes } from './sample-extremes.ts';
import type { SampleWork } from './sampler-layout.ts';
import { WIDE_FILTER_CHUNK } from './wide-sample-digit.ts';

export const wideSampleExtremes = defineKernel({
  ...sampleExtremes,
  label: 'wide-sample-extremes',
  source,
  ownConstants: { CHUNK4: WIDE_FILTER_CHUNK / 4 },
  workgroupSize: 256,
});

/** One workgroup per sampler and chunk. */
export const wideSampleExtremesThreads = ({ samplers, vocabulary }: SampleWork): number =>
  samplers * Math.ceil(vocabulary / WIDE_FILTER_CHUNK) * 256;
