import { plainAttention, plainAttentionThreads } from './plain-attention.ts';
import { plainExpand, plainExpandThreads } from './plain-expand.ts';
import { plainMatmul, plainMatmulThreads } from './plain-matmul.ts';
import { plainShrink, plainShrinkThreads } from './plain-shrink.ts';
import { CHUNK_SAMPLER, ROW_NORM, type KernelSet } from './variants.ts';

/** The simplest loop for each output: what other sets are checked against on a device, and what serves where all of them fail. */
export const PLAIN: KernelSet = {
  matmul: [
    {
      mostRows: Infinity,
      variant: { name: 'plain', kernel: plainMatmul, threads: ({ rows, out4 }) => plainMatmulThreads(rows, out4) },
    },
  ],
  shrink: {
    name: 'plain',
    kernel: plainShrink,
    threads: ({ segments, sites, splits, rankQuads }) => plainShrinkThreads(segments, sites, splits, rankQuads),
  },
  expand: { name: 'plain', kernel: plainExpand, threads: ({ segments, out4 }) => plainExpandThreads(segments, out4) },
  attention: { name: 'plain', kernel: plainAttention, threads: ({ rows, kvHeads }) => plainAttentionThreads(rows, kvHeads) },
  rmsNorm: ROW_NORM,
  sampler: CHUNK_SAMPLER,
};
