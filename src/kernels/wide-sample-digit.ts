import source from '../../shaders/wide-sample-digit.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { sampleDigit } from './sample-digit.ts';
import type { SampleWork } from './sampler-layout.ts';

/** Tokens of one chunk of the vocabulary in wide-sample-extremes and wide-sample-digit: four quads a thread. */
export const WIDE_FILTER_CHUNK = 4096;

export const wideSampleDigit = defineKernel({
  ...sampleDigit,
  label: 'wide-sample-digit',
  source,
  ownConstants: { CHUNK4: WIDE_FILTER_CHUNK / 4 },
  workgroupSize: 256,
});

/** One workgroup per sampler and chunk. */
export const wideSampleDigitThreads = ({ samplers, vocabulary }: SampleWork): number =>
  samplers * Math.ceil(vocabulary / WIDE_FILTER_CHUNK) * 256;
