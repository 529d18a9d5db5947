import { COMMON, DESCRIPTORS, POOL } from '../../src/kernels/libraries.ts';
import { SPLIT_COLUMNS } from '../../src/kernels/lora-shrink.ts';
import { SEGMENT_ROWS, stepConstants } from '../../src/kernels/step-layout.ts';
import type { ExpandVariant, KernelSet, ShrinkVariant } from '../../src/kernels/variants.ts';
import { padded, type Group } from '../../src/model/shape.ts';
import type { LoraSegment } from '../../test/reference/lora.ts';
import { loraExpand as expandTwin } from '../../test/reference/lora-expand.ts';
import { loraShrink as shrinkTwin } from '../../test/reference/lora-shrink.ts';
import { bits, checkClose, poison, uniform, type Words } from '../../test/suites/kernel-harness.ts';
import { ratios } from '../pairs.ts';
import { gate, type Row } from '../report.ts';
import type { Bed, Timed } from './bed.ts';
import { floorOf, tileLoads, type Demand } from './floor.ts';
import { placeAdapters, planOf, POPULARITIES, slotsOf, type Placed, type Popularity } from './lora-data.ts';
import type { Bench } from './measure.ts';
import { rowsOfContest } from './rounds.ts';
import { LAYOUT, MODELS, shapeOf, type BenchModel } from './shapes.ts';
import { expandVariant, shrinkVariant } from './variants/lora.ts';

/** One group's adapters on the device, and inputs for as many rows as the largest batch has. */
interface Site {
  readonly group: Group;
  readonly placed: Placed;
  readonly descriptors: GPUBuffer;
  readonly pool: GPUBuffer;
  readonly x: GPUBuffer;
  readonly input: Words;
  readonly v: GPUBuffer;
  readonly y: GPUBuffer;
}

/** A step whose rows have adapters. */
interface Batch {
  readonly rows: number;
  readonly segments: readonly LoraSegment[];
  readonly words: Words;
  readonly step: GPUBuffer;
  readonly rankQuads: number;
}

const MOST_ROWS = 64;
const ROW_COUNTS: readonly number[] = [1, 8, 32, MOST_ROWS];
const RANKS: readonly number[] = [8, 16];
const numbers = (words: Words): Float64Array => Float64Array.from(new Float32Array(words.buffer, words.byteOffset, words.length));

function siteOf(bed: Bed, model: BenchModel, group: Group, rank: number): Site {
  const placed = placeAdapters(group, shapeOf(model).table, rank);
  const stride = padded(group.inWidth);
  const input = new Uint32Array(MOST_ROWS * stride);
  const values = bits(uniform(7)(MOST_ROWS * group.inWidth, 1));
  for (let row = 0; row < MOST_ROWS; row++) input.set(values.subarray(row * group.inWidth, (row + 1) * group.inWidth), row * stride);
  return {
    group,
    placed,
    descriptors: bed.buffer('descriptors', placed.descriptors),
    pool: bed.buffer('pool', placed.pool),
    x: bed.buffer('x', input),
    input,
    v: bed.buffer('v', poison(MOST_ROWS * group.sites * placed.splits * rank, 'output')),
    y: bed.buffer('y', new Uint32Array(MOST_ROWS * group.outWidth)),
  };
}

const dropSite = (bed: Bed, { descriptors, pool, x, v, y }: Site): void => bed.drop(descriptors, pool, x, v, y);

function batchOf({ bed, kernels }: Bench, popularity: Popularity, rows: number, rank: number): Batch {
  const { plan, segments } = planOf(LAYOUT, slotsOf(popularity, rows), rank, kernels.fullRows);
  return { rows, segments, words: plan.words, step: bed.buffer('step', plan.words), rankQuads: plan.rankQuads };
}

const twinInput = ({ group, placed }: Site, { segments }: Batch) => ({
  segments,
  adapters: placed.bySlot,
  sites: group.sites,
  splits: placed.splits,
  ranks: placed.rank,
});

const sitesOf = ({ group, placed }: Site) => ({
  ...stepConstants(LAYOUT),
  SITE_FIRST: 0,
  SITES: group.sites,
  SITES_IN_MODEL: group.sites,
  SPLITS: placed.splits,
});

const LIBRARIES = [...COMMON, POOL.f32, DESCRIPTORS];
const TOLERANCE = 2e-5;

/** A shrink on that data, once its result is right. */
async function verifiedShrink(bed: Bed, site: Site, batch: Batch, variant: ShrinkVariant): Promise<Timed> {
  const { group, placed, descriptors, pool, x, v } = site;
  const constants = { ...sitesOf(site), WIDTH4: group.inWidth / 4, STRIDE4: padded(group.inWidth) / 4, SPLIT4: SPLIT_COLUMNS / 4 };
  const work = { segments: batch.segments.length, sites: group.sites, splits: placed.splits, rankQuads: batch.rankQuads };
  const timed = await bed.prepare({
    kernel: variant.kernel,
    constants,
    libraries: LIBRARIES,
    buffers: { step: batch.step, descriptors, pool, x, v },
    threads: variant.threads(work),
  });
  const length = batch.rows * group.sites * placed.splits * placed.rank;
  const before = poison(length, 'output');
  bed.device.queue.writeBuffer(v, 0, before);
  await bed.run(timed);
  const after = await bed.read(v, length);
  const expected = numbers(before);
  const twin = { ...twinInput(site, batch), x: numbers(site.input), width: group.inWidth, xStride: padded(group.inWidth) };
  shrinkTwin({ ...twin, splitColumns: SPLIT_COLUMNS }, expected);
  const rowLength = group.sites * placed.splits * placed.rank;
  checkClose({ what: variant.kernel.label, type: 'F32', before, after, expected, rowLength, tolerance: TOLERANCE });
  return timed;
}

/** An expand of what the last shrink left, once its result is right. */
async function verifiedExpand(bed: Bed, site: Site, batch: Batch, variant: ExpandVariant): Promise<Timed> {
  const { group, placed, descriptors, pool, v, y } = site;
  const out4 = group.outWidth / 4;
  const timed = await bed.prepare({
    kernel: variant.kernel,
    constants: { ...sitesOf(site), OUT4: out4, Y_STRIDE4: out4, EVEN: true, FINISH: false },
    libraries: LIBRARIES,
    buffers: { step: batch.step, descriptors, pool, v, y },
    threads: variant.threads({ segments: batch.segments.length, out4 }),
  });
  const before = bits(uniform(9)(batch.rows * group.outWidth, 1));
  bed.device.queue.writeBuffer(y, 0, before);
  const shrunk = await bed.read(v, batch.rows * group.sites * placed.splits * placed.rank);
  await bed.run(timed);
  const after = await bed.read(y, batch.rows * group.outWidth);
  const expected = numbers(before);
  expandTwin({ ...twinInput(site, batch), v: numbers(shrunk), yStride: group.outWidth }, expected);
  checkClose({ what: variant.kernel.label, type: 'F32', before, after, expected, rowLength: group.outWidth, tolerance: TOLERANCE });
  return timed;
}

/** Rows of an adapter that a tile may have at most, and ranks or columns: of the tiles that were tried, those that load least. */
const TILE = { rows: SEGMENT_ROWS, shrink: 8, expand: 16 } as const;

/** Matrices once an adapter, x and v once a row; loads in tiles of an adapter's rows, however its segments are cut. */
function demandsOf({ group, placed }: Site, { rows, segments }: Batch): { readonly shrink: Demand; readonly expand: Demand } {
  const { inWidth, outWidth, sites } = group;
  const { rank, splits } = placed;
  const rowsOf = new Map<number, number>();
  for (const { rowCount, parts } of segments) for (const { slot } of parts) rowsOf.set(slot, (rowsOf.get(slot) ?? 0) + rowCount);
  const adapters = rowsOf.size;
  const v = 4 * splits * rows * rank * sites;
  const tiles = [...rowsOf.values()].flatMap((own) => [
    ...Array.from({ length: Math.floor(own / TILE.rows) }, () => TILE.rows),
    ...(own % TILE.rows > 0 ? [own % TILE.rows] : []),
  ]);
  const loads = (flopsOfRow: number, across: number): number =>
    tiles.reduce((sum, own) => sum + tileLoads(flopsOfRow * own, own, across), 0);
  return {
    shrink: {
      flops: 2 * inWidth * rows * rank * sites,
      bytes: 4 * inWidth * rank * sites * adapters + 4 * rows * inWidth + v,
      loads: loads(2 * inWidth * rank * sites, TILE.shrink),
    },
    expand: {
      flops: 2 * outWidth * rows * rank,
      bytes: 4 * outWidth * rank * adapters + v + 8 * rows * outWidth,
      loads: loads(2 * outWidth * rank, TILE.expand) + (2 * rows * outWidth) / 4,
    },
  };
}

/** All that a layer of a model does for its rows' adapters: shrink and expand of four groups, beside the sum of their floors. */
export async function loraRows(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const model of MODELS) {
    for (const rank of RANKS) {
      const sites = Object.values(shapeOf(model).groups).map((group) => siteOf(bench.bed, model, group, rank));
      for (const count of ROW_COUNTS) {
        for (const popularity of count === 1 ? (['distinct'] as const) : POPULARITIES) {
          const batch = batchOf(bench, popularity, count, rank);
          const name = `lora/${model.name}, rank ${rank}, ${count} rows, ${popularity}`;
          rows.push(...(await rowsOfLayer(bench, name, sites, batch)));
          bench.bed.drop(batch.step);
        }
      }
      for (const site of sites) dropSite(bench.bed, site);
    }
  }
  return rows;
}

async function rowsOfLayer({ bed, ceilings, pairs, kernels }: Bench, name: string, sites: readonly Site[], batch: Batch): Promise<Row[]> {
  const all: { readonly kind: 'shrink' | 'expand'; readonly timed: Timed; readonly demand: Demand }[] = [];
  const shipped = shippedFor(kernels, batch);
  for (const site of sites) {
    const demands = demandsOf(site, batch);
    all.push({ kind: 'shrink', timed: await verifiedShrink(bed, site, batch, shipped.shrink), demand: demands.shrink });
    all.push({ kind: 'expand', timed: await verifiedExpand(bed, site, batch, shipped.expand), demand: demands.expand });
  }
  for (const { timed } of all) await bed.time(timed);
  const found: { shrink: number; expand: number; floor: number; launches: number }[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    const now = await ceilings.now();
    const sums = { shrink: 0, expand: 0, floor: 0, launches: all.length * now.launch };
    for (const { kind, timed, demand } of all) {
      sums[kind] += await bed.time(timed);
      sums.floor += floorOf(demand, now);
    }
    found.push(sums);
  }
  const { median: value, ...spread } = ratios(found.map(({ shrink, expand, floor }) => ({ of: shrink + expand, to: floor })));
  const middle = (key: keyof (typeof found)[number]): number => ratios(found.map((each) => ({ of: each[key], to: 1 }))).median;
  const more = { shrink: middle('shrink'), expand: middle('expand'), floor: middle('floor'), launches: middle('launches') };
  return [
    { name, value: more.shrink + more.expand, unit: 'ms', ...more, segments: batch.segments.length },
    gate({ name: `${name}: shrink and expand of floor`, value, unit: 'ratio', ...spread }, '<= 1.6'),
  ];
}

/** What a model takes for such a step. */
function shippedFor({ shrink, shrinkOne, expand, expandOne }: KernelSet, { segments }: Batch) {
  const areSingle = segments.every(({ rowCount }) => rowCount === 1);
  return { shrink: (areSingle && shrinkOne) || shrink, expand: (areSingle && expandOne) || expand };
}

const FORM = { quads: 1, workgroup: 64, rows: 'inside', unroll: 1 } as const;
const SHRINKS = [
  FORM,
  { ...FORM, workgroup: 16 },
  { ...FORM, rows: 'before' },
  { ...FORM, rows: 'before', workgroup: 16 },
  { ...FORM, rows: 'exact' },
  { ...FORM, rows: 'exact', workgroup: 16 },
  { ...FORM, rows: 'exact', workgroup: 32 },
  { ...FORM, quads: 2 },
  { ...FORM, quads: 2, rows: 'before' },
  { ...FORM, quads: 2, rows: 'before', workgroup: 32 },
  { ...FORM, quads: 2, rows: 'exact' },
  { ...FORM, unroll: 2 },
] as const;
const OWN = { ...FORM, sites: 'own' } as const;
const EXPANDS = [
  { ...FORM, sites: 'all' },
  { ...FORM, sites: 'all', quads: 2 },
  OWN,
  { ...OWN, quads: 2 },
  { ...OWN, quads: 2, rows: 'before' },
  { ...OWN, quads: 2, workgroup: 32 },
  { ...OWN, quads: 2, workgroup: 128 },
  { ...OWN, quads: 4 },
  { ...OWN, quads: 4, workgroup: 32 },
  { ...OWN, quads: 4, rows: 'before' },
] as const;

/** Shrink and expand against other ways to compute them. */
export async function loraVariants(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  const { bed, kernels } = bench;
  for (const model of MODELS) {
    const { gateUp, down } = shapeOf(model).groups;
    for (const group of [gateUp, down]) {
      const site = siteOf(bed, model, group, 16);
      for (const [count, popularity] of [
        [8, 'distinct'],
        [32, 'zipf 1.5'],
        [MOST_ROWS, 'identical'],
        [MOST_ROWS, 'distinct'],
      ] as const) {
        const batch = batchOf(bench, popularity, count, 16);
        const shipped = shippedFor(kernels, batch);
        const what = `${model.name} ${group.name}, ${count} rows, ${popularity}`;
        const shrinks = [];
        for (const variant of [shipped.shrink, ...SHRINKS.map(shrinkVariant)])
          shrinks.push({ name: variant.name, timed: await verifiedShrink(bed, site, batch, variant) });
        const expands = [];
        for (const variant of [shipped.expand, ...EXPANDS.map(expandVariant)])
          expands.push({ name: variant.name, timed: await verifiedExpand(bed, site, batch, variant) });
        rows.push(...(await rowsOfContest(bench, { name: `lora-variants/shrink, ${what}`, alternatives: shrinks })));
        rows.push(...(await rowsOfContest(bench, { name: `lora-variants/expand, ${what}`, alternatives: expands })));
        bed.drop(batch.step);
      }
      dropSite(bed, site);
    }
  }
  return rows;
}
