import type { GenerateOptions, Message, Result, Source, TokenLogprob } from '../../src/engine/types.ts';
import { openModel } from '../../src/engine/load.ts';
import { createBuffers } from '../../src/gpu/buffers.ts';
import { openGpu } from '../../src/gpu/device.ts';
import { halvesOn } from '../../src/model/plane-types.ts';
import { modelShape } from '../../src/model/shape.ts';
import { placeWeights } from '../../src/model/weights.ts';
import { readJsonFile, source } from './fixtures.ts';
import { check, type Case, type Environment, type SuiteEngine } from './suite.ts';
import { checkFreeRun } from './tolerance.ts';

const FOLDER = '.cache/smollm2';
const FILE = 'SmolLM2-135M-Instruct.Q4_1.gguf';
const ADAPTER_FOLDER = '../shared/models/smollm2/adapters';
const REFERENCES = '../shared/references/smollm2';
const NEEDS = [FOLDER, ADAPTER_FOLDER, REFERENCES];
const ADAPTERS = ['json', 'sql', 'pirate', 'redact', 'title'] as const;

/** How far a log-probability may be off, in nats. */
const NATS = 2e-3;
/** A margin below which a token of the references is not compared. */
const THIN = 10 * NATS;
/** So many are asked for, that near ties around the 32nd do not matter. */
const TOP = 96;

interface Answer {
  readonly model: string;
  readonly message: string;
  readonly prompt: readonly number[];
  readonly tokens: readonly number[];
  readonly text: string;
  readonly margins: readonly number[];
  /** For every position of the prompt: the 32 likeliest next tokens. */
  readonly best_ids: readonly (readonly number[])[];
  readonly best_logprobs: readonly (readonly number[])[];
}

const nameOf = ({ model, message }: Answer): string => `${model}, ${JSON.stringify(message)}`;

async function modelFile(environment: Environment): Promise<string | URL> {
  const folder = (await source(environment, FOLDER)) as string | URL;
  return folder instanceof URL ? new URL(FILE, folder) : `${folder}/${FILE}`;
}

async function openEngine(environment: Environment, answers: readonly Answer[]): Promise<SuiteEngine> {
  const rows = answers.reduce((sum, { prompt }) => sum + prompt.length, 0);
  const engine = await environment.createEngine({
    model: await modelFile(environment),
    precision: 'exact',
    maxModelLength: 256,
    memory: { pool: 320 << 20 },
    limits: { sequences: answers.length, batchRows: Math.min(512, rows), stepMs: 60_000 },
  });
  for (const name of ADAPTERS) {
    await engine.adapters.add(name, (await source(environment, `${ADAPTER_FOLDER}/${name}`)) as Source);
    await engine.adapters.load(name);
  }
  return engine;
}

function checkBest(where: string, found: TokenLogprob, ids: readonly number[], logprobs: readonly number[]): void {
  const at = new Map(Array.from(found.topTokens, (token, place) => [token, place]));
  for (const [i, id] of ids.entries()) {
    const place = at.get(id);
    check(place !== undefined, () => `${where}: token ${id} is not among the ${TOP} best`);
    const off = Math.abs(found.topLogprobs[place]! - logprobs[i]!);
    check(off <= NATS, () => `${where}: token ${id} has ${found.topLogprobs[place]}, expected ${logprobs[i]}`);
  }
}

/** Returns whether the whole answer was compared. */
function checkAnswer(answer: Answer, { promptTokens, tokens, text, promptLogprobs, logprobs }: Result): boolean {
  const name = nameOf(answer);
  check(
    promptTokens.join() === answer.prompt.join(),
    () => `${name}: the prompt is ${promptTokens.join()}, expected ${answer.prompt.join()}`,
  );
  for (const [position, ids] of answer.best_ids.entries()) {
    const found = position + 1 < answer.prompt.length ? promptLogprobs![position + 1]! : logprobs![0]!;
    checkBest(`${name}, position ${position}`, found, ids, answer.best_logprobs[position]!);
  }
  if (checkFreeRun(name, tokens, answer, THIN) < answer.tokens.length) return false;
  check(text === answer.text, () => `${name}: ${JSON.stringify(text)}, expected ${JSON.stringify(answer.text)}`);
  return true;
}

/** Requests sent as messages, the base's and those of all five adapters in one batch. */
async function checkAnswers(environment: Environment, choose: (all: readonly Answer[]) => readonly Answer[]): Promise<void> {
  const answers = choose(await readJsonFile<readonly Answer[]>(environment, REFERENCES, 'reference.json'));
  const engine = await openEngine(environment, answers);
  try {
    const results = await Promise.all(
      answers.map(({ model, message, tokens }) => {
        const messages: readonly Message[] = [{ role: 'user', content: message }];
        const adapter: GenerateOptions = model === 'base' ? {} : { adapter: model };
        return engine.generate(messages, { ...adapter, maxTokens: tokens.length, promptLogprobs: TOP, logprobs: TOP }).result();
      }),
    );
    const whole = answers.filter((answer, i) => checkAnswer(answer, results[i]!)).length;
    check(whole >= ADAPTERS.length, () => `only ${whole} answers have no thin margin`);
    const { maxBatch } = await engine.stats();
    check(maxBatch.adapters === ADAPTERS.length, () => `the largest batch had ${maxBatch.adapters} adapters, not ${ADAPTERS.length}`);
  } finally {
    await engine.close();
  }
}

/** The shortest answer of each model. */
function shortest(all: readonly Answer[]): readonly Answer[] {
  const length = ({ prompt, tokens }: Answer): number => prompt.length + tokens.length;
  return ['base', ...ADAPTERS].map((name) =>
    all.filter(({ model }) => model === name).reduce((least, answer) => (length(answer) < length(least) ? answer : least)),
  );
}

/** All buffers that hold weights, against what the file has. */
async function checkBytes(environment: Environment): Promise<void> {
  const { config, files } = await openModel({ model: await modelFile(environment) });
  const gpu = await openGpu(environment.gpu);
  let made = 0;
  const create = gpu.device.createBuffer.bind(gpu.device);
  const createBuffer = (descriptor: GPUBufferDescriptor): GPUBuffer => {
    made += descriptor.size;
    return create(descriptor);
  };
  Object.defineProperty(gpu.device, 'createBuffer', { configurable: true, value: createBuffer });
  const events = { onProgress: () => undefined, signal: undefined };
  const buffers = createBuffers(gpu.device);
  const choice = { precision: 'exact', quantize: undefined, halves: halvesOn(gpu, files) } as const;
  await placeWeights({ device: gpu.device, buffers, files, ...choice, ...events }, config, modelShape(config));
  buffers.destroy();
  gpu.device.destroy();
  const stored = [...files.tensors.values()].reduce((sum, { start, end }) => sum + end - start, 0);
  check(stored > 90 << 20, () => `the file has only ${stored} bytes of tensors`);
  check(made <= 1.25 * stored, () => `buffers with weights have ${made} bytes, ${made / stored} times the file's ${stored}`);
}

/** SmolLM2-135M-Instruct from its Q4_1 GGUF, with five trained adapters, against transformers and PEFT. */
export function smollm2Cases(environment: Environment): Case[] {
  return [
    { name: 'weights take at most 1.25 times what the file has', needs: [FOLDER], run: () => checkBytes(environment) },
    {
      name: 'six models in one batch, from messages to text: log-probabilities of the prompts, and greedy tokens',
      needs: NEEDS,
      on: 'engine',
      takes: 'minutes',
      run: () => checkAnswers(environment, shortest),
    },
    {
      name: 'all 33 answers of the references',
      needs: NEEDS,
      on: 'engine',
      takes: 'minutes',
      run: () => checkAnswers(environment, (all) => all),
    },
  ];
}
