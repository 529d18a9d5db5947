import {
  attentionRows,
  attentionRowsQuads,
  attentionRowsQuadsThreads,
  attentionRowsThreads,
  attentionThreads,
} from '../../src/kernels/attention.ts';
import { ATTENTION, COMMON, POOL, STATE, WINDOW, type PoolType } from '../../src/kernels/libraries.ts';
import { NARROW, type AttentionVariant, type SplitAttention } from '../../src/kernels/variants.ts';
import { attention as attentionTwin } from '../reference/attention.ts';
import { poolIndex, type Paging, type PlacedRow } from '../reference/paged.ts';
import { bits, checkClose, checkSame, loaded, poison, stored, uniform } from './kernel-harness.ts';
import type { Harness, Words } from './kernel-harness.ts';
import { CONTEXTS, DTYPES, numbers, PAGES, PAGES_PER_ROW, pagingOf, SHAPES, SLOTS, stepRows, widthOf } from './kernel-paging.ts';
import type { Heads } from './kernel-paging.ts';
import { STEP, stepWords } from './kernel-step.ts';
import { check, type Case } from './suite.ts';

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

/** A decode row of every context, then a chunk of prefill across the tile border of one of them, and rows that have ended. */
const ATTENDING: readonly PlacedRow[] = [
  ...CONTEXTS.map((context, blockRow) => ({ position: context - 1, blockRow })),
  ...[61, 62, 63, 64, 65, 66, 67].map((position) => ({ position, blockRow: 7 })),
  { position: 68, blockRow: 7, kind: 'inert' },
  { position: 100, blockRow: 7, kind: 'inert' },
  { position: 100, blockRow: 7 },
];

interface Attending {
  readonly type: PoolType;
  readonly paging: Paging & { readonly blocks: Words };
  readonly pool: Words;
  /** (rows, widthOf) and poison behind it. */
  readonly qkv: Words;
  readonly outStride: number;
  readonly limits: Limits;
}

/** What a model may have besides: 0 is none. */
export interface Limits {
  readonly window: number;
  readonly cap: number;
}

const UNLIMITED: Limits = { window: 0, cap: 0 };

/** Pages that no row of the batch sees have numbers that lead nowhere. */
function withoutPages(paging: Attending['paging'], window: number): Attending['paging'] {
  if (window === 0) return paging;
  const blocks = paging.blocks.slice();
  for (const blockRow of CONTEXTS.keys()) {
    const positions = ATTENDING.filter((row) => row.blockRow === blockRow).map(({ position }) => position);
    const first = Math.max(0, Math.min(...positions) + 1 - window) >> 4;
    blocks.fill(0x7fc17fc1, blockRow * PAGES_PER_ROW, blockRow * PAGES_PER_ROW + first);
  }
  return { ...paging, blocks };
}

function attendingOf(type: PoolType, shape: Heads, size: number, limits = UNLIMITED): Attending {
  const paging = pagingOf(shape);
  const width = widthOf(shape);
  const qkv = poison((ATTENDING.length + 2) * width, 'input');
  const queries = bits(uniform(5)(ATTENDING.length * width, 2));
  for (let row = 0; row < ATTENDING.length; row++) {
    qkv.set(queries.subarray(row * width, row * width + shape.heads * shape.headDim), row * width);
  }
  const outStride = Math.ceil((shape.heads * shape.headDim) / 32) * 32;
  return { type, paging: withoutPages(paging, limits.window), pool: filledPool(paging, type, size), qkv, outStride, limits };
}

/** One dispatch, or two with splits of so many tiles of keys. */
export type AttentionForm = AttentionVariant | { readonly splitting: SplitAttention; readonly splitTiles: number };

const nameOf = (form: AttentionForm): string =>
  'splitting' in form ? `${form.splitting.split.name}, splits of ${form.splitTiles * 64} keys` : form.name;

interface Ran {
  readonly before: Words;
  readonly after: Words;
}

async function attend(
  harness: Harness,
  form: AttentionForm,
  { type, paging, pool, outStride, limits }: Attending,
  rows: readonly PlacedRow[],
  qkv: Words,
): Promise<Ran> {
  const { heads, kvHeads, headDim } = paging;
  const before = poison((rows.length + 2) * outStride, 'output');
  const places = { KV_HEADS: kvHeads, GROUP: heads / kvHeads, DIM4: headDim / 4, OUT_STRIDE4: outStride / 4 };
  const scaling = { SCALE: { f32: 1 / Math.sqrt(headDim) }, WINDOW: limits.window, CAP: { f32: limits.cap } };
  const constants = { ...STEP, ...places, ...scaling, QKV_STRIDE4: widthOf(paging) / 4, PAGES_PER_ROW };
  const libraries = [...COMMON, STATE, POOL[type], ...ATTENTION];
  const step = stepWords({ rows: stepRows(rows) });
  const buffers = { step, blocks: paging.blocks, state: SLOTS, qkv, pool };
  const work = { rows: rows.length, splits: 1, kvHeads, group: heads / kvHeads, headDim };
  if (!('splitting' in form)) {
    const { kernel, threads } = form;
    const { out } = await harness.run({ kernel, constants, libraries, buffers: { ...buffers, out: before }, threads: threads(work) });
    return { before, after: out };
  }
  const { splitting, splitTiles: SPLIT_TILES } = form;
  const { split, merge, partQuads } = splitting;
  const span = 64 * SPLIT_TILES;
  const inWindow = limits.window === 0 ? Infinity : Math.ceil((limits.window - 1) / span) + 1;
  const splits = Math.min(inWindow, Math.ceil((Math.max(...rows.map(({ position }) => position)) + 1) / span));
  const parts = poison(splits * rows.length * partQuads({ heads, headDim }) * 4, 'output');
  const first = await harness.run({
    kernel: split.kernel,
    constants: { ...constants, SPLIT_TILES },
    libraries,
    buffers: { ...buffers, out: parts },
    threads: split.threads({ ...work, splits }),
  });
  const second = await harness.run({
    kernel: merge.kernel,
    constants: { ...STEP, ...places, SPLIT_TILES, WINDOW: limits.window },
    libraries: [...COMMON, STATE, WINDOW],
    buffers: { step, state: SLOTS, parts: first.out, out: before },
    threads: merge.threads({ ...work, splits }),
  });
  return { before, after: second.out };
}

async function checkAttention(
  harness: Harness,
  form: AttentionForm,
  type: PoolType,
  shape: Heads,
  size: number,
  tolerance: number,
  limits = UNLIMITED,
): Promise<void> {
  const attending = attendingOf(type, shape, size, limits);
  const { paging, pool, qkv, outStride } = attending;
  const { before, after } = await attend(harness, form, attending, ATTENDING, qkv);
  const expected = numbers(before);
  const { window, cap } = limits;
  const given = { ...paging, rows: ATTENDING, qkv: numbers(qkv), pool: loaded(pool, DTYPES[type]), outStride };
  attentionTwin({ ...given, window: window || Infinity, cap }, expected);
  const heads = `${shape.heads} heads on ${shape.kvHeads} of ${shape.headDim}`;
  const what = `attention (${nameOf(form)}) ${type}, ${heads}, window ${window}, cap ${cap}`;
  checkClose({ what, type: 'F32', before, after, expected, rowLength: outStride, tolerance });
}

async function checkAlone(harness: Harness, form: AttentionForm, type: PoolType, shape: Heads, limits = UNLIMITED): Promise<void> {
  const attending = attendingOf(type, shape, 1, limits);
  const { qkv, outStride } = attending;
  const width = widthOf(shape);
  const together = await attend(harness, form, attending, ATTENDING, qkv);
  const checkRow = async (row: number): Promise<void> => {
    const alone = await attend(harness, form, attending, [ATTENDING[row]!], qkv.slice(row * width, (row + 1) * width));
    const expected = together.after.subarray(row * outStride, (row + 1) * outStride);
    checkSame(`attention (${nameOf(form)}) ${type}, row ${row} alone`, alone.after.subarray(0, outStride), expected);
  };
  await Promise.all(ATTENDING.map((_, row) => checkRow(row)));
}

/** A row whose keys or values hold what is no number gives none, so that its logits tell; the others give what they gave. */
async function checkNothingHidden(harness: Harness, form: AttentionForm, type: PoolType, plane: 0 | 1, value: number): Promise<void> {
  const shape = SHAPES[1]!;
  const attending = attendingOf(type, shape, 1);
  const { paging, outStride } = attending;
  const clean = await attend(harness, form, attending, ATTENDING, attending.qkv);
  const spoiled = Float32Array.from(loaded(attending.pool, DTYPES[type]));
  const blockRow = 5;
  for (let head = 0; head < shape.kvHeads; head++) spoiled[poolIndex(paging, blockRow, 3, plane, head) + 2] = value;
  const pool = stored(spoiled, DTYPES[type]);
  const after = await attend(harness, form, { ...attending, pool }, ATTENDING, attending.qkv);
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

/** A key or value of a chunk that is no number shows in the rows from its own on; those before it in the chunk keep their bits. */
async function checkLaterKeys(harness: Harness, form: AttentionForm, type: PoolType, plane: 0 | 1, value: number): Promise<void> {
  const shape = SHAPES[1]!;
  const attending = attendingOf(type, shape, 1);
  const { paging, outStride } = attending;
  const clean = await attend(harness, form, attending, ATTENDING, attending.qkv);
  const spoiled = Float32Array.from(loaded(attending.pool, DTYPES[type]));
  const [blockRow, position] = [7, 66]; // inside a page and a tile, behind rows of both
  for (let head = 0; head < shape.kvHeads; head++) spoiled[poolIndex(paging, blockRow, position, plane, head) + 5] = value;
  const pool = stored(spoiled, DTYPES[type]);
  const after = await attend(harness, form, { ...attending, pool }, ATTENDING, attending.qkv);
  for (const [row, placed] of ATTENDING.entries()) {
    const [now, then] = [after, clean].map(({ after: out }) => out.subarray(row * outStride, (row + 1) * outStride));
    if (placed.blockRow !== blockRow || placed.position < position || placed.kind === 'inert') {
      checkSame(`attention (${nameOf(form)}) ${type}, row ${row}, ${value} in key ${position} of sequence ${blockRow}`, now!, then!);
      continue;
    }
    const isNone = [...numbers(now!.slice(0, shape.heads * shape.headDim))].some((each) => !Number.isFinite(each));
    check(isNone, () => `attention (${nameOf(form)}) ${type}, row ${row}: ${value} in plane ${plane} of its key ${position} left no trace`);
  }
}

/** A window that begins inside a page, for some rows in another tile than it ends; a cap that scores reach. Each is a compile of every form. */
const LIMITED: readonly Limits[] = [{ window: 24, cap: 3 }];
const LIMITED_SHAPE = SHAPES[1]!;

/** The narrow forms for prefill: with and without subgroups. */
export const ROWS_FORM: AttentionVariant = {
  name: 'narrow-rows',
  kernel: attentionRows,
  threads: ({ rows, kvHeads, group }) => attentionRowsThreads(rows, kvHeads, group),
};
export const ROWS_QUADS_FORM: AttentionVariant = {
  name: 'narrow-rows-quads',
  kernel: attentionRowsQuads,
  threads: ({ rows, kvHeads, group }) => attentionRowsQuadsThreads(rows, kvHeads, group),
};

const NARROW_FORM: AttentionVariant = {
  ...NARROW.attention,
  threads: ({ rows, kvHeads, group }) => attentionThreads(rows, kvHeads, group),
};

/** A narrow form for prefill gives every row the bits that the one for decode gives it; groups of heads that tiles divide and do not. */
export function attentionRowsCases(harness: () => Promise<Harness>, form: AttentionVariant): Case[] {
  const shapes: readonly Heads[] = [...SHAPES, { heads: 6, kvHeads: 2, headDim: 16 }, { heads: 5, kvHeads: 1, headDim: 8 }];
  const cases = shapes.map((shape): Case => ({
    name: `attention (${form.name}): the bits of decode, ${shape.heads} heads on ${shape.kvHeads} of ${shape.headDim}`,
    run: async () => {
      const device = await harness();
      for (const type of ['f32', 'f16'] as const) {
        const attending = attendingOf(type, shape, 1);
        const [decode, rows] = await Promise.all(
          [NARROW_FORM, form].map((each) => attend(device, each, attending, ATTENDING, attending.qkv)),
        );
        checkSame(`attention (${form.name}) ${type}, ${shape.heads} heads on ${shape.kvHeads}`, rows!.after, decode!.after);
      }
    },
  }));
  const limited = LIMITED.map((limits): Case => ({
    name: `attention (${form.name}): the bits of decode, a window of ${limits.window}, a cap of ${limits.cap}`,
    run: async () => {
      const device = await harness();
      const attending = attendingOf('f32', LIMITED_SHAPE, 1, limits);
      const [decode, rows] = await Promise.all(
        [NARROW_FORM, form].map((each) => attend(device, each, attending, ATTENDING, attending.qkv)),
      );
      checkSame(`attention (${form.name})`, rows!.after, decode!.after);
    },
  }));
  const later = [NARROW_FORM, form].map((each) => laterKeysCase(harness, each));
  return [...attentionCases(harness, form), ...cases, ...limited, ...later];
}

/** A form for prefill keeps what is no number to the rows that see it. */
export function laterKeysCase(harness: () => Promise<Harness>, form: AttentionVariant): Case {
  return {
    name: `attention (${form.name}): what is no number in a later key of a chunk leaves its earlier rows alone`,
    run: async () => {
      for (const plane of [0, 1] as const) {
        for (const value of [NaN, Infinity]) await checkLaterKeys(await harness(), form, 'f32', plane, value);
      }
    },
  };
}

/** One form of attention; default the narrow one. */
export function attentionCases(
  harness: () => Promise<Harness>,
  form: AttentionForm = NARROW.attention,
  shapes: readonly Heads[] = SHAPES,
  types: readonly PoolType[] = ['f32', 'f16'],
): Case[] {
  const cases: Case[] = [];
  for (const type of types) {
    const add = (name: string, run: (device: Harness) => Promise<void>): void => {
      cases.push({ name: `attention (${nameOf(form)}) ${type}${name}`, run: async () => run(await harness()) });
    };
    for (const shape of shapes) {
      const heads = `, ${shape.heads} heads on ${shape.kvHeads} of ${shape.headDim}`;
      add(heads, (device) => checkAttention(device, form, type, shape, 1, 1e-5));
      add(`${heads}: a row alone and in a batch gives the same bits`, (device) => checkAlone(device, form, type, shape));
    }
    add(': what is no number shows in its own rows alone', async (device) => {
      for (const plane of [0, 1] as const) for (const value of [NaN, Infinity]) await checkNothingHidden(device, form, type, plane, value);
    });
    for (const limits of type === 'f32' ? LIMITED : []) {
      add(`, a window of ${limits.window}, a cap of ${limits.cap}`, async (device) => {
        await checkAttention(device, form, type, LIMITED_SHAPE, 4, limits.cap > 0 ? 1e-4 : 1e-5, limits);
        await checkAlone(device, form, type, LIMITED_SHAPE, limits);
      });
    }
    // scores in the hundreds: f32 holds them to 1e-5, and their exponentials no better
    add(' with scores in the hundreds', (device) => checkAttention(device, form, type, SHAPES[1]!, 100, 1e-3));
  }
  return cases;
}
