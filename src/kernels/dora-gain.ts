import source from '../../shaders/dora-gain.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';

const SHAPE: readonly string[] = ['WIDTH4', 'WIDTH8', 'SCALES_AT'];

export const doraGain = defineKernel({
  label: 'dora-gain',
  source,
  buffers: { job: 'read', weights: 'read', pool: 'read_write' },
  constants: SHAPE,
  runtime: SHAPE,
});

/** One workgroup per 4 outputs. */
export const doraGainThreads = (quads: number): number => quads * 64;
