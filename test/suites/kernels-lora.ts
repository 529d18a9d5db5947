import { COMMON, DESCRIPTORS, POOL, type PoolType } from '../../src/kernels/libraries.ts';
import { isEven } from '../../src/kernels/lora-expand.ts';
import { SPLIT_COLUMNS, splitsOf } from '../../src/kernels/lora-shrink.ts';
import { MAX_PARTS, SEGMENT_ROWS } from '../../src/kernels/step-layout.ts';
import { NARROW, type KernelSet } from '../../src/kernels/variants.ts';
import type { FloatDtype } from '../../src/formats/half.ts';
import type { LoraMatrices, LoraSegment } from '../reference/lora.ts';
import { loraExpand as expandTwin } from '../reference/lora-expand.ts';
import { loraShrink as shrinkTwin } from '../reference/lora-shrink.ts';
import { bits, checkClose, checkSame, poison, ROW_COUNTS, rounded, stored, uniform } from './kernel-harness.ts';
import type { Floats, Harness, Words } from './kernel-harness.ts';
import { floatBits, plainRows, STEP, stepWords } from './kernel-step.ts';
import { check, type Case } from './suite.ts';

const DTYPES: Readonly<Record<PoolType, FloatDtype>> = { f32: 'F32', f16: 'F16' };

/** A group of three sites (as q, k, v are), the second to fourth of a model's five. */
const SITE_FIRST = 1;
const SITES_IN_MODEL = 5;
const SITES = 3;

/** The sites' columns of y, one behind the other. */
interface Columns {
  readonly widths: readonly number[];
  readonly out: number;
  /** Of a row of y; what lies behind the group's columns stays. */
  readonly yStride: number;
  /** Rows of y behind those of the batch. */
  readonly spareRows: number;
  readonly isEven: boolean;
}

function columnsOf(widths: readonly number[], more: number, spareRows: number): Columns {
  const out = widths.reduce((sum, width) => sum + width, 0);
  return { widths, out, yStride: out + more, spareRows, isEven: isEven(widths.map((outWidth) => ({ outWidth }))) };
}

/** 16 columns may belong to two sites, and some to nobody. */
const UNEVEN = columnsOf([36, 12, 20], 4, 4);
/** They may not, so that four quads are served without a look; y ends with the last row's last column. */
const EVEN = columnsOf([32, 48, 16], 0, 0);

/**
 * Rank by slot and site; 0: the adapter leaves the site alone. Slot 0 is no adapter, the last two slots have none. `VECTORS` says who has
 * gains and biases besides, the last of them a bias alone.
 */
const RANKS: readonly (readonly number[])[] = [
  [0, 0, 0],
  [4, 4, 4],
  [8, 12, 4],
  [12, 12, 12],
  [64, 0, 64],
  [0, 0, 8],
];
const VECTORS: readonly (readonly [slot: number, site: number, what: 'gain' | 'bias'])[] = [
  [2, 0, 'gain'],
  [2, 1, 'bias'],
  [3, 1, 'gain'],
  [3, 1, 'bias'],
  [5, 2, 'gain'],
  [5, 1, 'bias'],
];
const EMPTY_SLOTS = 2;
const RANK = 64;

type LoraKernels = Pick<KernelSet, 'shrink' | 'expand' | 'shrinkOne' | 'expandOne'>;

interface Adapters {
  readonly kernels: LoraKernels;
  readonly columns: Columns;
  readonly type: PoolType;
  readonly width: number;
  readonly splits: number;
  readonly bySlot: readonly (readonly (LoraMatrices | undefined)[])[];
  readonly descriptors: Words;
  readonly pool: Words;
}

/** Adapters in a pool and a descriptor table that are poison everywhere else; matrices start at 256 bytes, with gaps. */
function placeAdapters(kernels: LoraKernels, type: PoolType, width: number, columns = UNEVEN): Adapters {
  const random = uniform(width);
  const quadBytes = type === 'f32' ? 16 : 8;
  const align = 256 / quadBytes;
  const descriptors = poison((RANKS.length + EMPTY_SLOTS) * SITES_IN_MODEL * 8, 'input');
  const placed: { readonly quad: number; readonly words: Words }[] = [];
  let quads = 3 * align;
  const placeWords = (words: Words): number => {
    const quad = quads;
    placed.push({ quad, words });
    quads += (Math.ceil((words.length * 4) / quadBytes / align) + 1) * align;
    return quad;
  };
  const place = (values: Floats): number => placeWords(stored(values, DTYPES[type]));
  const bySlot = RANKS.map((ranks, slot) =>
    ranks.map((rank, site): LoraMatrices | undefined => {
      const at = (slot * SITES_IN_MODEL + SITE_FIRST + site) * 8;
      descriptors.fill(0, at, at + 8);
      const vectors = new Map(
        VECTORS.filter(([s, t]) => s === slot && t === site).map(([, , what]) => [what, random(columns.widths[site]!, 1)]),
      );
      if (rank === 0 && vectors.size === 0) return undefined;
      const outWidth = columns.widths[site]!;
      const outStart = columns.widths.slice(0, site).reduce((sum, each) => sum + each, 0);
      const a = rounded(random(width * rank, 1 / Math.sqrt(width)), DTYPES[type]);
      const b = rounded(random(rank * outWidth, 1 / Math.sqrt(rank)), DTYPES[type]);
      const scale = Math.fround(0.5 + slot + site / 4);
      const named = (['gain', 'bias'] as const).map((what) => {
        const values = vectors.get(what);
        return values ? (placeWords(bits(values)) * quadBytes) / 16 + 1 : 0;
      });
      descriptors.set([place(a), place(b), rank, floatBits(scale), outStart, outWidth, ...named], at);
      return { rank, scale, outStart, outWidth, a, b, gain: vectors.get('gain'), bias: vectors.get('bias') };
    }),
  );
  const pool = poison((quads * quadBytes) / 4, 'input');
  for (const { quad, words } of placed) pool.set(words, (quad * quadBytes) / 4);
  return { kernels, columns, type, width, splits: splitsOf(width), bySlot, descriptors, pool };
}

type Parts = LoraSegment['parts'];

interface Run {
  readonly rows: number;
  readonly parts: Parts;
}

const only = (slot: number): Parts => [{ slot, scale: 1 }];

/** Runs of rows, one behind the other, cut into segments of at most `most` rows; a run without parts has no segment. */
function segmentsOf(runs: readonly Run[], most: number): LoraSegment[] {
  const segments: LoraSegment[] = [];
  let rowStart = 0;
  let vRow = 0;
  for (const { rows, parts } of runs) {
    for (let done = 0; done < rows && parts.length > 0; done += most) {
      const rowCount = Math.min(most, rows - done);
      segments.push({ rowStart: rowStart + done, rowCount, vRow, parts });
      vRow += rowCount * parts.length;
    }
    rowStart += rows;
  }
  return segments;
}

const vRows = (segments: readonly LoraSegment[]): number => segments.reduce((sum, { rowCount, parts }) => sum + rowCount * parts.length, 0);

interface Batch {
  readonly rows: number;
  readonly segments: readonly LoraSegment[];
  /** (rows, xStride) and poison behind it. */
  readonly x: Words;
  readonly xStride: number;
  /** (rows and `spareRows`, yStride): what the base matmul left. */
  readonly y: Words;
}

function batchOf(width: number, rows: number, segments: readonly LoraSegment[], { yStride, spareRows } = UNEVEN): Batch {
  const xStride = Math.ceil(width / 32) * 32;
  const x = poison((rows + 4) * xStride, 'input');
  const values = bits(uniform(rows)(rows * width, 1));
  for (let row = 0; row < rows; row++) x.set(values.subarray(row * width, (row + 1) * width), row * xStride);
  return { rows, segments, x, xStride, y: bits(uniform(rows + 50)((rows + spareRows) * yStride, 1)) };
}

/** Whether expand looks for gains and biases. */
type Finishing = 'looks' | 'looks not';

/** lora-shrink, then lora-expand on what it wrote. */
async function runBatch(harness: Harness, adapters: Adapters, batch: Batch, finishing: Finishing = 'looks') {
  const { rows, segments, x, xStride, y } = batch;
  const { kernels, columns, type, width, splits, descriptors, pool } = adapters;
  const sites = { SITE_FIRST, SITES, SITES_IN_MODEL, SPLITS: splits };
  const libraries = [...COMMON, POOL[type], DESCRIPTORS];
  const shared = { step: stepWords({ rows: plainRows(rows), segments, rank: RANK }), descriptors, pool };
  const v = poison((vRows(segments) + 4) * SITES * splits * RANK, 'output');
  const areSingle = segments.every(({ rowCount }) => rowCount === 1);
  const shrink = (areSingle && kernels.shrinkOne) || kernels.shrink;
  const expand = (areSingle && kernels.expandOne) || kernels.expand;
  const shrunk = await harness.run({
    kernel: shrink.kernel,
    constants: { ...STEP, ...sites, WIDTH4: width / 4, STRIDE4: xStride / 4, SPLIT4: SPLIT_COLUMNS / 4 },
    libraries,
    buffers: { ...shared, x, v },
    threads: shrink.threads({ segments: segments.length, sites: SITES, splits, rankQuads: RANK / 4 }),
  });
  const expanded = await harness.run({
    kernel: expand.kernel,
    constants: {
      ...{ ...STEP, ...sites, OUT4: columns.out / 4, Y_STRIDE4: columns.yStride / 4 },
      ...{ EVEN: columns.isEven, FINISH: finishing === 'looks' },
    },
    libraries,
    buffers: { ...shared, v: shrunk.v, y },
    threads: expand.threads({ segments: segments.length, out4: columns.out / 4 }),
  });
  return { before: { v, y }, v: shrunk.v, y: expanded.y };
}

const numbers = (words: Words): Float64Array => Float64Array.from(new Float32Array(words.buffer, words.byteOffset, words.length));

async function checkBatch(harness: Harness, adapters: Adapters, batch: Batch, what: string, finishing?: Finishing): Promise<void> {
  const { width, splits, bySlot } = adapters;
  const { yStride } = adapters.columns;
  const { before, v, y } = await runBatch(harness, adapters, batch, finishing);
  const input = { segments: batch.segments, adapters: bySlot, sites: SITES, splits, ranks: RANK };
  const shrinkInput = { ...input, x: numbers(batch.x), width, xStride: batch.xStride, splitColumns: SPLIT_COLUMNS };
  const expectedV = numbers(before.v);
  shrinkTwin(shrinkInput, expectedV);
  const shared = { type: 'F32', tolerance: 1e-5 } as const;
  checkClose({
    ...shared,
    what: `lora-shrink, ${what}`,
    before: before.v,
    after: v,
    expected: expectedV,
    rowLength: SITES * splits * RANK,
  });
  const expectedY = numbers(before.y);
  expandTwin({ ...input, v: numbers(v), yStride }, expectedY);
  checkClose({ ...shared, what: `lora-expand, ${what}`, before: before.y, after: y, expected: expectedY, rowLength: yStride });
}

/** Adapters of every rank, with and without the group's sites, one and two in a segment, none, and slot 0. */
const MIXED: readonly Run[] = [
  { rows: 2, parts: [] },
  { rows: 1, parts: only(1) },
  { rows: 2, parts: only(4) },
  {
    rows: 3,
    parts: [
      { slot: 2, scale: 0.5 },
      { slot: 3, scale: -2 },
    ],
  },
  { rows: 4, parts: only(3) },
  { rows: 11, parts: only(2) },
  { rows: 1, parts: only(0) },
  { rows: 1, parts: [] },
  {
    rows: 6,
    parts: [
      { slot: 4, scale: 0.25 },
      { slot: 1, scale: 3 },
    ],
  },
  { rows: 2, parts: only(5) },
];

async function checkMixed(harness: Harness, kernels: LoraKernels, type: PoolType, width: number): Promise<void> {
  const rows = MIXED.reduce((sum, run) => sum + run.rows, 0);
  check(rows === 33, () => `${rows} rows`);
  const adapters = placeAdapters(kernels, type, width);
  await checkBatch(harness, adapters, batchOf(width, rows, segmentsOf(MIXED, SEGMENT_ROWS)), `${type}, width ${width}, mixed adapters`);
}

/** Slots without gains and biases. */
const PAIRS_ALONE: readonly Run[] = [
  { rows: 1, parts: only(1) },
  { rows: 7, parts: [...only(4), { slot: 1, scale: -2 }] },
  { rows: 2, parts: only(4) },
];

async function checkEven(harness: Harness, kernels: LoraKernels, type: PoolType, width: number): Promise<void> {
  check(EVEN.isEven && !UNEVEN.isEven, () => 'the columns are not as they say');
  const adapters = placeAdapters(kernels, type, width, EVEN);
  const run = (runs: readonly Run[], most: number, finishing: Finishing): Promise<void> => {
    const rows = runs.reduce((sum, each) => sum + each.rows, 0);
    const batch = batchOf(width, rows, segmentsOf(runs, most), EVEN);
    return checkBatch(harness, adapters, batch, `${type}, even columns, segments of ${most}, ${finishing} for gains`, finishing);
  };
  await Promise.all([run(MIXED, SEGMENT_ROWS, 'looks'), run(PAIRS_ALONE, SEGMENT_ROWS, 'looks not'), run(PAIRS_ALONE, 1, 'looks not')]);
}

const EIGHT: Parts = [0.5, -1, 0, 2, -0.25, 1, 0.125, -3].map((scale, i) => ({ slot: [1, 2, 3, 4, 5, 0, 4, 2][i]!, scale }));

/** Rows that sum as many adapters as a row may, and fewer: the same one twice, one at scale 0, none at all. */
const BLENDED: readonly Run[] = [
  { rows: 5, parts: EIGHT },
  { rows: 1, parts: EIGHT.slice(2, 5) },
  { rows: 2, parts: [] },
  { rows: 1, parts: EIGHT.slice(2, 3) },
  { rows: 9, parts: EIGHT.slice(1).reverse() },
];

async function checkBlended(harness: Harness, kernels: LoraKernels, type: PoolType): Promise<void> {
  const width = 516;
  const rows = BLENDED.reduce((sum, run) => sum + run.rows, 0);
  check(EIGHT.length === MAX_PARTS, () => `${EIGHT.length} parts`);
  const adapters = placeAdapters(kernels, type, width);
  await checkBatch(
    harness,
    adapters,
    batchOf(width, rows, segmentsOf(BLENDED, SEGMENT_ROWS)),
    `${type}, up to ${MAX_PARTS} adapters a row`,
  );
}

async function checkRuns(harness: Harness, kernels: LoraKernels, type: PoolType, width: number): Promise<void> {
  const adapters = placeAdapters(kernels, type, width);
  const checkRun = async (rows: number): Promise<void> => {
    const segments = segmentsOf([{ rows, parts: only(4) }], SEGMENT_ROWS);
    await checkBatch(harness, adapters, batchOf(width, rows, segments), `${type}, width ${width}, ${rows} rows of one adapter`);
  };
  await Promise.all(ROW_COUNTS.map(checkRun));
}

/** One row of v and of y, wherever the segments put it. */
function rowOf({ segments }: Batch, { splits, columns }: Adapters, v: Words, y: Words, row: number): number[] {
  const { vRow, rowCount, rowStart, parts } = segments.find((each) => row >= each.rowStart && row < each.rowStart + each.rowCount)!;
  const length = SITES * splits * RANK;
  const found: number[] = [...y.subarray(row * columns.yStride, (row + 1) * columns.yStride)];
  for (let p = 0; p < parts.length; p++) {
    const at = (vRow + p * rowCount + row - rowStart) * length;
    found.push(...v.subarray(at, at + length));
  }
  return found;
}

async function checkCuts(harness: Harness, kernels: LoraKernels, type: PoolType): Promise<void> {
  const width = 1100;
  const adapters = placeAdapters(kernels, type, width);
  const runs: readonly Run[] = [
    { rows: 9, parts: only(3) },
    {
      rows: 7,
      parts: [
        { slot: 4, scale: 0.5 },
        { slot: 2, scale: -1 },
      ],
    },
  ];
  const batches = [4, 1, 2, 3].map((most) => batchOf(width, 16, segmentsOf(runs, most)));
  const results = await Promise.all(batches.map((batch) => runBatch(harness, adapters, batch)));
  for (const [i, batch] of batches.entries()) {
    for (let row = 0; row < batch.rows; row++) {
      const found = rowOf(batch, adapters, results[i]!.v, results[i]!.y, row);
      const expected = rowOf(batches[0]!, adapters, results[0]!.v, results[0]!.y, row);
      checkSame(`lora ${type}, row ${row} in segments of ${[4, 1, 2, 3][i]} rows against segments of 4`, found, expected);
    }
  }
}

/** lora-shrink and lora-expand. */
export function loraCases(harness: () => Promise<Harness>, kernels: LoraKernels = NARROW): Case[] {
  const cases: Case[] = [];
  const lora = `lora (${kernels.shrink.name} shrink, ${kernels.expand.name} expand)`;
  for (const type of ['f32', 'f16'] as const) {
    const add = (name: string, run: (device: Harness) => Promise<void>): void => {
      cases.push({ name: `${lora} ${type}${name}`, run: async () => run(await harness()) });
    };
    for (const width of [36, 512, 1100]) {
      add(`, width ${width}: ranks 4 to 64, several adapters a row, and none in one dispatch`, (device) =>
        checkMixed(device, kernels, type, width),
      );
    }
    // other sets have the same expand, or one that EVEN changes nothing in
    if (kernels === NARROW) add(': sites of whole 16 columns', (device) => checkEven(device, kernels, type, 516));
    add(`: sums of up to ${MAX_PARTS} adapters`, (device) => checkBlended(device, kernels, type));
    add(': any number of rows of one adapter', (device) => checkRuns(device, kernels, type, 100));
    add(': segments of 1 to 4 rows give the same bits', (device) => checkCuts(device, kernels, type));
  }
  return cases;
}
