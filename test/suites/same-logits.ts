import type { Source } from '../../src/engine/types.ts';
import type { Part, StepItem } from '../../src/model/plan.ts';
import { openDirectModel, promptChunk } from './direct-model.ts';
import { openFolder } from '../../src/formats/folder.ts';
import { check, type Environment } from './suite.ts';
import { checkPosition } from './tolerance.ts';

/** A prompt whose logits are compared at every position, and tokens that are then fed one at a time. */
export interface Question {
  readonly prompt: readonly number[];
  readonly next: readonly number[];
  /** Whether the adapter is used. */
  readonly of: 'base' | 'adapter';
}

/** One form of a model, and of an adapter. */
export interface Form {
  readonly model: Source;
  readonly adapter?: Source;
}

type Logits = readonly (readonly Float32Array[])[];

/** Logits of every position of every question: the prompts in one step, then one row of each at a time. */
async function logitsOf({ gpu }: Environment, { model, adapter }: Form, questions: readonly Question[]): Promise<Logits> {
  const settings = { precision: 'exact', poolBytes: 4 << 20, sequences: questions.length, batchRows: 160 } as const;
  await using direct = await openDirectModel(gpu, model, settings);
  const part: Part | undefined = adapter === undefined ? undefined : await direct.place(await openFolder(adapter));
  const found: Float32Array[][] = questions.map(() => []);
  const step = async (items: readonly StepItem[]): Promise<void> => {
    for (const [i, { logits }] of (await direct.model.submit(items)).entries()) found[i]!.push(...logits.map((row) => row.slice()));
  };
  const all = questions.map(({ prompt, next, of }) => ({
    tokens: [...prompt, ...next],
    start: prompt.length,
    part: of === 'base' ? undefined : part,
  }));
  for (const [slot, { tokens }] of all.entries()) direct.open(slot, tokens.length);
  await step(all.map(({ tokens, start, part: own }, slot) => promptChunk(slot, tokens, 0, start, own)));
  const steps = questions[0]!.next.length;
  for (let i = 0; i < steps; i++) {
    await step(all.map(({ tokens, start, part: own }, slot) => promptChunk(slot, tokens, start + i, 1, own)));
  }
  return found;
}

/** Both forms give the same logits, in prefill and in decode, within `tol` of each position's largest. */
export async function checkSameLogits(
  environment: Environment,
  form: Form,
  reference: Form,
  questions: readonly Question[],
  tol: number,
): Promise<void> {
  const expected = await logitsOf(environment, reference, questions);
  const found = await logitsOf(environment, form, questions);
  for (const [i, { prompt, next, of }] of questions.entries()) {
    const positions = prompt.length + next.length;
    check(expected[i]!.length === positions, () => `${expected[i]!.length} positions of ${positions} were computed`);
    for (const [position, row] of expected[i]!.entries()) {
      checkPosition(`${of}, prompt ${i}, position ${position}`, found[i]![position]!, row, row, tol);
    }
  }
}
