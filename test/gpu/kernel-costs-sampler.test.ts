import { COMMON } from '../../src/kernels/libraries.ts';
import { BIN_WORDS, FILTER_CHUNK, SAMPLE_CHUNK, TRAIL_WORDS } from '../../src/kernels/sampler-layout.ts';
import type { KernelSet, SamplePart } from '../../src/kernels/variants.ts';
import { wideKernels } from '../../src/kernels/wide.ts';
import { zeros } from '../suites/kernel-counts.ts';
import type { Launch, Words } from '../suites/kernel-harness.ts';
import { STEP, stepWords } from '../suites/kernel-step.ts';
import { describeCosts, type Held } from './costs.ts';

const SETTINGS = { precision: 'exact', deterministic: 'no' } as const;
const BASE = wideKernels({ subgroups: 'no', f16: 'no' }, SETTINGS);
const SUBGROUPS = wideKernels({ subgroups: 'yes', f16: 'no' }, SETTINGS);

type SamplerPart = 'extremes' | 'digit' | 'chunk' | 'merge';

/** Samplers with top-k and top-p; of the search for the cut its fifth stage, which goes on from another by mass. */
function sampler(set: KernelSet, part: SamplerPart, samplers: number, vocabulary: number): Launch<string> {
  const { kernel, threads }: SamplePart<string> = set.sampler[part];
  const each = { stateSlot: 0, inverseTemperature: 1, seed: [1, 2] as const, position: 3, topK: 40, topP: 0.9 };
  const shape = { VOCABULARY: vocabulary, LOGITS_STRIDE4: vocabulary / 4, OPTIONS: true };
  const { constants } = kernel;
  const buffers: Readonly<Record<string, Words>> = {
    step: stepWords({ samplers: Array.from({ length: samplers }, (_, logitRow) => ({ ...each, logitRow })) }),
    stages: Uint32Array.of(4),
    logits: zeros(samplers * vocabulary),
    adjust: zeros(2 * vocabulary),
    extremes: zeros(samplers * 2 * Math.ceil(vocabulary / FILTER_CHUNK)),
    bins: zeros(samplers * BIN_WORDS),
    trail: zeros(samplers * TRAIL_WORDS),
    best: zeros(samplers * 4 * Math.ceil(vocabulary / SAMPLE_CHUNK)),
    state: zeros(2),
    ids: zeros(samplers),
  };
  return {
    kernel,
    constants: { ...STEP, ...Object.fromEntries(Object.entries(shape).filter(([name]) => constants.includes(name))) },
    libraries: COMMON,
    buffers: Object.fromEntries(Object.keys(kernel.buffers).map((name) => [name, buffers[name]!])),
    threads: threads({ samplers, vocabulary }),
  };
}

/** Every kernel of the wide sampler, for one sampler of a large vocabulary and for several of a small one. */
const HELD: readonly Held[] = [
  {
    name: 'sample-extremes, 1 of 151936',
    launch: sampler(BASE, 'extremes', 1, 151936),
    costs: { workgroups: 38, barriers: 2, loaded: 1152512, stored: 2352, shared: 4352, bindings: 5 },
  },
  {
    name: 'sample-extremes, subgroups, 8 of 49152',
    launch: sampler(SUBGROUPS, 'extremes', 8, 49152),
    costs: { workgroups: 96, barriers: 2, loaded: 2949120, stored: 17152, shared: 1056, bindings: 5 },
  },
  {
    name: 'sample-digit, 1 of 151936',
    launch: sampler(BASE, 'digit', 1, 151936),
    costs: { workgroups: 38, barriers: 4, loaded: 1283608, stored: 16, shared: 7440, bindings: 7 },
  },
  {
    name: 'sample-digit, subgroups, 8 of 49152',
    launch: sampler(SUBGROUPS, 'digit', 8, 49152),
    costs: { workgroups: 96, barriers: 4, loaded: 3271552, stored: 128, shared: 4144, bindings: 7 },
  },
  {
    name: 'sample-chunk, 1 of 151936',
    launch: sampler(BASE, 'chunk', 1, 151936),
    costs: { workgroups: 75, barriers: 2, loaded: 1990144, stored: 1200, shared: 4352, bindings: 5 },
  },
  {
    name: 'sample-chunk, subgroups, 8 of 49152',
    launch: sampler(SUBGROUPS, 'chunk', 8, 49152),
    costs: { workgroups: 192, barriers: 2, loaded: 5111808, stored: 3072, shared: 1056, bindings: 5 },
  },
  {
    name: 'sample-merge, 1 of 151936',
    launch: sampler(BASE, 'merge', 1, 151936),
    costs: { workgroups: 1, barriers: 2, loaded: 1728, stored: 12, shared: 2304, bindings: 5 },
  },
  {
    name: 'sample-merge, subgroups, 8 of 49152',
    launch: sampler(SUBGROUPS, 'merge', 8, 49152),
    costs: { workgroups: 8, barriers: 2, loaded: 7296, stored: 96, shared: 528, bindings: 5 },
  },
];

await describeCosts('what the wide sampler costs', HELD);
