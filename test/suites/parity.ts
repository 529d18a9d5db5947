import type { GenerateOptions, Result, TokenLogprob } from '../../src/engine/types.ts';
import { NARROW, type KernelSet } from '../../src/kernels/variants.ts';
import type { Part } from '../../src/model/plan.ts';
import { openDirectModel, promptChunk } from './direct-model.ts';
import { folder, readJsonFile, readLogits, source, type ReferenceLogits } from './fixtures.ts';
import { check, type Case, type Environment, type SuiteEngine } from './suite.ts';
import {
  checkFreeRun,
  checkPosition,
  checkRanks,
  largest,
  logSoftmax,
  thinMargin,
  tolerance,
  type Greedy,
  type Precision,
} from './tolerance.ts';

/** A checkpoint with adapters, and what transformers and PEFT computed with them. */
export interface Family {
  readonly name: string;
  readonly path: string;
  readonly adapters: readonly string[];
}

export const FAMILIES: readonly Family[] = [
  {
    name: 'llama',
    path: 'test/fixtures/arch/llama',
    adapters: [
      ...['r8-all', 'r3-qv', 'r16-rslora', 'r64-mlp', 'layer1-only', 'rank-pattern', 'all-linear'],
      ...['dora', 'lm-head', 'embed', 'save-norm-head', 'save-norm-embed'],
    ],
  },
  { name: 'llama-tied', path: 'test/fixtures/arch/llama-tied', adapters: ['r8-all', 'r3-qv', 'r16-rslora'] },
];

type Reference = Readonly<
  Record<string, readonly { readonly prompt: readonly number[]; readonly greedy: readonly number[]; readonly margins: readonly number[] }[]>
>;

/** One prompt of one model of a family. */
interface Asked {
  readonly model: string;
  readonly where: string;
  readonly prompt: readonly number[];
  readonly greedy: Greedy;
  readonly logits: readonly Float32Array[];
  /** The largest absolute logit of all this model's prompts. */
  readonly scale: number;
}

/** Everything a family was asked, neighbours with different adapters: a batch has to be sorted before it can be cut into segments. */
async function readFamily(environment: Environment, { path, adapters }: Family): Promise<readonly Asked[]> {
  const reference = await readJsonFile<Reference>(environment, path, 'reference.json');
  const logits = await readLogits(environment, path);
  return reference['base']!.flatMap((_, i) =>
    ['base', ...adapters].map((model): Asked => {
      const { prompt, greedy, margins } = reference[model]![i]!;
      const own = { logits: logits.get(`${model}.${i}`)!, scale: scaleOf(logits, model) };
      return { model, where: `${model}, prompt ${i}`, prompt, greedy: { tokens: greedy, margins }, ...own };
    }),
  );
}

/** The largest absolute logit that a reference has for a model; at least 1, so that a model without logits has a tolerance. */
function scaleOf(logits: ReferenceLogits, model: string): number {
  let scale = 1;
  for (const [name, rows] of logits) if (name.startsWith(`${model}.`)) for (const row of rows) scale = Math.max(scale, largest(row));
  return scale;
}

/** Raw logits of every position of every prompt, all computed by one step. */
export async function checkRawLogits(
  environment: Environment,
  family: Family,
  precision: Precision,
  kernels: KernelSet = NARROW,
): Promise<void> {
  const all = await readFamily(environment, family);
  const asked = [...all, all[0]!]; // one row more, so that their number is no multiple of a tile
  await using direct = await openDirectModel(environment.gpu, await folder(environment, `${family.path}/base`), { precision, kernels });
  const parts = new Map<string, Part>();
  for (const name of family.adapters) parts.set(name, await direct.place(await folder(environment, `${family.path}/adapters/${name}`)));
  const items = asked.map(({ model, prompt }, slot) => {
    direct.open(slot, prompt.length);
    return promptChunk(slot, prompt, 0, prompt.length, parts.get(model));
  });
  const outputs = await direct.model.submit(items);
  for (const [i, { model, where, logits }] of asked.entries()) {
    for (const [position, reference] of logits.entries()) {
      checkPosition(`${where}, position ${position}`, outputs[i]!.logits[position]!, reference, reference, tolerance(precision, model));
    }
  }
}

async function openEngine(environment: Environment, family: Family, precision: Precision): Promise<SuiteEngine> {
  const engine = await environment.createEngine({
    model: await source(environment, `${family.path}/base`),
    precision,
    memory: { pool: 16 << 20 },
    limits: { batchRows: 1024, stepMs: 600_000 }, // all prompts in one step, however slow the device
  });
  for (const name of family.adapters) {
    await engine.adapters.add(name, await source(environment, `${family.path}/adapters/${name}`));
    await engine.adapters.load(name);
  }
  return engine;
}

const adapterOf = (model: string): GenerateOptions => (model === 'base' ? {} : { adapter: model });

/** Log-probabilities by token id. */
function byToken({ topTokens, topLogprobs }: TokenLogprob): Float32Array {
  const values = new Float32Array(topTokens.length);
  topTokens.forEach((token, place) => (values[token] = topLogprobs[place]!));
  return values;
}

/** Log-probabilities of every prompt position through the engine: the last one's are those of the first generated token. */
function checkLogprobs({ model, where, prompt, logits }: Asked, result: Result, precision: Precision): void {
  for (let position = 0; position < prompt.length; position++) {
    const found = position + 1 < prompt.length ? result.promptLogprobs![position + 1]! : result.logprobs![0]!;
    const reference = logits[position]!;
    checkPosition(`${where}, position ${position}`, byToken(found), logSoftmax(reference), reference, tolerance(precision, model));
  }
}

/** The whole family as one batch of requests: log-probabilities of prompts, and free-running greedy tokens. */
async function checkFree(engine: SuiteEngine, asked: readonly Asked[], adapters: number, precision: Precision): Promise<void> {
  const results = await Promise.all(
    asked.map(({ model, prompt, greedy }) =>
      engine
        .generate(prompt, { ...adapterOf(model), maxTokens: greedy.tokens.length, ignoreEos: true, logprobs: -1, promptLogprobs: -1 })
        .result(),
    ),
  );
  const rows = asked.reduce((sum, { prompt }) => sum + prompt.length, 0);
  const { maxBatch } = await engine.stats();
  const whole = { rows, sequences: asked.length, adapters };
  check(
    JSON.stringify(maxBatch) === JSON.stringify(whole),
    () => `largest step ${JSON.stringify(maxBatch)}, expected ${JSON.stringify(whole)}`,
  );
  let compared = 0;
  for (const [i, one] of asked.entries()) {
    checkLogprobs(one, results[i]!, precision);
    const thin = thinMargin(tolerance(precision, one.model), one.scale);
    compared += checkFreeRun(one.where, results[i]!.tokens, one.greedy, thin);
  }
  check(precision === 'half' || compared > 0, () => 'every margin is thin: no token was compared');
}

/** Each generated token of the reference ranks first behind the prompt and the tokens before it, unless its margin is thin. */
async function checkForced(engine: SuiteEngine, asked: readonly Asked[], precision: Precision): Promise<void> {
  const results = await Promise.all(
    asked.map(({ model, prompt, greedy }) =>
      engine.generate([...prompt, ...greedy.tokens], { ...adapterOf(model), maxTokens: 1, promptLogprobs: 0 }).result(),
    ),
  );
  let compared = 0;
  for (const [i, { model, where, prompt, greedy, scale }] of asked.entries()) {
    compared += checkRanks(where, prompt.length, greedy, results[i]!, thinMargin(tolerance(precision, model), scale));
  }
  check(precision === 'half' || compared > asked.length, () => `only ${compared} tokens were compared`);
}

export async function checkEngine(environment: Environment, family: Family, precision: Precision): Promise<void> {
  const asked = await readFamily(environment, family);
  await using engine = await openEngine(environment, family, precision);
  await checkFree(engine, asked, family.adapters.length, precision);
  await checkForced(engine, asked, precision);
}

/** Parity with transformers and PEFT on small random checkpoints: every base and adapter in one mixed batch. */
export function parityCases(environment: Environment, precision: Precision): Case[] {
  return FAMILIES.flatMap((family): Case[] => [
    {
      name: `${family.name}: raw logits of all models in one step`,
      run: () => checkRawLogits(environment, family, precision),
    },
    {
      name: `${family.name}: all models in one batch: log-probabilities, free-running tokens, stored tokens rank first`,
      on: 'engine',
      run: () => checkEngine(environment, family, precision),
    },
  ]);
}
