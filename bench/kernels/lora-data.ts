import { splitsOf } from '../../src/kernels/lora-shrink.ts';
import type { StepLayout } from '../../src/kernels/step-layout.ts';
import { PART_WORDS, SEGMENT_WORDS } from '../../src/kernels/step-layout.ts';
import { createPlanner, type Plan } from '../../src/model/plan.ts';
import type { Group } from '../../src/model/shape.ts';
import type { LoraMatrices, LoraSegment } from '../../test/reference/lora.ts';
import { bits, poison, uniform, type Words } from '../../test/suites/kernel-harness.ts';
import { floatBits } from '../../test/suites/kernel-step.ts';
import type { SiteTable } from '../../src/adapters/sites.ts';

/** Who asks in a batch: all for one adapter, each of 64 as likely, by a power law of 1.5, or each row for one of its own. */
export const POPULARITIES = ['identical', 'uniform', 'zipf 1.5', 'distinct'] as const;
export type Popularity = (typeof POPULARITIES)[number];

export const ADAPTERS = 64;

/** The slot of each row, from 1 on. */
export function slotsOf(popularity: Popularity, rows: number): number[] {
  const draws = uniform(rows)(rows, 0.5).map((value) => value + 0.5);
  if (popularity === 'identical') return Array.from({ length: rows }, () => 1);
  if (popularity === 'distinct') return Array.from({ length: rows }, (_, i) => 1 + i);
  if (popularity === 'uniform') return [...draws].map((draw) => 1 + (Math.floor(draw * ADAPTERS) % ADAPTERS));
  const shares = Array.from({ length: ADAPTERS }, (_, i) => (i + 1) ** -1.5);
  const all = shares.reduce((a, b) => a + b);
  return [...draws].map((draw) => {
    let rest = draw * all;
    const found = shares.findIndex((share) => (rest -= share) <= 0);
    return 1 + (found < 0 ? ADAPTERS - 1 : found);
  });
}

/** A decode step of rows with these slots, as the planner makes it; its words are a copy. */
export function planOf(
  layout: StepLayout,
  slots: readonly number[],
  rank: number,
  fullRows: number | undefined,
): { readonly plan: Plan; readonly segments: LoraSegment[] } {
  const items = slots.map((slot, i) => ({
    slot: i,
    start: 0,
    count: 1,
    tokens: [0],
    parts: [{ slot, scale: 1, rank4: rank }],
    logitRows: 0,
    logits: 'stay' as const,
    sampler: undefined,
  }));
  const planned = createPlanner(layout, fullRows)(items);
  const plan = { ...planned, words: planned.words.slice() };
  const { words } = plan;
  const segments = Array.from({ length: plan.segments }, (_, i): LoraSegment => {
    const [rowStart, rowCount, partStart, parts, vRow] = words.subarray(layout.segmentsAt + i * SEGMENT_WORDS) as unknown as number[];
    const ofParts = Array.from({ length: parts! }, (_, p) => ({ slot: words[layout.partsAt + (partStart! + p) * PART_WORDS]!, scale: 1 }));
    return { rowStart: rowStart!, rowCount: rowCount!, vRow: vRow!, parts: ofParts };
  });
  return { plan, segments };
}

/** 64 adapters of one rank on every site of a group. */
export interface Placed {
  readonly rank: number;
  readonly splits: number;
  readonly bySlot: readonly (readonly (LoraMatrices | undefined)[])[];
  readonly descriptors: Words;
  readonly pool: Words;
}

export function placeAdapters(group: Group, table: SiteTable, rank: number): Placed {
  const random = uniform(rank + group.inWidth);
  const sites = table.sites.slice(group.siteFirst, group.siteFirst + group.sites);
  const descriptors = new Uint32Array((ADAPTERS + 1) * group.sites * 8);
  const numbers = ADAPTERS * sites.reduce((sum, { inWidth, outWidth }) => sum + rank * (inWidth + outWidth), 0);
  const pool = poison(numbers + 256, 'input');
  let at = 64; // in words; a multiple of 64, as 256 bytes are
  const place = (values: Float32Array<ArrayBuffer>): number => {
    const quad = at / 4;
    pool.set(bits(values), at);
    at += values.length;
    return quad;
  };
  const bySlot = Array.from({ length: ADAPTERS + 1 }, (_, slot) =>
    sites.map(({ inWidth, outWidth, outStart }, site): LoraMatrices | undefined => {
      if (slot === 0) return undefined;
      const a = random(inWidth * rank, 1 / Math.sqrt(inWidth));
      const b = random(rank * outWidth, 1 / Math.sqrt(rank));
      const scale = 0.5 + slot / 64;
      descriptors.set([place(a), place(b), rank, floatBits(scale), outStart, outWidth], (slot * group.sites + site) * 8);
      return { rank, scale, outStart, outWidth, a, b };
    }),
  );
  return { rank, splits: splitsOf(group.inWidth), bySlot, descriptors, pool };
}
