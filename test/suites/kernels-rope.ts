import { COMMON, DESCRIPTORS, POOL, STATE, type PoolType } from '../../src/kernels/libraries.ts';
import { ropeKv, ropeKvThreads } from '../../src/kernels/rope-kv.ts';
import { ropeKvHeads, ropeKvHeadsThreads, savedHeadNorms } from '../../src/kernels/rope-kv-heads.ts';
import type { RopeHeadsVariant } from '../../src/kernels/variants.ts';
import { poolIndex, type Paging, type PlacedRow } from '../reference/paged.ts';
import { plainTurning, ropeKv as ropeKvTwin, ropeTable, type HeadNorms, type Turning } from '../reference/rope-kv.ts';
import { bits, checkClose, loaded, poison, uniform } from './kernel-harness.ts';
import type { Harness, Words } from './kernel-harness.ts';
import { DTYPES, numbers, PAGES, PAGES_PER_ROW, pagingOf, SHAPES, SLOTS, stepRows, widthOf, type Heads } from './kernel-paging.ts';
import { STEP, stepWords } from './kernel-step.ts';
import { check, type Case } from './suite.ts';

/** What a model does to q and k before and as they turn. */
interface Manner {
  readonly name: string;
  readonly kernel: 'parts of heads' | 'whole heads';
  readonly turning: (headDim: number) => Turning;
  readonly biased?: 'yes';
  readonly normed?: 'yes';
  /** Some rows have adapters that saved the norm of q, of k or both. */
  readonly saved?: 'yes';
}

const EPSILON = 1e-3;
const whole = (headDim: number): Turning => plainTurning(headDim, 10_000);
/** So much of a head, with a factor on cos and sin. */
const part =
  (share: number) =>
  (headDim: number): Turning => ({ ...plainTurning(headDim * share, 10_000), factor: 1.25 });

const MANNERS: readonly Manner[] = [
  { name: 'all turned', kernel: 'parts of heads', turning: whole },
  { name: 'half turned, biased', kernel: 'parts of heads', turning: () => ({ ...plainTurning(8, 100), factor: 1.25 }), biased: 'yes' },
  { name: 'three quarters turned', kernel: 'whole heads', turning: part(0.75) },
  { name: 'all turned, normed', kernel: 'whole heads', turning: whole, normed: 'yes' },
  { name: 'three quarters turned, biased and normed', kernel: 'whole heads', turning: part(0.75), biased: 'yes', normed: 'yes' },
  { name: 'all turned, biased, norms saved', kernel: 'whole heads', turning: whole, biased: 'yes', normed: 'yes', saved: 'yes' },
];

/** Slots whose adapters saved the norms named. */
const SAVED: readonly (readonly ('q' | 'k')[])[] = [[], ['q'], ['k'], ['q', 'k']];
const adapterOf = (row: number): number => (row + 1) % SAVED.length;
const SITES_IN_MODEL = 2;
const NORMS_AT = { q: 9, k: 10 } as const;

/** Norms that adapters saved: their words, to lie behind `pages` words of a pool's pages, and descriptors that name them. */
function savedOf({ saved }: Manner, { headDim }: Heads, pages: number) {
  const random = uniform(11);
  const norms = SAVED.map((names) => Object.fromEntries(names.map((name) => [name, random(headDim, 2)])) as Partial<HeadNorms>);
  const words: number[] = [];
  const vectors = norms.map((own) =>
    [own.q, own.k].map((vector) => {
      if (!vector) return 0;
      words.push(...bits(Float32Array.from(vector)));
      return (pages + words.length - headDim) / 4 + 1;
    }),
  );
  const descriptors = poison(SAVED.length * SITES_IN_MODEL * 8, 'input');
  vectors.forEach((own, slot) => descriptors.set(own, slot * SITES_IN_MODEL * 8 + NORMS_AT.q));
  return saved && { words, descriptors, of: (rows: number) => Array.from({ length: rows }, (_, row) => norms[adapterOf(row)]!) };
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

/** One thread a head. */
const ALONE: RopeHeadsVariant = { name: 'alone', kernel: ropeKvHeads, threads: ropeKvHeadsThreads };

interface Writing {
  readonly manner: Manner;
  /** What computes where heads are needed whole. */
  readonly whole: RopeHeadsVariant;
  readonly shape: Heads;
  readonly paging: Paging & { readonly blocks: Words };
  readonly rows: readonly PlacedRow[];
  readonly qkv: Words;
  readonly pool: Words;
  /** Where norms are saved. */
  readonly descriptors?: Words | undefined;
}

/** Biases of q, k and v, and weights of the norms of q and k. */
function vectorsOf({ biased, normed }: Manner, shape: Heads) {
  const random = uniform(8);
  const bias = biased && random(widthOf(shape), 2);
  const norms = normed && { q: random(shape.headDim, 2), k: random(shape.headDim, 2), epsilon: EPSILON };
  const all = [...(bias ?? []), ...(norms ? [...norms.q, ...norms.k] : [])];
  return { bias, norms, words: all.length > 0 ? bits(Float32Array.from(all)) : poison(4, 'input') };
}

async function writeKv(harness: Harness, type: PoolType, { manner, whole, shape, paging, rows, qkv, pool, descriptors }: Writing) {
  const { heads, kvHeads, headDim } = shape;
  const turning = manner.turning(headDim);
  const { bias, norms, words } = vectorsOf(manner, shape);
  const places = { HEADS: heads, KV_HEADS: kvHeads, DIM4: headDim / 4, QKV_STRIDE4: widthOf(shape) / 4, PAGES_PER_ROW };
  const shared = { ...STEP, ...places, BIAS: bias !== undefined };
  const libraries = [...COMMON, STATE, POOL[type]];
  const table = bits(Float32Array.from(ropeTable(turning, 130)));
  const step = stepWords({ rows: stepRows(rows).map((row, i) => (descriptors ? { ...row, adapter: adapterOf(i) } : row)) });
  const buffers = { step, rope: table, blocks: paging.blocks, state: SLOTS, qkv, pool };
  const rotary = turning.frequencies.length * 2;
  if (manner.kernel === 'parts of heads') {
    const constants = { ...shared, ROTARY8: rotary / 8 };
    const threads = ropeKvThreads(rows.length, kvHeads, headDim);
    return harness.run({ kernel: ropeKv, constants, libraries, buffers: { ...buffers, bias: words }, threads });
  }
  const constants = { ...shared, ROTARY: rotary, NORM: norms !== undefined, EPSILON: { f32: EPSILON } };
  const threads = whole.threads({ rows: rows.length, heads, kvHeads });
  if (descriptors) {
    return harness.run({
      kernel: savedHeadNorms(whole.kernel),
      constants: { ...constants, Q_NORM_AT: NORMS_AT.q, K_NORM_AT: NORMS_AT.k, SITES_IN_MODEL },
      libraries: [...libraries, DESCRIPTORS],
      buffers: { ...buffers, vectors: words, descriptors },
      threads,
    });
  }
  return harness.run({ kernel: whole.kernel, constants, libraries, buffers: { ...buffers, vectors: words }, threads });
}

interface Turned {
  readonly type: PoolType;
  readonly shape: Heads;
  readonly manner: Manner;
  readonly whole: RopeHeadsVariant;
}

async function checkRopeKv(harness: Harness, { type, shape, manner, whole }: Turned, rowCount: number): Promise<void> {
  const paging = pagingOf(shape);
  const { heads, kvHeads, headDim } = shape;
  const rows = WRITING.slice(0, rowCount);
  const width = widthOf(shape);
  // rows behind the last are numbers: turned, they would differ
  const values = uniform(rowCount)((rows.length + 2) * width, 1);
  if (type === 'f16') values.set([1e6, -1e6], rows.length * width - 2); // v: what f16 cannot hold becomes what it can
  const qkv = bits(values);
  const pages = poison((PAGES * 2 * kvHeads * 16 * headDim) / (type === 'f16' ? 2 : 1), 'output');
  const saved = savedOf(manner, shape, pages.length);
  const words = saved?.words ?? [];
  const pool = new Uint32Array(pages.length + words.length);
  pool.set(pages);
  pool.set(words, pages.length);
  const after = await writeKv(harness, type, { manner, whole, shape, paging, rows, qkv, pool, descriptors: saved?.descriptors });
  const expectedQkv = numbers(qkv);
  const expectedPool = Float64Array.from(loaded(pool, DTYPES[type]));
  const { bias, norms } = vectorsOf(manner, shape);
  ropeKvTwin({ ...paging, rows, turning: manner.turning(headDim), bias, norms, saved: saved?.of(rows.length) }, expectedQkv, expectedPool);
  const largest = type === 'f16' ? 65_504 : Infinity;
  const clamped = expectedPool.map((value) => (Number.isNaN(value) ? value : Math.max(-largest, Math.min(largest, value))));
  const what = `rope-kv ${type}, ${manner.name}, ${rows.length} rows, ${heads} heads on ${kvHeads} of ${headDim}`;
  const ofQ = { what: `${what}, q`, type: 'F32', before: qkv, after: after.qkv, expected: expectedQkv } as const;
  checkClose({ ...ofQ, rowLength: headDim, tolerance: 1e-5 });
  const tolerance = type === 'f16' ? 1e-3 : 1e-5;
  const ofPool = { what: `${what}, pool`, type: DTYPES[type], before: pool, after: after.pool, expected: clamped } as const;
  checkClose({ ...ofPool, rowLength: headDim, tolerance });
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
  const { pool } = await writeKv(harness, type, {
    manner: MANNERS[0]!,
    whole: ALONE,
    shape,
    paging,
    rows,
    qkv: bits(values),
    pool: before,
  });
  const at = poolIndex(paging, rows[0]!.blockRow, rows[0]!.position, 1, 0);
  const stored = loaded(pool, DTYPES[type]);
  for (let i = 0; i < headDim; i++) {
    const isNone = i >= 5 && i < 8;
    check(Number.isFinite(stored[at + i]!) !== isNone, () => `rope-kv ${type}: ${values[v + i]} was stored as ${stored[at + i]}`);
  }
}

/** rope-kv and rope-kv-heads. */
export function ropeCases(harness: () => Promise<Harness>): Case[] {
  const cases: Case[] = [];
  for (const type of ['f32', 'f16'] as const) {
    const add = (manner: Manner, shape: Heads): void => {
      const name = `rope-kv ${type}, ${manner.name}, ${shape.heads} heads on ${shape.kvHeads} of ${shape.headDim}`;
      const run = async (): Promise<void> => {
        const device = await harness();
        await Promise.all([1, 2, 5, 9].map((rows) => checkRopeKv(device, { type, shape, manner, whole: ALONE }, rows)));
      };
      cases.push({ name, run });
    };
    for (const shape of SHAPES) add(MANNERS[0]!, shape);
    for (const manner of MANNERS.slice(1)) {
      add(manner, SHAPES[0]!);
      if (type === 'f32') add(manner, SHAPES[1]!);
    }
    cases.push({ name: `rope-kv ${type}: what is no number stays none`, run: async () => checkNoNumbers(await harness(), type) });
  }
  return cases;
}

/** Another variant of rope-kv-heads, in everything that models do with it; heads of as many quads as a workgroup has threads, and of more. */
export function ropeHeadsCases(harness: () => Promise<Harness>, whole: RopeHeadsVariant): Case[] {
  const manners = MANNERS.filter(({ kernel }) => kernel === 'whole heads');
  const shapes = [SHAPES[0]!, { heads: 2, kvHeads: 1, headDim: 160 }];
  return shapes.flatMap((shape) =>
    manners.map((manner, i) => {
      const type = i % 2 === 0 ? 'f16' : 'f32';
      const run = async (): Promise<void> => checkRopeKv(await harness(), { type, shape, manner, whole }, 9);
      return { name: `rope-kv of heads, ${whole.name}, ${type}, ${manner.name}, ${shape.heads} heads of ${shape.headDim}`, run };
    }),
  );
}
