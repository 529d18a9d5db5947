import { NARROW, type KernelSet } from '../../src/kernels/variants.ts';
import { wideKernels } from '../../src/kernels/wide.ts';
import type { Part } from '../../src/model/plan.ts';
import { LLAMA, LLAMA_ADAPTERS } from './adapters.ts';
import { prompt, sameBits } from './batching.ts';
import { openDirectModel, promptChunk, type DirectModel } from './direct-model.ts';
import { folder } from './fixtures.ts';
import { featuresOf } from './kernels-needs.ts';
import { checkRawLogits, FAMILIES } from './parity.ts';
import type { Case, Environment } from './suite.ts';
import { checkPosition, tolerance, type Precision } from './tolerance.ts';

/** More than one tile of 64 keys, so that keys are split, and no multiple of anything. */
const LENGTH = 69;
const TOKENS = prompt(LENGTH, 5);

interface Way {
  /** Tokens of the prompt in each step. */
  readonly chunks: readonly number[];
  /** Rows of other sequences in each step. */
  readonly others: number;
}

/** Every form of matmul and of attention has some of the steps. */
const WAYS: readonly Way[] = [
  { chunks: [LENGTH], others: 0 },
  { chunks: [33, 33, 1, 1, 1], others: 0 },
  { chunks: [5, 62, 1, 1], others: 6 },
];

/** Logits of every position of the prompt with an adapter, the others with none and with two more. */
async function run(direct: DirectModel, parts: readonly Part[], { chunks, others }: Way): Promise<Float32Array[]> {
  for (let slot = 0; slot < others; slot++) direct.open(slot, chunks.length);
  direct.open(others, LENGTH);
  const rows: Float32Array[] = [];
  for (const [step, count] of chunks.entries()) {
    const items = Array.from({ length: others }, (_, slot) => promptChunk(slot, TOKENS, step, 1, [undefined, ...parts][slot % 4]));
    items.push(promptChunk(others, TOKENS, rows.length, count, parts[0]));
    rows.push(...(await direct.model.submit(items))[others]!.logits);
  }
  for (let slot = 0; slot <= others; slot++) direct.close(slot);
  return rows;
}

async function logitsOf(environment: Environment, kernels: KernelSet, ways: readonly Way[]): Promise<Float32Array[][]> {
  const model = await folder(environment, `${LLAMA}/base`);
  await using direct = await openDirectModel(environment.gpu, model, { precision: 'exact', batchRows: 80, kernels });
  const parts: Part[] = [];
  for (const name of LLAMA_ADAPTERS.slice(0, 3)) parts.push(await direct.place(await folder(environment, `${LLAMA}/adapters/${name}`)));
  const all = [];
  for (const way of ways) all.push(await run(direct, parts, way));
  return all;
}

/** Throws where a position's logits are not what they are to be; `[way][position]`. */
type Compare = (where: string, found: Float32Array, expected: Float32Array) => void;

function compareAll(found: readonly Float32Array[][], expected: readonly Float32Array[], compare: Compare): void {
  for (const [i, { chunks, others }] of WAYS.entries()) {
    const where = `chunks of ${chunks.join(', ')}, ${others} others`;
    for (const [position, row] of expected.entries()) compare(`${where}, position ${position}`, found[i]![position]!, row);
  }
}

async function checkForms(environment: Environment): Promise<void> {
  const features = await featuresOf(environment.gpu);
  const [expected] = await logitsOf(environment, NARROW, WAYS.slice(0, 1));
  const found = await logitsOf(environment, wideKernels(features, { precision: 'exact', deterministic: 'no' }), WAYS);
  compareAll(found, expected!, (where, row, reference) => checkPosition(where, row, reference, reference, tolerance('exact', 'base')));
}

async function checkSameBits(environment: Environment): Promise<void> {
  const features = await featuresOf(environment.gpu);
  const found = await logitsOf(environment, wideKernels(features, { precision: 'exact', deterministic: 'yes' }), WAYS);
  compareAll(found, found[0]!, sameBits);
}

async function checkParity(environment: Environment, precision: Precision): Promise<void> {
  const kernels = wideKernels(await featuresOf(environment.gpu), { precision, deterministic: 'no' });
  await checkRawLogits(environment, FAMILIES[0]!, precision, kernels);
}

/** A whole model on the wide family, with all that the device has for it. */
export function wideModelCases(environment: Environment): Case[] {
  return [
    { name: 'raw logits of all models in one step, exact', run: () => checkParity(environment, 'exact') },
    { name: 'raw logits of all models in one step, half', run: () => checkParity(environment, 'half') },
    { name: 'in steps of any size the logits of the narrow family', run: () => checkForms(environment) },
    { name: 'deterministic: the same bits in steps of any size', run: () => checkSameBits(environment) },
  ];
}
