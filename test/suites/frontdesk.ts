import type { GenerateOptions, Message } from '../../src/engine/types.ts';
import type { Part } from '../../src/model/plan.ts';
import { openDirectModel, promptChunk } from './direct-model.ts';
import { folder, readJsonFile, readLogits, source } from './fixtures.ts';
import { check, type Case, type Environment, type SuiteEngine } from './suite.ts';
import { checkFreeRun, checkPosition, checkRanks, thinMargin, tolerance, type Precision } from './tolerance.ts';

const MODEL = 'public/models/frontdesk';
const REFERENCE = 'test/fixtures/frontdesk';
/** Too large for the project: where it is absent, its cases are skipped. */
const LOGITS = '../shared/references/frontdesk';
const ADAPTERS = ['json', 'sql', 'spanish', 'pirate', 'redact', 'sentiment', 'emoji', 'title'] as const;

/** The largest absolute logit among all of the references' logits. */
const SCALE = 27;
/** Lengths of prompt and answer: at most 40 and 38 tokens, and maxTokens of the references' maker. */
const MAX_TOKENS = 96;

interface Answer {
  readonly model: string;
  readonly message: string;
  readonly prompt: readonly number[];
  readonly tokens: readonly number[];
  readonly text: string;
  readonly margins: readonly number[];
}

const answers = (environment: Environment): Promise<readonly Answer[]> => readJsonFile(environment, REFERENCE, 'reference.json');
const adapterOf = (model: string): GenerateOptions => (model === 'base' ? {} : { adapter: model });
const nameOf = ({ model, message }: Answer): string => `${model}, ${JSON.stringify(message)}`;
const thinOf = ({ model }: Answer, precision: Precision): number => thinMargin(tolerance(precision, model), SCALE);

async function openEngine(environment: Environment, precision: Precision): Promise<SuiteEngine> {
  const engine = await environment.createEngine({
    model: await source(environment, `${MODEL}/base`),
    precision,
    memory: { pool: 128 << 20 },
    limits: { sequences: 108, batchRows: 256, stepMs: 60_000 },
  });
  for (const name of ADAPTERS) {
    await engine.adapters.add(name, await source(environment, `${MODEL}/adapters/${name}`));
    // read before the first answer, or the last one might come when others are done: then no batch has all of them
    await engine.adapters.load(name);
  }
  return engine;
}

/** All answers in one continuously batched run, from messages to text. */
async function checkAnswers(environment: Environment): Promise<void> {
  const expected = await answers(environment);
  await using engine = await openEngine(environment, 'exact');
  const results = await Promise.all(
    expected.map(async ({ model, message }) => {
      const messages: readonly Message[] = [{ role: 'user', content: message }];
      return engine.generate(messages, { ...adapterOf(model), maxTokens: MAX_TOKENS }).result();
    }),
  );
  let whole = 0;
  for (const [i, answer] of expected.entries()) {
    const { promptTokens, tokens, text, finish } = results[i]!;
    check(
      promptTokens.join() === answer.prompt.join(),
      () => `${nameOf(answer)}: prompt ${promptTokens.join()}, expected ${answer.prompt.join()}`,
    );
    const compared = checkFreeRun(nameOf(answer), tokens, answer, thinOf(answer, 'exact'));
    if (compared < answer.tokens.length) continue;
    whole++;
    check(tokens.length === answer.tokens.length, () => `${nameOf(answer)}: ${tokens.length} tokens, expected ${answer.tokens.length}`);
    check(text === answer.text, () => `${nameOf(answer)}: ${JSON.stringify(text)}, expected ${JSON.stringify(answer.text)}`);
    check(finish === 'stop', () => `${nameOf(answer)}: finish is ${finish}`);
  }
  check(whole > expected.length / 2, () => `only ${whole} of ${expected.length} answers have no thin margin`);
  const { maxBatch } = await engine.stats();
  check(maxBatch.adapters === ADAPTERS.length, () => `the largest batch had ${maxBatch.adapters} adapters, expected ${ADAPTERS.length}`);
}

/** The answers of the references, given behind their prompts, rank first token by token. */
async function checkForced(
  environment: Environment,
  precision: Precision,
  some: (answer: Answer, index: number) => boolean,
): Promise<void> {
  const expected = (await answers(environment)).filter(some);
  await using engine = await openEngine(environment, precision);
  const results = await Promise.all(
    expected.map(({ model, prompt, tokens }) =>
      engine.generate([...prompt, ...tokens], { ...adapterOf(model), maxTokens: 1, ignoreEos: true, promptLogprobs: 0 }).result(),
    ),
  );
  let compared = 0;
  for (const [i, answer] of expected.entries()) {
    compared += checkRanks(nameOf(answer), answer.prompt.length, answer, results[i]!, thinOf(answer, precision));
  }
  check(compared > expected.length, () => `only ${compared} tokens were compared`);
}

/** Raw logits of every position of the prompts that have references, all in one step. */
async function checkLogits(environment: Environment, precision: Precision): Promise<void> {
  const all = await answers(environment);
  const logits = await readLogits(environment, LOGITS);
  await using direct = await openDirectModel(environment.gpu, await folder(environment, `${MODEL}/base`), {
    precision,
    poolBytes: 64 << 20,
  });
  const parts = new Map<string, Part>();
  for (const name of ADAPTERS) parts.set(name, await direct.place(await folder(environment, `${MODEL}/adapters/${name}`)));
  const names = [...logits.keys()];
  const items = names.map((name, slot) => {
    const [model, index] = name.split('.') as [string, string];
    const { prompt } = all.filter((answer) => answer.model === model)[Number(index)]!;
    direct.open(slot, prompt.length);
    return promptChunk(slot, prompt, 0, prompt.length, parts.get(model));
  });
  const outputs = await direct.model.submit(items);
  for (const [i, name] of names.entries()) {
    const tol = tolerance(precision, name.startsWith('base.') ? 'base' : 'adapter');
    for (const [position, reference] of logits.get(name)!.entries()) {
      checkPosition(`${name}, position ${position}`, outputs[i]!.logits[position]!, reference, reference, tol);
    }
  }
}

/** Parity on a trained model: eight adapters that do different things, from chat messages to text. */
export function frontdeskCases(environment: Environment): Case[] {
  // two answers of each model, and in exact those that the free run leaves because of a thin margin: where a free run equals the whole
  // answer, each of its tokens did rank first behind those before it
  const first = (_: Answer, index: number): boolean => index % 12 < 2;
  const firstOrThin = (answer: Answer, index: number): boolean =>
    first(answer, index) || answer.margins.some((margin) => margin < thinOf(answer, 'exact'));
  const cases: readonly Case[] = [
    { name: 'exact: raw logits of 18 prompts in one step', needs: [LOGITS], run: () => checkLogits(environment, 'exact') },
    { name: 'half: raw logits of 18 prompts in one step', needs: [LOGITS], run: () => checkLogits(environment, 'half') },
    {
      name: 'exact: 108 answers in one continuously batched run, text included',
      on: 'engine',
      run: () => checkAnswers(environment),
    },
    {
      name: 'exact: stored tokens rank first behind what came before them',
      on: 'engine',
      run: () => checkForced(environment, 'exact', firstOrThin),
    },
    {
      name: 'half: stored tokens rank first behind what came before them',
      on: 'engine',
      run: () => checkForced(environment, 'half', first),
    },
  ];
  // other models take their kernels through every runtime
  return cases.map((each) => ({ ...each, takes: 'minutes' }));
}
