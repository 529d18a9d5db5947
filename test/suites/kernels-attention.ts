import { attention, attentionThreads } from '../../src/kernels/attention.ts';
import { COMMON, POOL, STATE, type PoolType } from '../../src/kernels/libraries.ts';
import { ropeKv, ropeKvThreads } from '../../src/kernels/rope-kv.ts';
import type { FloatDtype } from '../../src/formats/half.ts';
import { attention as attentionTwin } from '../reference/attention.ts';
import { poolIndex, type Paging, type PlacedRow } from '../reference/paged.ts';
import { ropeKv as ropeKvTwin, ropeTable } from '../reference/rope-kv.ts';
import { bits, checkClose, checkSame, loaded, poison, stored, uniform } from './kernel-harness.ts';
import type { Harness, Words } from './kernel-harness.ts';
import { STEP, stepWords, type StepRow } from './kernel-step.ts';
import { check, type Case } from './suite.ts';

const DTYPES: Readonly<Record<PoolType, FloatDtype>> = { f32: 'F32', f16: 'F16' };

interface Heads {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** Groups of 1, 2 and 4 query heads that share keys; DIM4 4, 6 and 16. */
const SHAPES: readonly Heads[] = [
  { heads: 3, kvHeads: 3, headDim: 16 },
  { heads: 4, kvHeads: 2, headDim: 24 },
  { heads: 4, kvHeads: 1, headDim: 64 },
];

const PAGES = 80;
const PAGES_PER_ROW = 10;
const THETA = 10_000;

/** Positions that sequences have, by block row: around the borders of pages (16) and of tiles of keys (64). */
const CONTEXTS: readonly number[] = [1, 15, 16, 17, 63, 64, 65, 130];

const widthOf = ({ heads, kvHeads, headDim }: Heads): number => (heads + 2 * kvHeads) * headDim;
const numbers = (words: Words): Float64Array => Float64Array.from(new Float32Array(words.buffer, words.byteOffset, words.length));

/** Shuffled pages for as many positions as each block row has; the rest of the table is poison. */
function pagingOf(shape: Heads): Paging & { readonly blocks: Words } {
  const order = [...uniform(3)(PAGES, 1).entries()].sort(([, a], [, b]) => a - b).map(([page]) => page);
  const blocks = poison(CONTEXTS.length * PAGES_PER_ROW, 'input');
  for (const [row, context] of CONTEXTS.entries()) {
    for (let page = 0; page * 16 < context; page++) blocks[row * PAGES_PER_ROW + page] = order.pop()!;
  }
  return { ...shape, blocks, pagesPerRow: PAGES_PER_ROW };
}

/** A pool of poison in which every position of every context has keys and values. */
function filledPool(paging: Paging, type: PoolType, size: number): Words {
  const { kvHeads, headDim } = paging;
  const random = uniform(11);
  const filled = new Float32Array(PAGES * 2 * kvHeads * 16 * headDim);
  const isFilled = new Uint8Array(filled.length);
  for (const [blockRow, context] of CONTEXTS.entries()) {
    for (let position = 0; position < context; position++) {
      for (let head = 0; head < kvHeads; head++) {
        for (const plane of [0, 1] as const) {
          const at = poolIndex(paging, blockRow, position, plane, head);
          filled.set(random(headDim, plane === 0 ? size : 1), at);
          isFilled.fill(1, at, at + headDim);
        }
      }
    }
  }
  const words = stored(filled, DTYPES[type]);
  const pairs = words.length / filled.length; // numbers in a word: 1 or a half
  const nothing = poison(words.length, 'input');
  return words.map((word, i) => (isFilled[i / pairs] ? word : nothing[i]!));
}

/** A decode row of every context, then a chunk of prefill across the tile border of one of them. */
const ATTENDING: readonly PlacedRow[] = [
  ...CONTEXTS.map((context, blockRow) => ({ position: context - 1, blockRow })),
  ...[61, 62, 63, 64, 65, 66, 67].map((position) => ({ position, blockRow: 7 })),
  { position: 100, blockRow: 7, kind: 'inert' },
  { position: 100, blockRow: 7 },
];

/** Token and done of two slots, the first one done. */
const SLOTS = Uint32Array.of(5, 1, 6, 0);

/** Inert rows find their slot done; of the others some find theirs not done, and some were given their token. */
const stepRows = (rows: readonly PlacedRow[]): StepRow[] =>
  rows.map(({ position, blockRow, kind }, i) => ({
    position,
    blockRow,
    token: kind === 'inert' ? { slot: 0 } : i % 2 === 0 ? { slot: 1 } : 0,
  }));

interface Attending {
  readonly type: PoolType;
  readonly paging: Paging & { readonly blocks: Words };
  readonly pool: Words;
  /** (rows, widthOf) and poison behind it. */
  readonly qkv: Words;
  readonly outStride: number;
}

function attendingOf(type: PoolType, shape: Heads, size: number): Attending {
  const paging = pagingOf(shape);
  const width = widthOf(shape);
  const qkv = poison((ATTENDING.length + 2) * width, 'input');
  const queries = bits(uniform(5)(ATTENDING.length * width, 2));
  for (let row = 0; row < ATTENDING.length; row++) {
    qkv.set(queries.subarray(row * width, row * width + shape.heads * shape.headDim), row * width);
  }
  const outStride = Math.ceil((shape.heads * shape.headDim) / 32) * 32;
  return { type, paging, pool: filledPool(paging, type, size), qkv, outStride };
}

async function attend(harness: Harness, { type, paging, pool, outStride }: Attending, rows: readonly PlacedRow[], qkv: Words) {
  const { heads, kvHeads, headDim } = paging;
  const before = poison((rows.length + 2) * outStride, 'output');
  const { out } = await harness.run({
    kernel: attention,
    constants: {
      ...STEP,
      KV_HEADS: kvHeads,
      GROUP: heads / kvHeads,
      DIM4: headDim / 4,
      QKV_STRIDE4: widthOf(paging) / 4,
      OUT_STRIDE4: outStride / 4,
      PAGES_PER_ROW,
      SCALE: { f32: 1 / Math.sqrt(headDim) },
    },
    libraries: [...COMMON, STATE, POOL[type]],
    buffers: { step: stepWords({ rows: stepRows(rows) }), blocks: paging.blocks, state: SLOTS, qkv, pool, out: before },
    threads: attentionThreads(rows.length, kvHeads),
  });
  return { before, after: out };
}

async function checkAttention(harness: Harness, type: PoolType, shape: Heads, size: number, tolerance: number): Promise<void> {
  const attending = attendingOf(type, shape, size);
  const { paging, pool, qkv, outStride } = attending;
  const { before, after } = await attend(harness, attending, ATTENDING, qkv);
  const expected = numbers(before);
  attentionTwin({ ...paging, rows: ATTENDING, qkv: numbers(qkv), pool: loaded(pool, DTYPES[type]), outStride }, expected);
  const what = `attention ${type}, ${shape.heads} heads on ${shape.kvHeads} of ${shape.headDim}`;
  checkClose({ what, type: 'F32', before, after, expected, rowLength: outStride, tolerance });
}

async function checkAlone(harness: Harness, type: PoolType, shape: Heads): Promise<void> {
  const attending = attendingOf(type, shape, 1);
  const { qkv, outStride } = attending;
  const width = widthOf(shape);
  const together = await attend(harness, attending, ATTENDING, qkv);
  const checkRow = async (row: number): Promise<void> => {
    const alone = await attend(harness, attending, [ATTENDING[row]!], qkv.slice(row * width, (row + 1) * width));
    const expected = together.after.subarray(row * outStride, (row + 1) * outStride);
    checkSame(`attention ${type}, row ${row} alone`, alone.after.subarray(0, outStride), expected);
  };
  await Promise.all(ATTENDING.map((_, row) => checkRow(row)));
}

/** Rows of several sequences, in pages that start and end, and a chunk that crosses from one page into the next. */
const WRITING: readonly PlacedRow[] = [
  { position: 0, blockRow: 0 },
  { position: 129, blockRow: 7 },
  { position: 15, blockRow: 2 },
  ...[14, 15, 16].map((position) => ({ position, blockRow: 3 })),
  { position: 64, blockRow: 6, kind: 'inert' },
  { position: 17, blockRow: 5 },
  { position: 40, blockRow: 4 },
];

interface Writing {
  readonly shape: Heads;
  readonly paging: Paging & { readonly blocks: Words };
  readonly rows: readonly PlacedRow[];
  readonly qkv: Words;
  readonly pool: Words;
}

function writeKv(harness: Harness, type: PoolType, { shape, paging, rows, qkv, pool }: Writing) {
  const { heads, kvHeads, headDim } = shape;
  return harness.run({
    kernel: ropeKv,
    constants: { ...STEP, HEADS: heads, KV_HEADS: kvHeads, DIM4: headDim / 4, QKV_STRIDE4: widthOf(shape) / 4, PAGES_PER_ROW },
    libraries: [...COMMON, STATE, POOL[type]],
    buffers: {
      step: stepWords({ rows: stepRows(rows) }),
      rope: bits(Float32Array.from(ropeTable(headDim, THETA, 130))),
      blocks: paging.blocks,
      state: SLOTS,
      qkv,
      pool,
    },
    threads: ropeKvThreads(rows.length, heads, kvHeads, headDim),
  });
}

async function checkRopeKv(harness: Harness, type: PoolType, shape: Heads, rowCount: number): Promise<void> {
  const paging = pagingOf(shape);
  const { heads, kvHeads, headDim } = shape;
  const rows = WRITING.slice(0, rowCount);
  const width = widthOf(shape);
  // rows behind the last are numbers: turned, they would differ
  const values = uniform(rowCount)((rows.length + 2) * width, 1);
  if (type === 'f16') values.set([1e6, -1e6], rows.length * width - 2); // v: what f16 cannot hold becomes what it can
  const qkv = bits(values);
  const pool = poison((PAGES * 2 * kvHeads * 16 * headDim) / (type === 'f16' ? 2 : 1), 'output');
  const after = await writeKv(harness, type, { shape, paging, rows, qkv, pool });
  const expectedQkv = numbers(qkv);
  const expectedPool = Float64Array.from(loaded(pool, DTYPES[type]));
  ropeKvTwin({ ...paging, rows, theta: THETA }, expectedQkv, expectedPool);
  const largest = type === 'f16' ? 65_504 : Infinity;
  const clamped = expectedPool.map((value) => (Number.isNaN(value) ? value : Math.max(-largest, Math.min(largest, value))));
  const what = `rope-kv ${type}, ${rows.length} rows, ${heads} heads on ${kvHeads} of ${headDim}`;
  checkClose({
    what: `${what}, q`,
    type: 'F32',
    before: qkv,
    after: after.qkv,
    expected: expectedQkv,
    rowLength: headDim,
    tolerance: 1e-5,
  });
  const tolerance = type === 'f16' ? 1e-3 : 1e-5;
  const what2 = `${what}, pool`;
  checkClose({ what: what2, type: DTYPES[type], before: pool, after: after.pool, expected: clamped, rowLength: headDim, tolerance });
}

/** What is no number in a row that is written stays none in its page, and no other number of the pool is touched by it. */
async function checkNoNumbers(harness: Harness, type: PoolType): Promise<void> {
  const shape = SHAPES[1]!;
  const { headDim, heads, kvHeads } = shape;
  const width = widthOf(shape);
  const rows = WRITING.slice(0, 2);
  const values = uniform(4)((rows.length + 2) * width, 1);
  const v = (heads + kvHeads) * headDim; // of the first row; its v is copied as it is
  const none = [NaN, Infinity, -Infinity];
  values.set(none, v + 5);
  const before = poison((PAGES * 2 * kvHeads * 16 * headDim) / (type === 'f16' ? 2 : 1), 'output');
  const paging = pagingOf(shape);
  const { pool } = await writeKv(harness, type, { shape, paging, rows, qkv: bits(values), pool: before });
  const at = poolIndex(paging, rows[0]!.blockRow, rows[0]!.position, 1, 0);
  const stored = loaded(pool, DTYPES[type]);
  for (let i = 0; i < headDim; i++) {
    const isNone = i >= 5 && i < 8;
    check(Number.isFinite(stored[at + i]!) !== isNone, () => `rope-kv ${type}: ${values[v + i]} was stored as ${stored[at + i]}`);
  }
}

/** A row whose keys or values hold what is no number gives none, so that its logits tell; the others give what they gave. */
async function checkNothingHidden(harness: Harness, type: PoolType, plane: 0 | 1, value: number): Promise<void> {
  const shape = SHAPES[1]!;
  const attending = attendingOf(type, shape, 1);
  const { paging, outStride } = attending;
  const clean = await attend(harness, attending, ATTENDING, attending.qkv);
  const spoiled = Float32Array.from(loaded(attending.pool, DTYPES[type]));
  const blockRow = 5;
  for (let head = 0; head < shape.kvHeads; head++) spoiled[poolIndex(paging, blockRow, 3, plane, head) + 2] = value;
  const pool = stored(spoiled, DTYPES[type]);
  const after = await attend(harness, { ...attending, pool }, ATTENDING, attending.qkv);
  for (const [row, placed] of ATTENDING.entries()) {
    const [now, then] = [after, clean].map(({ after: out }) =>
      out.subarray(row * outStride, row * outStride + shape.heads * shape.headDim),
    );
    if (placed.blockRow !== blockRow) {
      checkSame(`attention ${type}, row ${row} beside one with ${value}`, now!, then!);
      continue;
    }
    const groups = new Float32Array(now!.buffer, now!.byteOffset, now!.length);
    for (let head = 0; head < shape.heads; head++) {
      const numbersOfHead = groups.subarray(head * shape.headDim, (head + 1) * shape.headDim);
      check(!numbersOfHead.every(Number.isFinite), () => `attention ${type}: ${value} in a ${plane === 0 ? 'key' : 'value'} left no trace`);
    }
  }
}

/** rope-kv and attention. */
export function attentionCases(harness: () => Promise<Harness>): Case[] {
  const cases: Case[] = [];
  for (const type of ['f32', 'f16'] as const) {
    for (const shape of SHAPES) {
      const heads = `${type}, ${shape.heads} heads on ${shape.kvHeads} of ${shape.headDim}`;
      const ropeAll = async (): Promise<void> => {
        const device = await harness();
        await Promise.all([1, 2, 5, 9].map((rows) => checkRopeKv(device, type, shape, rows)));
      };
      cases.push({ name: `rope-kv ${heads}`, run: ropeAll });
      cases.push({ name: `attention ${heads}`, run: async () => checkAttention(await harness(), type, shape, 1, 1e-5) });
      const name = `attention ${heads}: a row alone and in a batch gives the same bits`;
      cases.push({ name, run: async () => checkAlone(await harness(), type, shape) });
    }
    // scores in the hundreds: f32 holds them to 1e-5, and their exponentials no better
    cases.push({ name: `rope-kv ${type}: what is no number stays none`, run: async () => checkNoNumbers(await harness(), type) });
    const nothing = async (): Promise<void> => {
      const device = await harness();
      for (const plane of [0, 1] as const) for (const value of [NaN, Infinity]) await checkNothingHidden(device, type, plane, value);
    };
    cases.push({ name: `attention ${type}: what is no number shows in its own rows alone`, run: nothing });
    const name = `attention ${type} with scores in the hundreds`;
    cases.push({ name, run: async () => checkAttention(await harness(), type, SHAPES[1]!, 100, 1e-3) });
  }
  return cases;
}
