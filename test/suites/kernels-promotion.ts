import { biasDelta } from '../../src/kernels/bias-delta.ts';
import { doraGain, doraGainThreads } from '../../src/kernels/dora-gain.ts';
import { GRID, POOL, REDUCE_MEMORY, WEIGHTS, type PoolType, type WeightType } from '../../src/kernels/libraries.ts';
import { biasDelta as biasDeltaTwin } from '../reference/bias-delta.ts';
import { doraGain as doraGainTwin } from '../reference/dora-gain.ts';
import { bits, checkClose, rounded, uniform } from './kernel-harness.ts';
import type { Floats, Harness, Words } from './kernel-harness.ts';
import { padded, planeOf, widthOf } from './kernel-planes.ts';
import { testPool, vectorWord } from './kernel-pool.ts';
import { floatBits } from './kernel-step.ts';
import type { Case } from './suite.ts';

const numbers = (words: Words): Floats => new Float32Array(words.buffer, words.byteOffset, words.length);

/** Runs of quads of outputs: all of them, and some in the middle. */
const RUNS: readonly (readonly [first: number, count: number])[] = [
  [0, 9],
  [0, 1],
  [3, 4],
];
const OUT_WIDTH = 36;

/** What the pool holds afterwards; the vector is all that changes. `twin` changes it, given as its own array. */
function checkVector(what: string, before: Words, after: Words, vector: number, twin: (of: Float64Array) => void): void {
  const expected = Float64Array.from(numbers(before));
  const at = vectorWord(vector);
  twin(expected.subarray(at, at + OUT_WIDTH));
  checkClose({ what, type: 'F32', before, after, expected, rowLength: 1, tolerance: 1e-5 });
}

interface Gain {
  readonly weights: WeightType;
  readonly pool: PoolType;
  readonly width: number;
  readonly rank: number;
}

/** The site's rows begin inside of the plane; one of them is nothing but zeros, and its gain is whatever is finite. */
async function checkGain(harness: Harness, { weights: type, pool: poolType, width: least, rank }: Gain): Promise<void> {
  const width = widthOf(type, least);
  const firstRow = 8;
  const plane = planeOf(type, firstRow + OUT_WIDTH, width, 1 / Math.sqrt(width), rank);
  const random = uniform(width + rank);
  const dtype = poolType === 'f32' ? 'F32' : 'F16';
  const a = rounded(random(width * rank, 1 / Math.sqrt(width)), dtype);
  const b = rounded(random(rank * OUT_WIDTH, 1 / Math.sqrt(rank)), dtype);
  const scale = Math.fround(0.75);
  const pool = testPool(poolType);
  const [atA, atB] = [pool.numbers(a), pool.numbers(b)];
  const vector = pool.vector(random(OUT_WIDTH, 1));
  for (const [first, count] of RUNS) {
    const before = pool.words();
    const job = Uint32Array.of(count, first, firstRow + first * 4, atA, atB, rank, floatBits(scale), vector, OUT_WIDTH / 4);
    const { pool: after } = await harness.run({
      kernel: doraGain,
      constants: { WIDTH4: width / 4, WIDTH8: padded(width) / 8, SCALES_AT: plane.scalesAt },
      libraries: [GRID, WEIGHTS[type], POOL[poolType], REDUCE_MEMORY],
      buffers: { job, weights: plane.words, pool: before },
      threads: doraGainThreads(count),
    });
    const shape = { weights: plane.values, width, stride: padded(width), firstRow, rank, scale, a, b, outWidth: OUT_WIDTH };
    checkVector(`dora-gain ${type}, quads ${first} to ${first + count - 1}`, before, after, vector, (of) =>
      doraGainTwin({ ...shape, from: first * 4, end: (first + count) * 4 }, of),
    );
  }
}

async function checkDelta(harness: Harness, poolType: PoolType): Promise<void> {
  const base = uniform(3)(OUT_WIDTH + 8, 2);
  const pool = testPool(poolType);
  const vector = pool.vector(uniform(4)(OUT_WIDTH, 2));
  for (const count of [OUT_WIDTH / 4, 5]) {
    const before = pool.words();
    const { pool: after } = await harness.run({
      kernel: biasDelta,
      constants: {},
      libraries: [GRID, POOL[poolType]],
      buffers: { job: Uint32Array.of(count, 2, vector), base: bits(base), pool: before },
      threads: count,
    });
    checkVector(`bias-delta ${poolType}, ${count} quads`, before, after, vector, (of) =>
      biasDeltaTwin(base.subarray(8), { from: 0, end: count * 4 }, of),
    );
  }
}

const GAINS: readonly Gain[] = [
  { weights: 'f32', pool: 'f32', width: 100, rank: 4 },
  { weights: 'q4', pool: 'f16', width: 36, rank: 12 },
  { weights: 'q4_k', pool: 'f32', width: 512, rank: 8 },
  { weights: 'bf16', pool: 'f16', width: 1100, rank: 8 },
];

/** What runs as an adapter comes to the GPU: dora-gain, bias-delta. */
export function promotionCases(harness: () => Promise<Harness>): Case[] {
  return [
    ...GAINS.map((gain) => ({
      name: `dora-gain of ${gain.weights} weights, width ${gain.width}, rank ${gain.rank}, pool ${gain.pool}`,
      run: async () => checkGain(await harness(), gain),
    })),
    ...(['f32', 'f16'] as const).map((type) => ({ name: `bias-delta, pool ${type}`, run: async () => checkDelta(await harness(), type) })),
  ];
}
