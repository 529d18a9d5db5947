import { COMMON, POOL, STATE, type PoolType } from '../../src/kernels/libraries.ts';
import { ropeKv, ropeKvThreads } from '../../src/kernels/rope-kv.ts';
import { poolIndex, type Paging, type PlacedRow } from '../reference/paged.ts';
import { ropeKv as ropeKvTwin, ropeTable } from '../reference/rope-kv.ts';
import { bits, checkClose, loaded, poison, uniform } from './kernel-harness.ts';
import type { Harness, Words } from './kernel-harness.ts';
import { DTYPES, numbers, PAGES, PAGES_PER_ROW, pagingOf, SHAPES, SLOTS, stepRows, widthOf, type Heads } from './kernel-paging.ts';
import { STEP, stepWords } from './kernel-step.ts';
import { check, type Case } from './suite.ts';

const THETA = 10_000;

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
    threads: ropeKvThreads(rows.length, kvHeads, headDim),
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

/** rope-kv. */
export function ropeCases(harness: () => Promise<Harness>): Case[] {
  const cases: Case[] = [];
  for (const type of ['f32', 'f16'] as const) {
    for (const shape of SHAPES) {
      const ropeAll = async (): Promise<void> => {
        const device = await harness();
        await Promise.all([1, 2, 5, 9].map((rows) => checkRopeKv(device, type, shape, rows)));
      };
      cases.push({ name: `rope-kv ${type}, ${shape.heads} heads on ${shape.kvHeads} of ${shape.headDim}`, run: ropeAll });
    }
    cases.push({ name: `rope-kv ${type}: what is no number stays none`, run: async () => checkNoNumbers(await harness(), type) });
  }
  return cases;
}
