import { NARROW, type KernelSet } from '../../src/kernels/variants.ts';
import { PLAIN } from '../../src/kernels/plain.ts';
import { wideKernels } from '../../src/kernels/wide.ts';
import { prompt, run, sameBits } from './batching.ts';
import { openDirectModel } from './direct-model.ts';
import { folder } from './fixtures.ts';
import { featuresOf } from './kernels-needs.ts';
import { checkEngine, checkRawLogits, type Family } from './parity.ts';
import type { Case, Environment } from './suite.ts';
import type { Precision } from './tolerance.ts';

const ARCH = '../shared/references/arch';
const ALL = ['r8-all', 'r3-qv', 'r16-rslora'];

/** Families of which only the config differs from Llama's, or that others have all parts of, too. */
const ALIKE = ['llama3-rope', 'llama-linear', 'mistral-window', 'qwen3-qknorm', 'phi3-fused', 'phi4-shortrope'];

/** Every family but the Llamas of the parity suites, with all of its adapters, as they lie beside the checkout. */
export const REFERENCES: readonly Family[] = [
  ...['llama3-rope', 'llama-linear', 'mistral-window', 'qwen2-bias', 'qwen3-qknorm', 'gemma2', 'gemma3'].map((name) => ({
    name,
    adapters: ALL,
  })),
  ...['phi3-fused', 'phi4-longrope', 'phi4-shortrope'].map((name) => ({ name, adapters: ['r8-fused', 'r4-o'] })),
].map((family) => ({ ...family, path: `${ARCH}/${family.name}` }));

/** Families with a copy in the project, with one adapter and two of the prompts, one longer than the windows. */
const COPIES: readonly Family[] = [
  ...['gemma3', 'gemma2', 'qwen2-bias', 'qwen3-qknorm', 'llama3-rope'].map((name) => ({ name, adapters: ['r8-all'] })),
  { name: 'phi4-longrope', adapters: ['r8-fused'] },
].map((family) => ({ ...family, path: `test/fixtures/arch/${family.name}` }));

const copyOf = (name: string): Family => COPIES.find((family) => family.name === name)!;
const referenceOf = (name: string): Family => REFERENCES.find((family) => family.name === name)!;

type SetName = 'narrow' | 'wide' | 'plain';

async function setOf(environment: Environment, name: SetName, precision: Precision): Promise<KernelSet> {
  if (name === 'wide') return wideKernels(await featuresOf(environment.gpu), { precision, deterministic: 'no' });
  return name === 'narrow' ? NARROW : PLAIN;
}

function raw(environment: Environment, family: Family, set: SetName, precision: Precision): Case {
  return {
    name: `${family.path}: raw logits of all models in one step, ${set} kernels, ${precision}`,
    needs: [family.path],
    run: async () => checkRawLogits(environment, family, precision, await setOf(environment, set, precision)),
  };
}

function engine(environment: Environment, family: Family, precision: Precision): Case {
  return {
    name: `${family.path}: all models in one batch of an engine: log-probabilities, tokens, ${precision}`,
    needs: [family.path],
    on: 'engine',
    run: () => checkEngine(environment, family, precision),
  };
}

/** Longer than a window of 24, and no multiple of a page. */
const LENGTH = 41;

/** A prompt that leaves its window behind gives the same bits whole, in chunks, and beside rows of others. */
async function checkBatches(environment: Environment, { path, adapters }: Family, set: SetName): Promise<void> {
  const model = await folder(environment, `${path}/base`);
  const kernels = set === 'wide' ? wideKernels(await featuresOf(environment.gpu), { precision: 'exact', deterministic: 'yes' }) : NARROW;
  await using direct = await openDirectModel(environment.gpu, model, { precision: 'exact', batchRows: 128, kernels });
  const part = await direct.place(await folder(environment, `${path}/adapters/${adapters[0]}`));
  const tokens = prompt(LENGTH, 5);
  const whole = await run(direct, tokens, part, LENGTH, []);
  for (const [chunk, others] of [
    [16, 0],
    [33, 2],
    [1, 1],
  ] as const) {
    const rows = await run(
      direct,
      tokens,
      part,
      chunk,
      Array.from({ length: others }, () => part),
    );
    for (const [position, row] of rows.entries())
      sameBits(`chunks of ${chunk}, ${others} others, position ${position}`, row, whole[position]!);
  }
}

const batches = (environment: Environment, family: Family, set: SetName): Case => ({
  name: `${family.path}: the same bits in any batch and any chunks, ${set} kernels`,
  needs: [family.path],
  run: () => checkBatches(environment, family, set),
});

/** Each family's own parts of the forward pass, with as few compiles as show them all; the long list has every family in every way. */
export function familyCases(environment: Environment): Case[] {
  return [
    ...COPIES.map((family) => raw(environment, family, 'plain', 'exact')),
    ...REFERENCES.filter(({ name }) => ALIKE.includes(name) && !COPIES.some((copy) => copy.name === name)).map((family) =>
      raw(environment, family, 'plain', 'exact'),
    ),
    engine(environment, referenceOf('gemma2'), 'exact'),
    raw(environment, copyOf('gemma3'), 'plain', 'half'),
    batches(environment, copyOf('gemma2'), 'narrow'),
  ];
}

/** Every family with all its adapters, in every way: half an hour. */
export function allFamilyCases(environment: Environment): Case[] {
  const ways = (['exact', 'half'] as const).flatMap((precision) =>
    (['narrow', 'wide', 'plain'] as const).map((set) => ({ precision, set })),
  );
  return REFERENCES.flatMap((family) => [
    ...ways.map(({ set, precision }) => raw(environment, family, set, precision)),
    ...(['exact', 'half'] as const).map((precision) => engine(environment, family, precision)),
    ...(['narrow', 'wide'] as const).map((set) => batches(environment, family, set)),
  ]);
}
