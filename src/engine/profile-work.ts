import { createAdapterPool } from '../adapters/pool.ts';
import { traitsOf, type PackedAdapter } from '../adapters/sites.ts';
import { WebLoraError } from '../errors.ts';
import { openFolder } from '../formats/folder.ts';
import { toF16 } from '../formats/half.ts';
import { PAGE_TOKENS } from '../kernels/step-layout.ts';
import type { Model } from '../model/model.ts';
import type { Part, StepItem } from '../model/plan.ts';
import { GREEDY } from '../model/sampling.ts';
import type { ModelWeights } from '../model/weights.ts';
import { readFolder } from './adapter-folder.ts';
import type { ServingDevice } from './device.ts';
import { hubAccess } from './hub-options.ts';
import { ceilingNumbers } from './profile-ceilings.ts';
import { PART_OF_GROUP, type DensePlane, type StepWork } from './profile-demands.ts';
import type { ProfileOptions, ProfiledStep } from './profile-report.ts';

/** An adapter on the device. */
export interface PlacedAdapter {
  readonly part: Part;
  readonly packed: PackedAdapter;
}

/** A step to be taken apart. */
export interface ProfileStep {
  readonly name: ProfiledStep['step'];
  readonly items: readonly StepItem[];
}

/** How large steps are, with every default filled in. */
export interface StepSizes {
  readonly rows: number;
  readonly context: number;
  readonly promptRows: number;
}

/** Pages of one sequence. */
const pagesOf = ({ context, promptRows }: StepSizes): number => Math.ceil(Math.max(context, promptRows) / PAGE_TOKENS);

/**
 * Reads adapters and puts them at the end of the pool, behind the pages of as many sequences as the steps have.
 * @throws WebLoraError `out_of_memory` where the pool is too small, and what reading throws.
 */
export async function placeAdapters(
  device: ServingDevice,
  { adapters = [], signal, ...options }: ProfileOptions,
  sizes: StepSizes,
): Promise<readonly PlacedAdapter[]> {
  const { model, precision } = device;
  const kept = sizes.rows * pagesOf(sizes);
  let end = model.pool.pages;
  requireRoom(model, kept, end);
  const placed: PlacedAdapter[] = [];
  for (const [i, source] of adapters.entries()) {
    const folder = await openFolder(source, { signal, hub: hubAccess(options) });
    const base = { table: model.shape.table, config: model.config, precision };
    const packed = await readFolder(folder, base, { signal });
    await device.reserveRank(packed.rank4);
    const traits = traitsOf(packed);
    await device.reserveTraits(traits);
    const pool = createAdapterPool(device.model.pool, model.shape.table, { finisher: device.model.finisher });
    const pages = pool.pagesOf(packed);
    end -= pages;
    requireRoom(model, kept, end);
    await pool.write({ slot: i + 1, firstPage: end, pages }, packed);
    placed.push({ part: { slot: i + 1, scale: 1, rank4: packed.rank4, traits }, packed });
  }
  return placed;
}

function requireRoom({ pool }: Model, kept: number, end: number): void {
  if (kept <= end) return;
  const message = `The pool has ${pool.pages} pages; ${kept} for the sequences of a profiled step and ${pool.pages - end} for its adapters are too many`;
  throw new WebLoraError('out_of_memory', `${message}. Raise memory.pool (--pool-memory), or lower rows or context.`);
}

/** The same tokens in every run, no two sequences alike. */
function tokensOf(slot: number, start: number, count: number, vocabulary: number): number[] {
  return Array.from({ length: count }, (_, i) => (Math.imul(slot * 7919 + start + i + 1, 2_654_435_761) >>> 0) % vocabulary);
}

/** The steps that are taken apart: one row of each sequence, and the first chunk of a prompt, whose last row samples. */
export function profileSteps({ model }: ServingDevice, placed: readonly PlacedAdapter[], sizes: StepSizes): readonly ProfileStep[] {
  const { rows, context, promptRows } = sizes;
  const item = (slot: number, start: number, count: number): StepItem => ({
    slot,
    start,
    count,
    tokens: tokensOf(slot, start, count, model.config.vocabSize),
    parts: placed.length === 0 ? [] : [placed[slot % placed.length]!.part],
    logitRows: 1,
    logits: 'stay',
    sampler: GREEDY,
  });
  return [
    { name: 'decode', items: Array.from({ length: rows }, (_, slot) => item(slot, context - 1, 1)) },
    { name: 'prefill', items: [item(0, 0, promptRows)] },
  ];
}

/** Gives each sequence pages of its own, full of numbers: how long attention takes does not depend on which, but they are to be some. */
export function fillPages({ model: { pool, setPages }, precision }: ServingDevice, sizes: StepSizes): void {
  const each = pagesOf(sizes);
  const numbers = ceilingNumbers(pool.pageBytes / (precision === 'exact' ? 4 : 2));
  const words = new Uint32Array(precision === 'exact' ? numbers.buffer : toF16(numbers).buffer);
  for (let slot = 0; slot < sizes.rows; slot++) {
    const pages = Array.from({ length: each }, (_, page) => slot * each + page);
    setPages(slot, 0, pages);
    for (const page of pages) for (const layer of pool.layers.keys()) pool.write(layer, page * pool.pageBytes, words);
  }
}

/** What a step computes, as what `demandsOf` takes. */
export function workOf({ model, precision }: ServingDevice, placed: readonly PlacedAdapter[], items: readonly StepItem[]): StepWork {
  const { config, shape, weights } = model;
  const rows = items.flatMap(({ slot, start, count }) => Array.from({ length: count }, (_, i) => ({ slot, position: start + i })));
  const samplers = items.filter(({ sampler }) => sampler !== undefined).length;
  const adapters = placed.map(({ part, packed }) => ({
    rows: items.filter(({ parts }) => parts.includes(part)).reduce((sum, { count }) => sum + count, 0),
    rank4: (layer: number, site: number): number => packed.layers[layer]?.matrices.find((matrix) => matrix.site === site)?.rank4 ?? 0,
  }));
  return {
    config,
    shape,
    poolType: precision === 'exact' ? 'f32' : 'f16',
    planes: planesOf(weights),
    rows: rows.length,
    positions: rows.map(({ position }) => position),
    sequences: rows.map(({ slot }) => slot),
    logitRows: items.reduce((sum, { logitRows }) => sum + logitRows, 0),
    samplers,
    adapters: adapters.filter(({ rows: own }) => own > 0),
  };
}

function planesOf({ layers, head }: ModelWeights): readonly DensePlane[] {
  const cut = (plane: ModelWeights['head'], part: DensePlane['part']): DensePlane[] =>
    plane.chunks.map(({ type, rows }) => ({ part, type, width: plane.width, rows }));
  const inLayers = layers.flatMap((layer) =>
    (['qkv', 'o', 'gateUp', 'down'] as const).flatMap((group) => cut(layer[group], PART_OF_GROUP[group])),
  );
  return [...inLayers, ...cut(head, 'head')];
}
