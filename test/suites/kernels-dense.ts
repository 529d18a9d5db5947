import type { WeightType } from '../../src/kernels/libraries.ts';
import { COMMON, SOFTCAP, STATE, WEIGHTS } from '../../src/kernels/libraries.ts';
import { embed, embedThreads } from '../../src/kernels/embed.ts';
import { addRows, addRowsThreads } from '../../src/kernels/add-rows.ts';
import { glu, gluThreads } from '../../src/kernels/glu.ts';
import { softcap, softcapThreads } from '../../src/kernels/softcap.ts';
import { NARROW, type MatmulVariant, type NormVariant } from '../../src/kernels/variants.ts';
import { embed as embedTwin } from '../reference/embed.ts';
import { matmul as matmulTwin } from '../reference/matmul.ts';
import { rmsNorm as rmsNormTwin } from '../reference/rms-norm.ts';
import { addRows as addRowsTwin } from '../reference/add-rows.ts';
import { glu as gluTwin, type GluInput } from '../reference/glu.ts';
import { softcap as softcapTwin } from '../reference/softcap.ts';
import { bits, checkClose, checkSame, forEachRowCount, poison, uniform } from './kernel-harness.ts';
import type { Floats, Harness, Words } from './kernel-harness.ts';
import { matrix, OWN_TYPES, padded, planeOf, widthOf, GGUF_TYPES } from './kernel-planes.ts';
import { plainRows, STEP, stepWords, type StepRow } from './kernel-step.ts';
import type { Case } from './suite.ts';

/** Poison with f32 rows of `stride` numbers at its start, `width` of each used. */
function activations(rows: number, width: number, stride: number, values: Floats): Words {
  const words = poison((rows + 2) * stride, 'input');
  for (let row = 0; row < rows; row++) words.set(bits(values).subarray(row * width, (row + 1) * width), row * stride);
  return words;
}

const numbers = (words: Words): Floats => new Float32Array(words.buffer, words.byteOffset, words.length);

async function checkEmbed(harness: Harness, type: WeightType, width: number, scale = 1): Promise<void> {
  const vocabulary = 37;
  const chunks = [
    { first: 0, count: 20 },
    { first: 20, count: 17 },
  ];
  const planes = chunks.map(({ first, count }) => planeOf(type, count, width, 1, width + first));
  const state = Uint32Array.of(5, 1, 36, 0, 20, 1, 19, 0); // token and done of each slot
  const all: readonly StepRow[] = [3, 19, 20, { slot: 1 }, 36, 0, { slot: 3 }, 4_000_000, { slot: 2 }].map((token) => ({ token }));
  const stride = padded(width);
  const checkCount = async (count: number): Promise<void> => {
    const rows = all.slice(0, count);
    const tokens = rows.map(({ token }) => (typeof token === 'number' ? token : state[2 * token!.slot]!));
    for (const [i, { first, count: held }] of chunks.entries()) {
      const { words, values, scalesAt } = planes[i]!;
      const x = poison((count + 2) * stride, 'output');
      const after = await harness.run({
        kernel: embed,
        constants: {
          ...STEP,
          VOCABULARY: vocabulary,
          FIRST: first,
          COUNT: held,
          WIDTH8: stride / 8,
          SCALES_AT: scalesAt,
          SCALE: { f32: scale },
        },
        libraries: [...COMMON, STATE, WEIGHTS[type]],
        buffers: { step: stepWords({ rows }), weights: words, state, x },
        threads: embedThreads(count, stride / 8),
      });
      const expected = Float64Array.from(numbers(x));
      embedTwin({ tokens, vocabulary, weights: values, first, count: held, width: stride, scale }, expected);
      const what = `embed ${type}, ${count} rows of ${width}, tokens from ${first}`;
      // not scaled, the bits of the weights
      const tolerance = scale === 1 ? 0 : 1e-6;
      checkClose({ what, type: 'F32', before: x, after: after.x, expected, rowLength: stride, tolerance });
    }
  };
  await Promise.all([1, 2, 5, 9].map(checkCount));
}

type Counted = 'batch rows' | 'logit rows';

type Output = 'replace' | 'add';

async function checkRmsNorm(
  harness: Harness,
  width: number,
  gather: Counted,
  output: Output,
  { name, kernel, threads }: NormVariant,
): Promise<void> {
  const stride = padded(width);
  const epsilon = 1e-3;
  const weight = uniform(7)(width, 2);
  await forEachRowCount(async (rows) => {
    const x = activations(rows, width, stride, uniform(rows)(rows * width, rows % 2 ? 3 : 0.01));
    const logitRows = Array.from({ length: Math.ceil(rows / 2) }, (_, i) => rows - 1 - 2 * i);
    const from = gather === 'logit rows' ? logitRows : Array.from({ length: rows }, (_, i) => i);
    const y = output === 'add' ? bits(uniform(rows + 50)((rows + 2) * stride, 1)) : poison((rows + 2) * stride, 'output');
    const after = await harness.run({
      kernel,
      constants: {
        ...{ ...STEP, WIDTH4: width / 4, STRIDE4: stride / 4, EPSILON: { f32: epsilon } },
        ...{ GATHER: gather === 'logit rows', ADD: output === 'add' },
      },
      libraries: COMMON,
      buffers: { step: stepWords({ rows: plainRows(rows), logitRows }), x, weight: bits(weight), y },
      threads: threads({ rows: from.length }),
    });
    const expected = Float64Array.from(numbers(y));
    rmsNormTwin({ x: numbers(x), weight, rows: from, width, stride, epsilon, output }, expected);
    const what = `rms-norm (${name}), ${rows} rows of ${width}, ${gather}, ${output}`;
    checkClose({ what, type: 'F32', before: y, after: after.y, expected, rowLength: stride, tolerance: 1e-5 });
  });
}

interface MatmulShape {
  readonly width: number;
  readonly out: number;
  readonly outAt: number;
  readonly output: 'replace' | 'add';
  readonly counted: Counted;
}

/** out 263 is a vocabulary that is no multiple of 4: its last quad ends in rows of zeros. It is more than a workgroup of any form has. */
const MATMULS: readonly MatmulShape[] = [
  { width: 36, out: 12, outAt: 8, output: 'replace', counted: 'batch rows' },
  { width: 100, out: 20, outAt: 0, output: 'add', counted: 'batch rows' },
  { width: 36, out: 263, outAt: 0, output: 'replace', counted: 'logit rows' },
  { width: 1100, out: 8, outAt: 4, output: 'add', counted: 'batch rows' },
];

/** Of a type that only GGUF files have: the rows are several blocks wide, whatever a block holds. */
const BLOCK_MATMUL: MatmulShape = { width: 500, out: 20, outAt: 4, output: 'add', counted: 'batch rows' };

/** Forms of a matmul that must give the same bits, and how far the twin may be off. */
export interface MatmulForms {
  readonly forms: readonly MatmulVariant[];
  readonly tolerance: number;
  readonly types: readonly WeightType[];
}

// of GGUF's own types those whose readers have most to do; embed meets all of them, and kernels-blocks.ts
const NARROW_FORMS: MatmulForms = {
  forms: NARROW.matmul.map(({ variant }) => variant),
  tolerance: 1e-5,
  types: [...OWN_TYPES, 'q3_k', 'iq4_xs'],
};

async function checkMatmul(harness: Harness, type: WeightType, shape: MatmulShape, { forms, tolerance }: MatmulForms): Promise<void> {
  const { out, outAt, output, counted } = shape;
  const width = widthOf(type, shape.width);
  const xStride = padded(width);
  const out4 = Math.ceil(out / 4);
  const yStride = outAt + out4 * 4 + 4;
  const { words, values: weights, scalesAt } = planeOf(type, out, width, 1 / Math.sqrt(width), out);
  const constants = {
    ...STEP,
    WIDTH8: xStride / 8,
    OUT4: out4,
    OUT_AT4: outAt / 4,
    Y_STRIDE4: yStride / 4,
    ADD: output === 'add',
    LOGITS: counted === 'logit rows',
    SCALES_AT: scalesAt,
  };
  const libraries = [...COMMON, WEIGHTS[type]];
  await forEachRowCount(async (rows) => {
    const x = poison((rows + 4) * xStride, 'input');
    x.set(bits(matrix(rows, width, 1, rows)));
    // the wrong count would reach into the poison behind x, and into y behind its rows
    const counts = { rows: plainRows(rows), logitRows: Array.from({ length: rows }, (_, i) => i) };
    const step = stepWords(counted === 'logit rows' ? { ...counts, rows: plainRows(rows + 3) } : { ...counts, logitRows: [] });
    const y = output === 'add' ? bits(uniform(rows + 100)((rows + 4) * yStride, 1)) : poison((rows + 4) * yStride, 'output');
    const buffers = { step, weights: words, x, y };
    const expected = Float64Array.from(numbers(y));
    matmulTwin({ x: numbers(x), weights, rows, width, xStride, out: out4 * 4, outAt, yStride, output }, expected);
    let first: Words | undefined;
    for (const { name, kernel, threads } of forms) {
      const { y: after } = await harness.run({ kernel, constants, libraries, buffers, threads: threads({ rows, out4 }) });
      const what = `matmul (${name}) ${type}, ${rows} rows, ${width} to ${out}, ${output}`;
      checkClose({ what, type: 'F32', before: y, after, expected, rowLength: yStride, tolerance });
      checkSame(`${what}, against ${forms[0]!.name}`, after, (first ??= after));
    }
  });
}

async function checkGlu(harness: Harness, width: number, activation: GluInput['activation'], biased: 'yes' | 'no'): Promise<void> {
  const yStride = padded(width);
  const bias = biased === 'yes' ? uniform(6)(2 * width, 2) : undefined;
  await forEachRowCount(async (rows) => {
    const gateUp = poison((rows + 2) * 2 * width, 'input');
    const values = uniform(rows)(rows * 2 * width, 4);
    values.set([-100, 100, 0, -87, -89, 30_000, -30_000, -1e-30, 1e15, -1e15, -5, 5]);
    gateUp.set(bits(values));
    const y = poison((rows + 2) * yStride, 'output');
    const after = await harness.run({
      kernel: glu,
      constants: {
        ...{ ...STEP, WIDTH4: width / 4, GATE_STRIDE4: width / 2, Y_STRIDE4: yStride / 4 },
        ...{ GELU: activation === 'gelu-tanh', BIAS: bias !== undefined },
      },
      libraries: COMMON,
      buffers: { step: stepWords({ rows: plainRows(rows) }), gate_up: gateUp, bias: bias ? bits(bias) : poison(4, 'input'), y },
      threads: gluThreads(rows, width / 4),
    });
    const expected = Float64Array.from(numbers(y));
    gluTwin({ gateUp: numbers(gateUp), bias, activation, rows, width, yStride }, expected);
    const what = `glu ${activation}, ${rows} rows of ${width}`;
    // each number on its own: the largest is 1e15 times the others
    checkClose({ what, type: 'F32', before: y, after: after.y, expected, rowLength: 1, tolerance: 1e-5, floor: 1e-3 });
  });
}

async function checkAddRows(harness: Harness, width: number, summands: readonly ('y' | 'bias')[]): Promise<void> {
  const stride = padded(width);
  await forEachRowCount(async (rows) => {
    const x = bits(uniform(rows)((rows + 2) * stride, 1));
    const y = summands.includes('y') ? activations(rows, width, stride, uniform(rows + 1)(rows * width, 1)) : undefined;
    const bias = summands.includes('bias') ? uniform(9)(width, 1) : undefined;
    const after = await harness.run({
      kernel: addRows,
      constants: { ...STEP, WIDTH4: width / 4, STRIDE4: stride / 4, Y: y !== undefined, BIAS: bias !== undefined },
      libraries: COMMON,
      buffers: { step: stepWords({ rows: plainRows(rows) }), y: y ?? poison(4, 'input'), bias: bias ? bits(bias) : poison(4, 'input'), x },
      threads: addRowsThreads(rows, width / 4),
    });
    const expected = Float64Array.from(numbers(x));
    addRowsTwin({ y: y && numbers(y), bias, rows, width, stride }, expected);
    const what = `add-rows (${summands.join()}), ${rows} rows of ${width}`;
    checkClose({ what, type: 'F32', before: x, after: after.x, expected, rowLength: stride, tolerance: 1e-6 });
  });
}

async function checkSoftcap(harness: Harness): Promise<void> {
  const [width, rows, cap] = [40, 3, 30];
  const values = uniform(8)((rows + 2) * width, 100);
  values.set([NaN, Infinity, -Infinity, 3e38, -3e38, 0, 1e-6, -900]);
  const logits = bits(values);
  const counts = { rows: plainRows(rows + 2), logitRows: [0, 1, 2] };
  const after = await harness.run({
    kernel: softcap,
    constants: { ...STEP, STRIDE4: width / 4, CAP: { f32: cap } },
    libraries: [...COMMON, SOFTCAP],
    buffers: { step: stepWords(counts), logits },
    threads: softcapThreads(rows, width / 4),
  });
  const expected = Float64Array.from(numbers(logits));
  softcapTwin(cap, rows * width, expected);
  const shared = { what: 'softcap', type: 'F32', before: logits, after: after.logits, expected } as const;
  checkClose({ ...shared, rowLength: 1, tolerance: 1e-5, floor: 1 });
}

const NORMS: readonly (readonly [Counted, Output])[] = [
  ['batch rows', 'replace'],
  ['logit rows', 'replace'],
  ['batch rows', 'add'],
];

/** Another kernel than the narrow one for the norm of a row. */
export function normCases(harness: () => Promise<Harness>, variant: NormVariant = NARROW.rmsNorm): Case[] {
  return [36, 100, 1100].flatMap((width) =>
    NORMS.map(([gather, output]) => ({
      name: `rms-norm (${variant.name}) of ${gather}, width ${width}, ${output}`,
      run: async () => checkRmsNorm(await harness(), width, gather, output, variant),
    })),
  );
}

/** A matmul in forms that must agree. */
export function matmulCases(harness: () => Promise<Harness>, forms: MatmulForms = NARROW_FORMS): Case[] {
  const names = forms.forms.map(({ name }) => name).join(' and ');
  // GGUF's own types read as others do but for the bits: one shape shows these
  const shapesOf = (type: WeightType): readonly MatmulShape[] => (OWN_TYPES.includes(type) ? MATMULS : [BLOCK_MATMUL]);
  return forms.types.flatMap((type) =>
    shapesOf(type).map((shape) => ({
      name: `matmul (${names}) ${type}, ${shape.counted}, ${shape.width} to ${shape.out}, ${shape.output}`,
      run: async () => checkMatmul(await harness(), type, shape, forms),
    })),
  );
}

/** embed, rms-norm, matmul-row, matmul-tile, glu, add-rows, softcap. */
export function denseCases(harness: () => Promise<Harness>): Case[] {
  const cases: Case[] = [];
  const add = (name: string, run: (harness: Harness) => Promise<void>): void => {
    cases.push({ name, run: async () => run(await harness()) });
  };
  for (const type of [...OWN_TYPES, ...GGUF_TYPES]) {
    for (const width of OWN_TYPES.includes(type) ? [36, 100] : [500])
      add(`embed ${type}, width ${width}`, (device) => checkEmbed(device, type, widthOf(type, width)));
  }
  cases.push(...normCases(harness), ...matmulCases(harness));
  add('embed f16, times 7.5', (device) => checkEmbed(device, 'f16', 36, 7.5));
  for (const width of [36, 100]) add(`glu silu, width ${width}`, (device) => checkGlu(device, width, 'silu', 'no'));
  add('glu gelu-tanh', (device) => checkGlu(device, 36, 'gelu-tanh', 'no'));
  add('glu gelu-tanh of biased numbers', (device) => checkGlu(device, 36, 'gelu-tanh', 'yes'));
  for (const summands of [['y'], ['bias'], ['y', 'bias']] as const) {
    add(`add-rows (${summands.join(' and ')})`, (device) => checkAddRows(device, 36, summands));
  }
  add('softcap; what is no number stays so', checkSoftcap);
  return cases;
}
