import source from '../../shaders/wide-rope-kv-heads.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { ropeKvHeads, ropeKvHeadsThreads, type RopeHeadsWork } from './rope-kv-heads.ts';

const WORKGROUP_SIZE = 32; // quads of a head of 128

export const wideRopeKvHeads = defineKernel({
  label: 'wide-rope-kv-heads',
  source,
  buffers: { step: 'read', rope: 'read', blocks: 'read', state: 'read', vectors: 'read', qkv: 'read_write', pool: 'read_write' },
  constants: ropeKvHeads.constants,
  ownLibraries: ropeKvHeads.ownLibraries!,
  ownConstants: ropeKvHeads.ownConstants!,
  workgroupSize: WORKGROUP_SIZE,
});

/** One workgroup per row and head of q, k or v. */
export const wideRopeKvHeadsThreads = (work: RopeHeadsWork): number => ropeKvHeadsThreads(work) * WORKGROUP_SIZE;
