import type { WeightType } from '../../src/kernels/libraries.ts';
import { COMMON, STATE, WEIGHTS } from '../../src/kernels/libraries.ts';
import { embed, embedThreads } from '../../src/kernels/embed.ts';
import { matmulRow, matmulRowThreads } from '../../src/kernels/matmul-row.ts';
import { matmulTile, matmulTileThreads } from '../../src/kernels/matmul-tile.ts';
import { rmsNorm, rmsNormThreads } from '../../src/kernels/rms-norm.ts';
import { siluMul, siluMulThreads } from '../../src/kernels/silu-mul.ts';
import type { FloatDtype } from '../../src/formats/half.ts';
import { embed as embedTwin } from '../reference/embed.ts';
import { matmul as matmulTwin } from '../reference/matmul.ts';
import { rmsNorm as rmsNormTwin } from '../reference/rms-norm.ts';
import { siluMul as siluMulTwin } from '../reference/silu-mul.ts';
import { bits, checkClose, checkSame, forEachRowCount, poison, rounded, stored, uniform } from './kernel-harness.ts';
import type { Floats, Harness, Words } from './kernel-harness.ts';
import { plainRows, STEP, stepWords, type StepRow } from './kernel-step.ts';
import type { Case } from './suite.ts';

/** Numbers in a row of activations or weights. */
const padded = (width: number): number => Math.ceil(width / 32) * 32;
const DTYPES: Readonly<Record<WeightType, FloatDtype>> = { f32: 'F32', f16: 'F16', bf16: 'BF16' };
const TYPES: readonly WeightType[] = ['f32', 'f16', 'bf16'];

/** (rows, padded(width)), its padding zeros as weight loading leaves it. */
function matrix(rows: number, width: number, size: number, seed: number): Floats {
  const values = uniform(seed)(rows * width, size);
  const out = new Float32Array(rows * padded(width));
  for (let row = 0; row < rows; row++) out.set(values.subarray(row * width, (row + 1) * width), row * padded(width));
  return out;
}

/** Poison with f32 rows of `stride` numbers at its start, `width` of each used. */
function activations(rows: number, width: number, stride: number, values: Floats): Words {
  const words = poison((rows + 2) * stride, 'input');
  for (let row = 0; row < rows; row++) words.set(bits(values).subarray(row * width, (row + 1) * width), row * stride);
  return words;
}

const numbers = (words: Words): Floats => new Float32Array(words.buffer, words.byteOffset, words.length);

async function checkEmbed(harness: Harness, type: WeightType, width: number): Promise<void> {
  const vocabulary = 37;
  const chunks = [
    { first: 0, count: 20 },
    { first: 20, count: 17 },
  ];
  const weights = rounded(matrix(vocabulary, width, 1, width), DTYPES[type]);
  const state = Uint32Array.of(5, 1, 36, 0, 20, 1, 19, 0); // token and done of each slot
  const all: readonly StepRow[] = [3, 19, 20, { slot: 1 }, 36, 0, { slot: 3 }, 4_000_000, { slot: 2 }].map((token) => ({ token }));
  const stride = padded(width);
  const checkCount = async (count: number): Promise<void> => {
    const rows = all.slice(0, count);
    const tokens = rows.map(({ token }) => (typeof token === 'number' ? token : state[2 * token!.slot]!));
    for (const { first, count: held } of chunks) {
      const part = weights.slice(first * stride, (first + held) * stride);
      const x = poison((count + 2) * stride, 'output');
      const after = await harness.run({
        kernel: embed,
        constants: { ...STEP, VOCABULARY: vocabulary, FIRST: first, COUNT: held, WIDTH8: stride / 8 },
        libraries: [...COMMON, STATE, WEIGHTS[type]],
        buffers: { step: stepWords({ rows }), weights: stored(part, DTYPES[type]), state, x },
        threads: embedThreads(count, stride / 8),
      });
      const expected = Float64Array.from(numbers(x));
      embedTwin({ tokens, vocabulary, weights: part, first, count: held, width: stride }, expected);
      const what = `embed ${type}, ${count} rows of ${width}, tokens from ${first}`;
      checkClose({ what, type: 'F32', before: x, after: after.x, expected, rowLength: stride, tolerance: 0 });
    }
  };
  await Promise.all([1, 2, 5, 9].map(checkCount));
}

async function checkRmsNorm(harness: Harness, width: number, gather: 'batch rows' | 'logit rows'): Promise<void> {
  const stride = padded(width);
  const epsilon = 1e-3;
  const weight = uniform(7)(width, 2);
  await forEachRowCount(async (rows) => {
    const x = activations(rows, width, stride, uniform(rows)(rows * width, rows % 2 ? 3 : 0.01));
    const logitRows = Array.from({ length: Math.ceil(rows / 2) }, (_, i) => rows - 1 - 2 * i);
    const from = gather === 'logit rows' ? logitRows : Array.from({ length: rows }, (_, i) => i);
    const y = poison((rows + 2) * stride, 'output');
    const after = await harness.run({
      kernel: rmsNorm,
      constants: { ...STEP, WIDTH4: width / 4, STRIDE4: stride / 4, EPSILON: { f32: epsilon }, GATHER: gather === 'logit rows' },
      libraries: COMMON,
      buffers: { step: stepWords({ rows: plainRows(rows), logitRows }), x, weight: bits(weight), y },
      threads: rmsNormThreads(from.length),
    });
    const expected = Float64Array.from(numbers(y));
    rmsNormTwin({ x: numbers(x), weight, rows: from, width, stride, epsilon }, expected);
    const what = `rms-norm, ${rows} rows of ${width}, ${gather}`;
    checkClose({ what, type: 'F32', before: y, after: after.y, expected, rowLength: stride, tolerance: 1e-5 });
  });
}

interface MatmulShape {
  readonly width: number;
  readonly out: number;
  readonly outAt: number;
  readonly output: 'replace' | 'add';
  readonly counted: 'batch rows' | 'logit rows';
}

/** out 251 is a vocabulary that is no multiple of 4: its last quad ends in rows of zeros. */
const MATMULS: readonly MatmulShape[] = [
  { width: 36, out: 12, outAt: 8, output: 'replace', counted: 'batch rows' },
  { width: 100, out: 20, outAt: 0, output: 'add', counted: 'batch rows' },
  { width: 36, out: 251, outAt: 0, output: 'replace', counted: 'logit rows' },
  { width: 1100, out: 8, outAt: 4, output: 'add', counted: 'batch rows' },
];

async function checkMatmul(harness: Harness, type: WeightType, shape: MatmulShape): Promise<void> {
  const { width, out, outAt, output, counted } = shape;
  const xStride = padded(width);
  const out4 = Math.ceil(out / 4);
  const yStride = outAt + out4 * 4 + 4;
  const weights = new Float32Array(out4 * 4 * xStride);
  weights.set(rounded(matrix(out, width, 1 / Math.sqrt(width), out), DTYPES[type]));
  const constants = {
    ...STEP,
    WIDTH8: xStride / 8,
    OUT4: out4,
    OUT_AT4: outAt / 4,
    Y_STRIDE4: yStride / 4,
    ADD: output === 'add',
    LOGITS: counted === 'logit rows',
  };
  const libraries = [...COMMON, WEIGHTS[type]];
  await forEachRowCount(async (rows) => {
    const x = poison((rows + 4) * xStride, 'input');
    x.set(bits(matrix(rows, width, 1, rows)));
    // the wrong count would reach into the poison behind x, and into y behind its rows
    const counts = { rows: plainRows(rows), logitRows: Array.from({ length: rows }, (_, i) => i) };
    const step = stepWords(counted === 'logit rows' ? { ...counts, rows: plainRows(rows + 3) } : { ...counts, logitRows: [] });
    const y = output === 'add' ? bits(uniform(rows + 100)((rows + 4) * yStride, 1)) : poison((rows + 4) * yStride, 'output');
    const buffers = { step, weights: stored(weights, DTYPES[type]), x, y };
    const row = await harness.run({ kernel: matmulRow, constants, libraries, buffers, threads: matmulRowThreads(rows, out4) });
    const tile = await harness.run({ kernel: matmulTile, constants, libraries, buffers, threads: matmulTileThreads(rows, out4) });
    const expected = Float64Array.from(numbers(y));
    matmulTwin({ x: numbers(x), weights, rows, width, xStride, out: out4 * 4, outAt, yStride, output }, expected);
    for (const [form, after] of [['row', row.y] as const, ['tile', tile.y] as const]) {
      const what = `matmul-${form} ${type}, ${rows} rows, ${width} to ${out}, ${output}`;
      checkClose({ what, type: 'F32', before: y, after, expected, rowLength: yStride, tolerance: 1e-5 });
    }
    checkSame(`matmul-tile ${type} against matmul-row, ${rows} rows, ${width} to ${out}`, tile.y, row.y);
  });
}

async function checkSiluMul(harness: Harness, width: number): Promise<void> {
  const yStride = padded(width);
  await forEachRowCount(async (rows) => {
    const gateUp = poison((rows + 2) * 2 * width, 'input');
    const values = uniform(rows)(rows * 2 * width, 4);
    values.set([-100, 100, 0, -87, -89, 30_000, -30_000, -1e-30]);
    gateUp.set(bits(values));
    const y = poison((rows + 2) * yStride, 'output');
    const after = await harness.run({
      kernel: siluMul,
      constants: { ...STEP, WIDTH4: width / 4, GATE_STRIDE4: width / 2, Y_STRIDE4: yStride / 4 },
      libraries: COMMON,
      buffers: { step: stepWords({ rows: plainRows(rows) }), gate_up: gateUp, y },
      threads: siluMulThreads(rows, width / 4),
    });
    const expected = Float64Array.from(numbers(y));
    siluMulTwin({ gateUp: numbers(gateUp), rows, width, yStride }, expected);
    const what = `silu-mul, ${rows} rows of ${width}`;
    // each number on its own: the largest is 30,000 times the others
    checkClose({ what, type: 'F32', before: y, after: after.y, expected, rowLength: 1, tolerance: 1e-5, floor: 1e-3 });
  });
}

/** embed, rms-norm, matmul-row, matmul-tile, silu-mul. */
export function denseCases(harness: () => Promise<Harness>): Case[] {
  const cases: Case[] = [];
  const add = (name: string, run: (harness: Harness) => Promise<void>): void => {
    cases.push({ name, run: async () => run(await harness()) });
  };
  for (const type of TYPES) {
    for (const width of [36, 100]) add(`embed ${type}, width ${width}`, (device) => checkEmbed(device, type, width));
  }
  for (const width of [36, 100, 1100]) {
    for (const gather of ['batch rows', 'logit rows'] as const) {
      add(`rms-norm of ${gather}, width ${width}`, (device) => checkRmsNorm(device, width, gather));
    }
  }
  for (const type of TYPES) {
    for (const shape of MATMULS) {
      const { width, out, output, counted } = shape;
      add(`matmul ${type}, ${counted}, ${width} to ${out}, ${output}`, (device) => checkMatmul(device, type, shape));
    }
  }
  for (const width of [36, 100]) add(`silu-mul, width ${width}`, (device) => checkSiluMul(device, width));
  return cases;
}
