import { wideKernels } from '../../src/kernels/wide.ts';
import { openHarness, type Harness } from './kernel-harness.ts';
import { needs } from './kernels-needs.ts';
import { sameBitsCases, samplerCases } from './kernels-sampler.ts';
import type { Case, Environment } from './suite.ts';

/** More than one chunk of every form, the last one a few tokens long and no multiple of 4. */
const SEVERAL_CHUNKS = 4101;
const VOCABULARIES: readonly number[] = [1, 3, 255, 257, 1000, 49_152];

/**
 * The sampler of the wide family, through workgroup memory and through subgroups, in the bits of the narrow one, which is held to plain
 * loops elsewhere.
 */
export function wideSamplerCases(environment: Pick<Environment, 'gpu'>): Case[] {
  const { same } = casesOf(environment);
  return same([SEVERAL_CHUNKS]).map((each) => ({ ...each, takes: 'minutes' }));
}

/** The others: at more vocabularies, and against the plain loops itself. */
export function everyWideSamplerCase(environment: Pick<Environment, 'gpu'>): Case[] {
  const { same, alone } = casesOf(environment);
  return [...same(VOCABULARIES), ...alone()];
}

function casesOf({ gpu }: Pick<Environment, 'gpu'>) {
  let opened: Promise<Harness> | undefined;
  const harness = (): Promise<Harness> => (opened ??= openHarness(gpu));
  const settings = { precision: 'exact', deterministic: 'no' } as const;
  const { sampler } = wideKernels({ subgroups: 'no', f16: 'no' }, settings);
  const { sampler: subgroups } = wideKernels({ subgroups: 'yes', f16: 'no' }, settings);
  const needing = needs(gpu);
  return {
    same: (vocabularies: readonly number[]): Case[] => [
      ...sameBitsCases(harness, sampler, vocabularies),
      ...needing('subgroups', sameBitsCases(harness, subgroups, vocabularies)),
    ],
    alone: (): Case[] => [...samplerCases(harness, sampler), ...needing('subgroups', samplerCases(harness, subgroups))],
  };
}
