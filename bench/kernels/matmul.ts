import { COMMON, planeLayout, WEIGHTS, type WeightType } from '../../src/kernels/libraries.ts';
import { stepConstants } from '../../src/kernels/step-layout.ts';
import type { KernelSet, MatmulVariant } from '../../src/kernels/variants.ts';
import { matmul as matmulTwin } from '../../test/reference/matmul.ts';
import { bits, checkClose, loaded, poison, uniform } from '../../test/suites/kernel-harness.ts';
import { planeOf } from '../../test/suites/kernel-planes.ts';
import { plainRows, stepWords } from '../../test/suites/kernel-step.ts';
import type { Row } from '../report.ts';
import type { Bed, Timed } from './bed.ts';
import { tileLoads, type Demand } from './floor.ts';
import type { Bench } from './measure.ts';
import { rowsOfContest, rowsOfSubjects, type Subject } from './rounds.ts';
import { LAYOUT, MODELS, shapeOf } from './shapes.ts';
import { matmulVariant } from './variants/matmul.ts';

/** One matmul with its data on the device and what has to come out. */
interface Place {
  readonly rows: number;
  readonly width: number;
  readonly out: number;
  readonly type: WeightType;
  readonly step: GPUBuffer;
  readonly weights: GPUBuffer;
  readonly x: GPUBuffer;
  readonly y: GPUBuffer;
  readonly expected: Float64Array;
}

const MOST_ROWS = 256;
const TOLERANCE = 1e-5;

/** Data of one plane for several numbers of rows; the twin computes all rows once. */
function placesOf(bed: Bed, type: WeightType, width: number, out: number, rowCounts: readonly number[]): Place[] {
  const random = uniform(width + out);
  const plane = planeOf(type, out, width, 1 / Math.sqrt(width), width + out);
  const most = Math.max(...rowCounts);
  const input = random(most * width, 1);
  const expected = new Float64Array(most * out);
  matmulTwin(
    { x: input, weights: plane.values, rows: most, width, xStride: width, out, outAt: 0, yStride: out, output: 'replace' },
    expected,
  );
  const weights = bed.buffer('weights', plane.words);
  const x = bed.buffer('x', bits(input));
  return rowCounts.map((rows) => ({
    rows,
    width,
    out,
    type,
    step: bed.buffer('step', stepWords({ rows: plainRows(rows) }, LAYOUT)),
    weights,
    x,
    y: bed.buffer('y', poison(rows * out, 'output')),
    expected: expected.slice(0, rows * out),
  }));
}

/** A variant on that data, once its result is right. */
async function verified(bed: Bed, place: Place, variant: MatmulVariant): Promise<Timed> {
  const { rows, width, out, type, step, weights, x, y, expected } = place;
  const constants = {
    ...stepConstants(LAYOUT),
    WIDTH8: width / 8,
    OUT4: out / 4,
    OUT_AT4: 0,
    Y_STRIDE4: out / 4,
    ADD: false,
    LOGITS: false,
    SCALES_AT: planeLayout(type, out, width).scalesAtWord,
  };
  const threads = variant.threads({ rows, out4: out / 4 });
  const libraries = [...COMMON, WEIGHTS[type]];
  const timed = await bed.prepare({ kernel: variant.kernel, constants, libraries, buffers: { step, weights, x, y }, threads });
  const before = poison(rows * out, 'output');
  bed.device.queue.writeBuffer(y, 0, before);
  await bed.run(timed);
  const after = await bed.read(y, rows * out);
  const what = `${variant.kernel.label} ${type}, ${rows} rows, ${width} to ${out}`;
  checkClose({ what, type: 'F32', before, after, expected, rowLength: out, tolerance: TOLERANCE });
  if (loaded(after, 'F32').some(Number.isNaN)) throw new Error(`${what}: left poison`);
  return timed;
}

const shippedFor = ({ matmul }: KernelSet, rows: number): MatmulVariant => matmul.find(({ mostRows }) => rows <= mostRows)!.variant;

/** Weights once, x once, y once; loads in tiles of up to 8 rows and 8 outputs, of weights as many to a load as 16 bytes hold. */
function demandOf(rows: number, width: number, out: number, type: WeightType): Demand {
  const flops = 2 * rows * width * out;
  const perWeight = planeLayout(type, out, width).bytes / (out * width);
  const tm = Math.min(rows, 8);
  const tn = 8;
  const both = tileLoads(flops, tm, tn);
  const ofWeights = (both * tn) / (tm + tn);
  return {
    flops,
    bytes: perWeight * width * out + 4 * rows * (width + out),
    loads: both - ofWeights + (ofWeights * perWeight) / 4,
  };
}

const ROW_COUNTS: readonly number[] = [1, 8, 32, MOST_ROWS];

/** Quantised planes go through the same kernels: the widest matmul shows what they cost. */
const typesOf = (name: string): readonly WeightType[] => (name === 'gateUp' ? ['f32', 'f16', 'bf16', 'q8', 'q4', 'q4_1'] : ['f32', 'f16']);

/** Base matmuls of both models' layers beside their floors. */
export async function matmulRows(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const model of MODELS) {
    const { groups } = shapeOf(model);
    for (const { name, inWidth, outWidth } of Object.values(groups)) {
      for (const type of typesOf(name)) {
        const places = placesOf(bench.bed, type, inWidth, outWidth, ROW_COUNTS);
        const subjects: Subject[] = [];
        for (const place of places) {
          const timed = await verified(bench.bed, place, shippedFor(bench.kernels, place.rows));
          const label = `matmul/${model.name} ${name} ${type}, ${place.rows} rows`;
          subjects.push({ name: label, timed, demand: demandOf(place.rows, inWidth, outWidth, type) });
        }
        rows.push(...(await rowsOfSubjects(bench, subjects)));
        bench.bed.drop(places[0]!.weights, places[0]!.x, ...places.flatMap(({ step, y }) => [step, y]));
      }
    }
  }
  return rows;
}

const FORM = { rows: 1, quads: 1, unroll: 1, workgroup: 64, sums: 'dot', neighbours: 'outputs' } as const;

/** By number of rows: what else was thought of. */
const FORMS = {
  decode: [
    FORM,
    { ...FORM, workgroup: 32 },
    { ...FORM, workgroup: 128 },
    { ...FORM, workgroup: 256 },
    { ...FORM, quads: 2 },
    { ...FORM, quads: 2, workgroup: 32 },
    { ...FORM, unroll: 2 },
    { ...FORM, sums: 'lanes' },
  ],
  batch: [
    { ...FORM, rows: 4 },
    { ...FORM, rows: 4, workgroup: 128 },
    { ...FORM, rows: 4, workgroup: 32 },
    { ...FORM, rows: 8 },
    { ...FORM, rows: 8, workgroup: 32 },
    { ...FORM, rows: 8, workgroup: 128 },
    { ...FORM, rows: 4, quads: 2 },
    { ...FORM, rows: 8, quads: 2, workgroup: 16 },
    { ...FORM, rows: 8, quads: 2, workgroup: 32 },
    { ...FORM, rows: 8, quads: 2 },
    { ...FORM, rows: 2, quads: 2 },
    { ...FORM, rows: 2 },
    { ...FORM, rows: 4, unroll: 2 },
    { ...FORM, rows: 4, neighbours: 'rows' },
    { ...FORM, rows: 4, sums: 'lanes' },
  ],
  prefill: [
    { ...FORM, rows: 4 },
    { ...FORM, rows: 4, workgroup: 256 },
    { ...FORM, rows: 8 },
    { ...FORM, rows: 8, workgroup: 32 },
    { ...FORM, rows: 8, workgroup: 256 },
    { ...FORM, rows: 8, quads: 2 },
    { ...FORM, rows: 4, quads: 2 },
    { ...FORM, rows: 16 },
    { ...FORM, rows: 16, quads: 2 },
    { ...FORM, rows: 8, quads: 4 },
    { ...FORM, rows: 8, quads: 3 },
    { ...FORM, rows: 8, quads: 2, workgroup: 16 },
    { ...FORM, rows: 8, quads: 2, workgroup: 32 },
    { ...FORM, rows: 8, quads: 2, workgroup: 128 },
    { ...FORM, rows: 8, neighbours: 'rows' },
    { ...FORM, rows: 4, sums: 'lanes' },
  ],
} as const;

/** Matmuls of a decode step, of a batch's and of a prompt's, against other ways to compute them. */
export async function matmulVariants(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const model of MODELS) {
    const { groups } = shapeOf(model);
    for (const [count, kind] of [
      [1, 'decode'],
      [8, 'batch'],
      [32, 'prefill'],
      [MOST_ROWS, 'prefill'],
    ] as const) {
      for (const { name, inWidth, outWidth } of [groups.qkv, groups.gateUp, groups.down]) {
        if (model.name !== 'frontdesk' && (count === MOST_ROWS || name !== 'gateUp')) continue;
        const [place] = placesOf(bench.bed, 'f32', inWidth, outWidth, [count]);
        const alternatives = [];
        for (const variant of [shippedFor(bench.kernels, count), ...FORMS[kind].map(matmulVariant)]) {
          alternatives.push({ name: variant.name, timed: await verified(bench.bed, place!, variant) });
        }
        rows.push(...(await rowsOfContest(bench, { name: `matmul-variants/${model.name} ${name}, ${count} rows`, alternatives })));
        bench.bed.drop(place!.weights, place!.x, place!.step, place!.y);
      }
    }
  }
  return rows;
}
