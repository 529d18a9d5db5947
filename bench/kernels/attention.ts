import { ATTENTION, COMMON, POOL, STATE } from '../../src/kernels/libraries.ts';
import { PAGE_TOKENS, stepConstants } from '../../src/kernels/step-layout.ts';
import type { AttentionVariant, KernelSet } from '../../src/kernels/variants.ts';
import { padded } from '../../src/model/shape.ts';
import { attention as attentionTwin } from '../../test/reference/attention.ts';
import type { PlacedRow } from '../../test/reference/paged.ts';
import { bits, checkClose, poison, uniform, type Words } from '../../test/suites/kernel-harness.ts';
import { stepWords } from '../../test/suites/kernel-step.ts';
import type { Row } from '../report.ts';
import type { Bed, Timed } from './bed.ts';
import type { Demand } from './floor.ts';
import type { Bench } from './measure.ts';
import { rowsOfContest, rowsOfSubjects, type Subject } from './rounds.ts';
import { LAYOUT, MODELS, type BenchModel } from './shapes.ts';
import { attentionForm, attentionTile, type AttentionForm } from './variants/attention.ts';

/** Some rows that attend, with their keys and values on the device. */
interface Place {
  readonly model: BenchModel;
  readonly rows: readonly PlacedRow[];
  readonly blocks: Words;
  readonly pagesPerRow: number;
  readonly buffers: Readonly<Record<'step' | 'blocks' | 'state' | 'qkv' | 'pool' | 'out', GPUBuffer>>;
  readonly expected: Float64Array;
}

interface Case {
  readonly name: string;
  readonly rows: readonly PlacedRow[];
}

/** Decode rows of sequences of their own that have so many keys each. */
const decode = (sequences: number, context: number): Case => ({
  name: `decode of ${sequences}, context ${context}`,
  rows: Array.from({ length: sequences }, (_, blockRow) => ({ position: context - 1, blockRow })),
});

/** So many rows of one sequence, the first one at a position. */
const prefill = (count: number, first: number): Case => ({
  name: `prefill of ${count} at ${first}`,
  rows: Array.from({ length: count }, (_, i) => ({ position: first + i, blockRow: 0 })),
});

const CASES: readonly Case[] = [
  decode(1, 64),
  decode(1, 512),
  decode(8, 64),
  decode(8, 512),
  prefill(32, 0),
  prefill(32, 224),
  prefill(256, 0),
];

function placeOf(bed: Bed, model: BenchModel, { rows }: Case): Place {
  const { heads, kvHeads, headDim } = model.config;
  const contexts = new Map<number, number>();
  for (const { position, blockRow } of rows) contexts.set(blockRow, Math.max(contexts.get(blockRow) ?? 0, position + 1));
  const pagesPerRow = Math.max(...[...contexts.values()].map((context) => Math.ceil(context / PAGE_TOKENS)));
  const pages = contexts.size * pagesPerRow;
  // pages of a sequence lie apart, the last one first
  const blocks = new Uint32Array(pages).map((_, i) => pages - 1 - i);
  const random = uniform(5);
  const qkv = random(rows.length * (heads + 2 * kvHeads) * headDim, 1);
  const pool = random(pages * 2 * kvHeads * PAGE_TOKENS * headDim, 1);
  const outStride = padded(heads * headDim);
  const expected = new Float64Array(rows.length * outStride).fill(NaN);
  attentionTwin({ heads, kvHeads, headDim, blocks, pagesPerRow, rows, qkv, pool, outStride }, expected);
  const step = stepWords({ rows: rows.map(({ position, blockRow }) => ({ token: 0, position, blockRow })) }, LAYOUT);
  return {
    model,
    rows,
    blocks,
    pagesPerRow,
    buffers: {
      step: bed.buffer('step', step),
      blocks: bed.buffer('blocks', blocks),
      state: bed.buffer('state', new Uint32Array(2 * LAYOUT.limits.samplers)),
      qkv: bed.buffer('qkv', bits(qkv)),
      pool: bed.buffer('pool', bits(pool)),
      out: bed.buffer('out', poison(expected.length, 'output')),
    },
    expected,
  };
}

/** A variant on that data, once its result is right. */
async function verified(bed: Bed, { model, rows, pagesPerRow, buffers, expected }: Place, variant: AttentionVariant): Promise<Timed> {
  const { heads, kvHeads, headDim } = model.config;
  const outStride = padded(heads * headDim);
  const group = heads / kvHeads;
  const timed = await bed.prepare({
    kernel: variant.kernel,
    constants: {
      ...stepConstants(LAYOUT),
      KV_HEADS: kvHeads,
      GROUP: group,
      DIM4: headDim / 4,
      QKV_STRIDE4: ((heads + 2 * kvHeads) * headDim) / 4,
      OUT_STRIDE4: outStride / 4,
      PAGES_PER_ROW: pagesPerRow,
      SCALE: { f32: 1 / Math.sqrt(headDim) },
      WINDOW: 0,
      CAP: { f32: 0 },
    },
    libraries: [...COMMON, STATE, POOL.f32, ...ATTENTION],
    buffers,
    threads: variant.threads({ rows: rows.length, kvHeads, group, headDim, splits: 1 }),
  });
  const before = poison(expected.length, 'output');
  bed.device.queue.writeBuffer(buffers.out, 0, before);
  await bed.run(timed);
  const after = await bed.read(buffers.out, expected.length);
  const left = new Float32Array(before.buffer);
  const twin = expected.map((value, i) => (Number.isNaN(value) ? left[i]! : value));
  checkClose({ what: variant.kernel.label, type: 'F32', before, after, expected: twin, rowLength: outStride, tolerance: 2e-5 });
  return timed;
}

/** K and V of each sequence once, queries and results once; a load of K or V serves the group's heads, of 4 rows where a sequence has them. */
function demandOf({ model, rows }: Place): Demand {
  const { heads, kvHeads, headDim } = model.config;
  const keys = rows.reduce((sum, { position }) => sum + position + 1, 0);
  const sequences = new Map<number, number>();
  for (const { position, blockRow } of rows) sequences.set(blockRow, Math.max(sequences.get(blockRow) ?? 0, position + 1));
  const kept = [...sequences.values()].reduce((a, b) => a + b, 0);
  const shared = sequences.size < rows.length ? 4 : 1;
  return {
    flops: 4 * keys * heads * headDim,
    bytes: 8 * kept * kvHeads * headDim + 8 * rows.length * heads * headDim,
    loads: (2 * keys * kvHeads * headDim) / 4 / shared,
  };
}

const dropPlace = (bed: Bed, { buffers }: Place): void => bed.drop(...Object.values(buffers));

/** Rows of one sequence from which on the form for prefill serves, as in the forward pass. */
const PREFILL_ROWS = 4;

const isPrefill = ({ rows }: Case): boolean => rows.length >= PREFILL_ROWS * new Set(rows.map(({ blockRow }) => blockRow)).size;

const shippedFor = (kernels: KernelSet, each: Case): AttentionVariant => (isPrefill(each) && kernels.attentionPrefill) || kernels.attention;

/** Attention of both models beside its floors. */
export async function attentionRows(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const model of MODELS) {
    for (const each of CASES) {
      const place = placeOf(bench.bed, model, each);
      const timed = await verified(bench.bed, place, shippedFor(bench.kernels, each));
      const subject: Subject = { name: `attention/${model.name}, ${each.name}`, timed, demand: demandOf(place) };
      rows.push(...(await rowsOfSubjects(bench, [subject])));
      dropPlace(bench.bed, place);
    }
  }
  return rows;
}

const FORM: AttentionForm = { heads: 2, keys: 4, dims: 1, workgroup: 16, thread: 'kv head' };
/** One row a thread, scores of a tile of 64 keys in private memory. */
const TILE_FORMS: readonly AttentionVariant[] = [
  FORM,
  { ...FORM, workgroup: 8 },
  { ...FORM, keys: 8 } as const,
  { ...FORM, keys: 8, dims: 2 } as const,
  { ...FORM, heads: 1, keys: 8, dims: 2 } as const,
  { ...FORM, heads: 1, keys: 8, dims: 2, thread: 'heads' } as const,
  { ...FORM, heads: 3, dims: 2 },
].map(attentionForm);
/** Pages of 16 keys in registers: queries of one row, or of several, and loads that quads share. */
const PAGE_TILES = {
  decode: [1, 2, 4, 8].map((most) => attentionTile({ most, rows: 1, share: 'alone' })),
  prefill: [2, 4, 8].map((most) => attentionTile({ most, rows: most, share: 'alone' })),
  quads: [2, 4, 8].map((most) => attentionTile({ most, rows: 4 * most, share: 'quads' })),
};

/** Attention against other ways to compute it. */
export async function attentionVariants(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  const quads = bench.bed.device.features.has('subgroups') ? PAGE_TILES.quads : [];
  const forPrefill = [...PAGE_TILES.prefill, ...quads, ...PAGE_TILES.decode.slice(1, 3), ...TILE_FORMS.slice(2, 4)];
  const forDecode = [...PAGE_TILES.decode, ...TILE_FORMS];
  for (const model of MODELS) {
    const compileMs = new Map<string, number>(); // of a variant's first case: later ones find its pipeline
    for (const each of CASES) {
      const place = placeOf(bench.bed, model, each);
      const alternatives = [];
      for (const variant of [shippedFor(bench.kernels, each), ...(isPrefill(each) ? forPrefill : forDecode)]) {
        const timed = await verified(bench.bed, place, variant);
        compileMs.set(variant.name, Math.max(timed.compileMs, compileMs.get(variant.name) ?? 0));
        alternatives.push({ name: variant.name, timed: { ...timed, compileMs: compileMs.get(variant.name)! } });
      }
      rows.push(...(await rowsOfContest(bench, { name: `attention-variants/${model.name}, ${each.name}`, alternatives })));
      dropPlace(bench.bed, place);
    }
  }
  return rows;
}
