import { wideKernels } from '../../src/kernels/wide.ts';
import { SHAPES } from './kernel-paging.ts';
import { attentionCases, laterKeysCase } from './kernels-attention.ts';
import { matmulCases, normCases } from './kernels-dense.ts';
import { openHarness, type Harness } from './kernel-harness.ts';
import { loraCases } from './kernels-lora.ts';
import { needs } from './kernels-needs.ts';
import { savedNormCases } from './kernels-norms.ts';
import { wholeHeadCases } from './kernels-own.ts';
import { ropeHeadsCases } from './kernels-rope.ts';
import type { Case, Environment } from './suite.ts';

/** Groups of more heads than a workgroup has queries for, whole and with a rest, and wide heads. */
const WIDE_SHAPES = [
  { heads: 20, kvHeads: 1, headDim: 16 },
  { heads: 9, kvHeads: 1, headDim: 72 },
  { heads: 3, kvHeads: 1, headDim: 128 },
];

/**
 * Kernels of the wide family against the same twins, every type of weights and of pool met by some of them. Those that need a feature
 * run where the device has it; elsewhere one line says that they did not.
 */
export function wideCases({ gpu }: Pick<Environment, 'gpu'>): Case[] {
  let opened: Promise<Harness> | undefined;
  const harness = (): Promise<Harness> => (opened ??= openHarness(gpu));
  const base = wideKernels({ subgroups: 'no', f16: 'no' }, { precision: 'exact', deterministic: 'no' });
  const full = wideKernels({ subgroups: 'yes', f16: 'yes' }, { precision: 'half', deterministic: 'no' });
  const [row, tile] = base.matmul.map(({ variant }) => variant);
  const [subgroupsRow, halfTile] = full.matmul.map(({ variant }) => variant);
  const split = (splitTiles: number) => ({ splitting: base.attentionSplit!, splitTiles });
  const needing = needs(gpu);
  const cases = [
    ...matmulCases(harness, { forms: [row!], tolerance: 1e-5, types: ['f32', 'q4_1', 'q5_k'] }),
    ...matmulCases(harness, { forms: [tile!], tolerance: 1e-5, types: ['f16', 'q8', 'q4_k'] }),
    ...normCases(harness, base.rmsNorm),
    ...savedNormCases(harness, base.rmsNorm),
    ...wholeHeadCases(harness, 'yes'),
    ...ropeHeadsCases(harness, base.ropeHeads!),
    ...loraCases(harness, base),
    ...attentionCases(harness, base.attention, SHAPES.slice(1, 2), ['f32']),
    ...attentionCases(harness, base.attentionPrefill!, SHAPES, ['f32']),
    ...attentionCases(harness, base.attentionPrefill!, WIDE_SHAPES, ['f16']),
    laterKeysCase(harness, base.attentionPrefill!),
    ...attentionCases(harness, split(1), SHAPES.slice(0, 2), ['f16']),
    ...attentionCases(harness, split(2), WIDE_SHAPES.slice(1), ['f32']),
    ...needing('subgroups', matmulCases(harness, { forms: [subgroupsRow!], tolerance: 1e-5, types: ['bf16', 'q4', 'q2_k'] })),
    ...needing('subgroups', normCases(harness, full.rmsNorm)),
    ...needing('f16', matmulCases(harness, { forms: [halfTile!], tolerance: 2e-3, types: ['f32', 'q4'] })),
  ];
  return cases.map((each) => ({ ...each, takes: 'minutes' }));
}
