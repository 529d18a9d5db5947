import { COMMON, DESCRIPTORS, POOL, type PoolType } from '../../src/kernels/libraries.ts';
import { savedNorm } from '../../src/kernels/rms-norm.ts';
import { NARROW, type NormVariant } from '../../src/kernels/variants.ts';
import { rmsNorm as rmsNormTwin } from '../reference/rms-norm.ts';
import { bits, checkClose, poison, uniform } from './kernel-harness.ts';
import type { Harness, Words } from './kernel-harness.ts';
import { matrix, padded } from './kernel-planes.ts';
import { testPool } from './kernel-pool.ts';
import { STEP, stepWords } from './kernel-step.ts';
import type { Case } from './suite.ts';

const doubles = (words: Words): Float64Array => Float64Array.from(new Float32Array(words.buffer, words.byteOffset, words.length));

const SITES_IN_MODEL = 3;
const NORM_AT = 18;
const EPSILON = 1e-3;
/** The adapter of each row: slots 1 and 3 saved the norm, slot 2 did not. */
const ADAPTERS: readonly number[] = [1, 0, 3, 3, 2, 1, 0];

/** Descriptors whose every word but the norm's is poison. */
export function normDescriptors(slots: number, at: readonly number[], vectors: readonly (readonly number[])[]): Words {
  const words = poison(slots * SITES_IN_MODEL * 8, 'input');
  for (let slot = 0; slot < slots; slot++) at.forEach((word, i) => (words[slot * SITES_IN_MODEL * 8 + word] = vectors[slot]![i]!));
  return words;
}

async function checkSaved(
  harness: Harness,
  { name, kernel, threads }: NormVariant,
  type: PoolType,
  width: number,
  of: 'batch rows' | 'logit rows',
) {
  const stride = padded(width);
  const random = uniform(width);
  const own = [undefined, random(width, 2), undefined, random(width, 2)];
  const weight = random(width, 2);
  const pool = testPool(type);
  const vectors = own.map((values) => [values ? pool.vector(values) : 0]);
  const descriptors = normDescriptors(own.length, [NORM_AT], vectors);
  const logitRows = [5, 3, 1, 0];
  const from = of === 'logit rows' ? logitRows : ADAPTERS.map((_, row) => row);
  const x = bits(matrix(ADAPTERS.length, width, 1, 9));
  for (const output of ['replace', 'add'] as const) {
    const y = bits(uniform(10)((ADAPTERS.length + 1) * stride, 1));
    const after = await harness.run({
      kernel: savedNorm(kernel),
      constants: {
        ...{ ...STEP, WIDTH4: width / 4, STRIDE4: stride / 4, EPSILON: { f32: EPSILON }, NORM_AT, SITES_IN_MODEL },
        ...{ GATHER: of === 'logit rows', ADD: output === 'add' },
      },
      libraries: [...COMMON, POOL[type], DESCRIPTORS],
      buffers: {
        ...{ step: stepWords({ rows: ADAPTERS.map((adapter) => ({ adapter })), logitRows }), x, weight: bits(weight), y },
        ...{ descriptors, pool: pool.words() },
      },
      threads: threads({ rows: from.length }),
    });
    const expected = doubles(y);
    const saved = ADAPTERS.map((slot) => own[slot]);
    rmsNormTwin({ x: doubles(x), weight, saved, rows: from, width, stride, epsilon: EPSILON, output }, expected);
    const what = `saved rms-norm (${name}), pool ${type}, width ${width}, ${of}, ${output}`;
    checkClose({ what, type: 'F32', before: y, after: after.y, expected, rowLength: stride, tolerance: 1e-5 });
  }
}

/** The form of a norm that takes weights which adapters saved. */
export function savedNormCases(harness: () => Promise<Harness>, variant: NormVariant = NARROW.rmsNorm): Case[] {
  return [['f32', 36, 'batch rows'] as const, ['f16', 1100, 'logit rows'] as const].map(([type, width, of]) => ({
    name: `saved rms-norm (${variant.name}), pool ${type}, width ${width}, ${of}`,
    run: async () => checkSaved(await harness(), variant, type, width, of),
  }));
}
