import { PLAIN } from '../../src/kernels/plain.ts';
import type { WeightType } from '../../src/kernels/libraries.ts';
import { NARROW, NARROW_QUADS, type MatmulVariant } from '../../src/kernels/variants.ts';
import { wideKernels } from '../../src/kernels/wide.ts';
import { openHarness, type Harness } from './kernel-harness.ts';
import { GGUF_TYPES } from './kernel-planes.ts';
import { matmulCases } from './kernels-dense.ts';
import { needs } from './kernels-needs.ts';
import type { Case, Environment } from './suite.ts';

const ofSet = ({ matmul }: { readonly matmul: readonly { readonly variant: MatmulVariant }[] }): readonly MatmulVariant[] =>
  matmul.map(({ variant }) => variant);

/** Matmuls of a family over the types that only GGUF files have: all of them, or those that a run of a minute has time for. */
export function blockCases(
  harness: () => Promise<Harness>,
  forms: readonly MatmulVariant[],
  types: readonly WeightType[] = GGUF_TYPES,
): Case[] {
  return matmulCases(harness, { forms, tolerance: 1e-5, types });
}

/** Every such type in every form, a compile each. */
export function everyBlockCase({ gpu }: Pick<Environment, 'gpu'>): Case[] {
  let opened: Promise<Harness> | undefined;
  const harness = (): Promise<Harness> => (opened ??= openHarness(gpu));
  const needing = needs(gpu);
  const base = ofSet(wideKernels({ subgroups: 'no', f16: 'no' }, { precision: 'exact', deterministic: 'no' }));
  const [subgroupsRow] = ofSet(wideKernels({ subgroups: 'yes', f16: 'yes' }, { precision: 'half', deterministic: 'no' }));
  return [
    ...blockCases(harness, ofSet(PLAIN)),
    ...blockCases(harness, ofSet(NARROW)),
    ...needing('subgroups', blockCases(harness, [...ofSet(NARROW), ...ofSet(NARROW_QUADS)])),
    ...base.flatMap((form) => blockCases(harness, [form])),
    ...needing('subgroups', blockCases(harness, [subgroupsRow!])),
  ];
}
