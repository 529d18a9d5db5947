import type { Kernel } from '../gpu/kernel.ts';
import { attention, attentionThreads } from './attention.ts';
import { loraExpand, loraExpandThreads } from './lora-expand.ts';
import { loraShrink, loraShrinkThreads } from './lora-shrink.ts';
import { matmulRow, matmulRowThreads } from './matmul-row.ts';
import { matmulTile, matmulTileThreads } from './matmul-tile.ts';

/** One way to compute what a hot kernel computes: every variant of it binds the same buffers, takes the same constants and writes the same. */
export interface Variant<Binding extends string, Work> {
  readonly name: string;
  readonly kernel: Kernel<Binding>;
  /** Invocations that so much work takes; whole workgroups are started. */
  readonly threads: (work: Work) => number;
}

/** Rows of x, and rows of the plane divided by 4. */
export interface MatmulWork {
  readonly rows: number;
  readonly out4: number;
}

export interface ShrinkWork {
  readonly segments: number;
  readonly sites: number;
  readonly splits: number;
  /** Of the widest adapter in the step. */
  readonly rankQuads: number;
}

export interface ExpandWork {
  readonly segments: number;
  readonly out4: number;
}

export interface AttentionWork {
  readonly rows: number;
  readonly kvHeads: number;
}

export type MatmulVariant = Variant<keyof typeof matmulRow.buffers, MatmulWork>;
export type ShrinkVariant = Variant<keyof typeof loraShrink.buffers, ShrinkWork>;
export type ExpandVariant = Variant<keyof typeof loraExpand.buffers, ExpandWork>;
export type AttentionVariant = Variant<keyof typeof attention.buffers, AttentionWork>;

/** A variant of each hot kernel: what a model is built with. */
export interface KernelSet {
  /** Each serves steps of so many rows at most, the last one all others. */
  readonly matmul: readonly { readonly mostRows: number; readonly variant: MatmulVariant }[];
  readonly shrink: ShrinkVariant;
  readonly expand: ExpandVariant;
  readonly attention: AttentionVariant;
}

const row: MatmulVariant = { name: 'row', kernel: matmulRow, threads: ({ rows, out4 }) => matmulRowThreads(rows, out4) };
const tile: MatmulVariant = { name: 'tile', kernel: matmulTile, threads: ({ rows, out4 }) => matmulTileThreads(rows, out4) };

/** No barrier, several outputs a thread: for devices that run on the CPU, where a barrier costs as much as the work between two. */
export const NARROW: KernelSet = {
  matmul: [
    { mostRows: 1, variant: row },
    { mostRows: Infinity, variant: tile },
  ],
  shrink: {
    name: 'narrow',
    kernel: loraShrink,
    threads: ({ segments, sites, splits, rankQuads }) => loraShrinkThreads(segments, sites, splits, rankQuads),
  },
  expand: { name: 'narrow', kernel: loraExpand, threads: ({ segments, out4 }) => loraExpandThreads(segments, out4) },
  attention: { name: 'narrow', kernel: attention, threads: ({ rows, kvHeads }) => attentionThreads(rows, kvHeads) },
};
