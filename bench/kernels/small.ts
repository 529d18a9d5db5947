import { glu, gluThreads } from '../../src/kernels/glu.ts';
import { COMMON, POOL, STATE } from '../../src/kernels/libraries.ts';
import { rmsNorm, rmsNormThreads } from '../../src/kernels/rms-norm.ts';
import { ropeKv, ropeKvThreads } from '../../src/kernels/rope-kv.ts';
import { SAMPLE_CHUNK } from '../../src/kernels/sampler-layout.ts';
import { PAGE_TOKENS, stepConstants } from '../../src/kernels/step-layout.ts';
import { CHUNK_SAMPLER } from '../../src/kernels/variants.ts';
import { padded } from '../../src/model/shape.ts';
import { glu as gluTwin } from '../../test/reference/glu.ts';
import { rmsNorm as rmsNormTwin } from '../../test/reference/rms-norm.ts';
import { plainTurning, ropeKv as ropeKvTwin, ropeTable } from '../../test/reference/rope-kv.ts';
import { bits, checkClose, checkSame, poison, uniform, type Words } from '../../test/suites/kernel-harness.ts';
import { stepWords } from '../../test/suites/kernel-step.ts';
import type { Row } from '../report.ts';
import type { Bed, Specialised } from './bed.ts';
import type { Demand } from './floor.ts';
import type { Bench } from './measure.ts';
import { rowsOfSubjects, type Subject } from './rounds.ts';
import { LAYOUT, MODELS, type BenchModel } from './shapes.ts';

const STEP = stepConstants(LAYOUT);
const ROW_COUNTS: readonly number[] = [1, 8, 32];
const THETA = 10_000;
const TOLERANCE = 1e-5;

const numbers = (words: Words): Float64Array => Float64Array.from(new Float32Array(words.buffer, words.byteOffset, words.length));

/** So many numbers, with so many operations each, and `moved` of them read or written. */
const demand = (count: number, flops: number, moved: number): Demand => ({ flops: count * flops, bytes: 4 * moved, loads: moved / 4 });

/** Row i is at position i of sequence i. */
const rowsAt = (count: number) => Array.from({ length: count }, (_, i) => ({ position: i, blockRow: i, token: 0 }));

const stepOf = (bed: Bed, count: number): GPUBuffer => bed.buffer('step', stepWords({ rows: rowsAt(count) }, LAYOUT));

interface Verifying {
  readonly what: string;
  /** The buffer that is written, what it holds before, and what the twin makes of that. */
  readonly written: GPUBuffer;
  readonly before: Words;
  readonly expected: Float64Array;
  readonly rowLength: number;
}

async function subject<Binding extends string>(
  bed: Bed,
  name: string,
  specialised: Specialised<Binding>,
  { what, written, before, expected, rowLength }: Verifying,
  needs: Demand,
): Promise<Subject> {
  const timed = await bed.prepare(specialised);
  bed.device.queue.writeBuffer(written, 0, before);
  await bed.run(timed);
  const after = await bed.read(written, before.length);
  checkClose({ what, type: 'F32', before, after, expected, rowLength, tolerance: TOLERANCE });
  return { name, timed, demand: needs };
}

async function norm(bed: Bed, { name, config }: BenchModel, rows: number): Promise<Subject> {
  const width = config.hiddenSize;
  const [x, weight] = [uniform(1)(rows * width, 1), uniform(2)(width, 1)];
  const before = poison(rows * width, 'output');
  const y = bed.buffer('y', before);
  const expected = numbers(before);
  rmsNormTwin({ x, weight, rows: rowsAt(rows).map((_, i) => i), width, stride: width, epsilon: 1e-5 }, expected);
  const specialised = {
    kernel: rmsNorm,
    constants: { ...STEP, WIDTH4: width / 4, STRIDE4: width / 4, EPSILON: { f32: 1e-5 }, GATHER: false, ADD: false },
    libraries: COMMON,
    buffers: { step: stepOf(bed, rows), x: bed.buffer('x', bits(x)), weight: bed.buffer('weight', bits(weight)), y },
    threads: rmsNormThreads(rows),
  };
  const label = `small/${name} rms-norm, ${rows} rows`;
  const verifying = { what: label, written: y, before, expected, rowLength: width };
  return subject(bed, label, specialised, verifying, demand(rows * width, 4, 2 * rows * width + width));
}

async function gate(bed: Bed, { name, config }: BenchModel, rows: number): Promise<Subject> {
  const width = config.intermediateSize;
  const gateUp = uniform(3)(rows * 2 * width, 4);
  const before = poison(rows * padded(width), 'output');
  const y = bed.buffer('y', before);
  const expected = numbers(before);
  gluTwin({ gateUp, activation: 'silu', rows, width, yStride: padded(width) }, expected);
  const specialised = {
    kernel: glu,
    constants: { ...STEP, WIDTH4: width / 4, GATE_STRIDE4: width / 2, Y_STRIDE4: padded(width) / 4, GELU: false, BIAS: false },
    libraries: COMMON,
    buffers: { step: stepOf(bed, rows), gate_up: bed.buffer('gate and up', bits(gateUp)), bias: bed.buffer('bias', new Uint32Array(4)), y },
    threads: gluThreads(rows, width / 4),
  };
  const label = `small/${name} glu, ${rows} rows`;
  const verifying = { what: label, written: y, before, expected, rowLength: padded(width) };
  return subject(bed, label, specialised, verifying, demand(rows * width, 10, 3 * rows * width));
}

async function rope(bed: Bed, { name, config }: BenchModel, rows: number): Promise<Subject> {
  const { heads, kvHeads, headDim } = config;
  const width = (heads + 2 * kvHeads) * headDim;
  const pagesPerRow = Math.ceil(rows / PAGE_TOKENS);
  const blocks = Uint32Array.from({ length: rows * pagesPerRow }, (_, i) => i);
  const before = bits(uniform(4)(rows * width, 1));
  const qkv = bed.buffer('qkv', before);
  const turning = plainTurning(headDim, THETA);
  const pool = poison(blocks.length * 2 * kvHeads * PAGE_TOKENS * headDim, 'output');
  const expected = numbers(before);
  ropeKvTwin({ heads, kvHeads, headDim, blocks, pagesPerRow, rows: rowsAt(rows), turning }, expected, numbers(pool));
  const specialised = {
    kernel: ropeKv,
    constants: {
      ...{ ...STEP, HEADS: heads, KV_HEADS: kvHeads, DIM4: headDim / 4, ROTARY8: headDim / 8 },
      ...{ QKV_STRIDE4: width / 4, PAGES_PER_ROW: pagesPerRow, BIAS: false },
    },
    libraries: [...COMMON, STATE, POOL.f32],
    buffers: {
      step: stepOf(bed, rows),
      rope: bed.buffer('rope', bits(Float32Array.from(ropeTable(turning, rows)))),
      blocks: bed.buffer('blocks', blocks),
      state: bed.buffer('state', new Uint32Array(2 * rows)),
      bias: bed.buffer('bias', new Uint32Array(4)),
      qkv,
      pool: bed.buffer('pool', pool),
    },
    threads: ropeKvThreads(rows, kvHeads, headDim),
  };
  const label = `small/${name} rope-kv, ${rows} rows`;
  const verifying = { what: label, written: qkv, before, expected, rowLength: headDim };
  return subject(bed, label, specialised, verifying, demand(rows * (heads + kvHeads) * headDim, 3, 2 * rows * width));
}

/** Greedy tokens of rows of logits: the candidates of chunks, and the merge of those. */
async function sampler(bed: Bed, { name, config }: BenchModel, rows: number): Promise<Subject[]> {
  const vocabulary = config.vocabSize;
  const chunks = Math.ceil(vocabulary / SAMPLE_CHUNK);
  const logits = uniform(5)(rows * vocabulary, 8);
  const samplers = rowsAt(rows).map((_, i) => {
    return { logitRow: i, stateSlot: i, inverseTemperature: 0, seed: [1, 2] as const, position: 3, endTokens: [] };
  });
  const step = bed.buffer('step', stepWords({ rows: rowsAt(rows), samplers }, LAYOUT));
  const best = bed.buffer('best', poison(rows * chunks * 4, 'output'));
  const ids = bed.buffer('ids', poison(rows, 'output'));
  const adjust = bed.buffer('adjust', new Uint32Array(64));
  const chunk = await bed.prepare({
    kernel: CHUNK_SAMPLER.chunk.kernel,
    constants: {
      ...STEP,
      VOCABULARY: vocabulary,
      LOGITS_STRIDE4: vocabulary / 4,
      OPTIONS: false,
    },
    libraries: COMMON,
    buffers: { step, logits: bed.buffer('logits', bits(logits)), adjust, trail: bed.buffer('trail', new Uint32Array(64)), best },
    threads: CHUNK_SAMPLER.chunk.threads({ samplers: rows, vocabulary }),
  });
  const merge = await bed.prepare({
    kernel: CHUNK_SAMPLER.merge.kernel,
    constants: { ...STEP, VOCABULARY: vocabulary },
    libraries: COMMON,
    buffers: { step, best, state: bed.buffer('state', new Uint32Array(2 * rows)), adjust, ids },
    threads: CHUNK_SAMPLER.merge.threads({ samplers: rows, vocabulary }),
  });
  await bed.run(chunk);
  await bed.run(merge);
  const expected = rowsAt(rows).map((_, row) => {
    const own = logits.subarray(row * vocabulary, (row + 1) * vocabulary);
    return own.indexOf(own.reduce((a, b) => Math.max(a, b)));
  });
  checkSame('greedy tokens', await bed.read(ids, rows), expected);
  const label = (kernel: string): string => `small/${name} ${kernel}, ${rows} rows of ${vocabulary}`;
  return [
    { name: label('sample-chunk'), timed: chunk, demand: demand(rows * vocabulary, 1, rows * vocabulary) },
    { name: label('sample-merge'), timed: merge, demand: demand(rows * chunks, 1, 4 * rows * chunks) },
  ];
}

/** The kernels that are neither matmuls nor attention, beside their floors. */
export async function smallRows(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const model of MODELS) {
    const subjects: Subject[] = [];
    for (const count of ROW_COUNTS) {
      for (const kernel of [norm, rope, gate]) subjects.push(await kernel(bench.bed, model, count));
      subjects.push(...(await sampler(bench.bed, model, count)));
    }
    rows.push(...(await rowsOfSubjects(bench, subjects)));
  }
  return rows;
}
