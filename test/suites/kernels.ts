import { CHUNK_SAMPLER, NARROW, NARROW_QUADS } from '../../src/kernels/variants.ts';
import { openHarness, type Harness } from './kernel-harness.ts';
import { attentionCases, attentionRowsCases, ROWS_FORM, ROWS_QUADS_FORM } from './kernels-attention.ts';
import { denseCases, matmulCases } from './kernels-dense.ts';
import { loraCases } from './kernels-lora.ts';
import { needs } from './kernels-needs.ts';
import { savedNormCases } from './kernels-norms.ts';
import { ownCases } from './kernels-own.ts';
import { promotionCases } from './kernels-promotion.ts';
import { ropeCases } from './kernels-rope.ts';
import { libraryCases } from './kernels-sample.ts';
import { samplerCases } from './kernels-sampler.ts';
import type { Case, Environment } from './suite.ts';

/** Every kernel against its plain-loop twin in test/reference, at odd sizes and with poison wherever nothing belongs. */
export function kernelCases({ gpu }: Pick<Environment, 'gpu'>): Case[] {
  let opened: Promise<Harness> | undefined;
  const harness = (): Promise<Harness> => (opened ??= openHarness(gpu));
  const dense = [denseCases, savedNormCases, loraCases, ownCases, promotionCases];
  const suites = [...dense, ropeCases, attentionCases, libraryCases];
  // the tile that takes longest to compile is among the others' forms already
  const both = [...NARROW.matmul.filter(({ mostRows }) => mostRows < Infinity), ...NARROW_QUADS.matmul].map(({ variant }) => variant);
  const quads = [
    ...matmulCases(harness, { forms: both, tolerance: 1e-5, types: ['f32', 'bf16', 'q4', 'q5_1', 'q6_k'] }),
    ...loraCases(harness, NARROW_QUADS),
    ...attentionRowsCases(harness, ROWS_QUADS_FORM),
  ];
  return [
    ...suites.flatMap((cases) => cases(harness)),
    ...samplerCases(harness, CHUNK_SAMPLER),
    ...attentionRowsCases(harness, ROWS_FORM),
    ...needs(gpu)('subgroups', quads),
  ];
}
