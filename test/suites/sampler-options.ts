import type { CoreEngine, GenerateOptions, Result } from '../../src/engine/types.ts';
import { llamaLogits, type Checkpoint } from '../reference/llama.ts';
import { kept, sample, type SampleInput } from '../reference/sample.ts';
import { LLAMA, LLAMA_SIZES } from './adapters.ts';
import { idle, run, same } from './engine-bench.ts';
import { folder } from './fixtures.ts';
import { check, type Case, type Environment } from './suite.ts';
import { summedBase } from './summed-base.ts';

const TOKENS = 24;
/** The fixture's end token. */
const EOS = 2;
/** Scores that lie nearer to each other may change places. */
const LEAST_MARGIN = 2e-3;

const promptOf = (i: number): readonly number[] => Array.from({ length: 4 + 3 * i }, (_, j) => (i * 71 + j * 17 + 3) % 500);

/** The base's logits at each position of an answer, from plain loops. */
function logitsOf(base: Checkpoint, { promptTokens, tokens }: Pick<Result, 'promptTokens' | 'tokens'>): readonly Float64Array[] {
  return llamaLogits(base, LLAMA_SIZES, [...promptTokens, ...tokens]).slice(promptTokens.length - 1, -1);
}

/** How many tokens of an answer the plain-loop sampler takes too; the others are too near to call. Throws where one differs. */
function checkAnswer(what: string, base: Checkpoint, result: Result, options: GenerateOptions): number {
  const { promptTokens, tokens } = result;
  const { temperature = 0, seed = 0, logitBias: bias = {} } = options;
  let compared = 0;
  for (const [i, logits] of logitsOf(base, result).entries()) {
    const input: SampleInput = {
      ...options,
      logits,
      inverseTemperature: temperature === 0 ? 0 : 1 / temperature,
      seed: [seed, 0],
      position: promptTokens.length + i,
      seen: { prompt: promptTokens, generated: tokens.slice(0, i), bias },
    };
    const [few, many] = [-LEAST_MARGIN, LEAST_MARGIN].map((slack) => sample(input, kept(input, slack))!);
    if (few!.token !== many!.token || Math.min(few!.margin, many!.margin) < LEAST_MARGIN) continue;
    compared += 1;
    check(
      tokens[i] === few!.token,
      () => `${what}: token ${i} is ${tokens[i]}, plain loops take ${few!.token} with a margin of ${few!.margin}`,
    );
  }
  return compared;
}

const OPTIONS: readonly GenerateOptions[] = [
  {},
  { temperature: 1, topK: 1, seed: 5 },
  { logitBias: { 7: 100 } },
  { logitBias: { 7: 9, 8: 9.5 }, frequencyPenalty: 1.5 },
  { logitBias: { 7: 9, 8: 9.5 }, presencePenalty: 2 },
  { logitBias: { 3: 5, 74: 5 }, repetitionPenalty: 1.8 },
  { logitBias: { 7: 9, 8: 9.5 }, frequencyPenalty: -2 },
  { temperature: 0.9, seed: 11 },
  { temperature: 0.8, seed: 12, topK: 12, frequencyPenalty: 0.7 },
  { temperature: 1.2, seed: 13, topP: 0.7, repetitionPenalty: 1.3 },
  { temperature: 1.5, seed: 14, minP: 0.1, logitBias: { 9: -100, 10: 4 }, presencePenalty: 0.5 },
];

/** Every option in one batch, twice over, so that the slots of the first have others' tables behind them. */
async function checkOptions(base: Checkpoint, engine: CoreEngine): Promise<void> {
  const asked = [...OPTIONS, ...OPTIONS].map((options, i) => ({ options, prompt: promptOf(i % OPTIONS.length) }));
  const results = await Promise.all(asked.map(({ options, prompt }) => run(engine, { maxTokens: TOKENS, ...options }, prompt)));
  for (const [i, { options }] of asked.entries()) {
    const compared = checkAnswer(JSON.stringify(options), base, results[i]!, options);
    check(compared > TOKENS / 2, () => `${JSON.stringify(options)}: only ${compared} of ${TOKENS} tokens were compared`);
  }
  const plain = await Promise.all(asked.slice(0, OPTIONS.length).map(({ prompt }) => run(engine, { maxTokens: TOKENS }, prompt)));
  same(results[1]!.tokens, plain[1]!.tokens, 'tokens of top-k 1');
  check(
    results[2]!.tokens.every((token) => token === 7),
    () => `with a bias of 100 on token 7: ${results[2]!.tokens.join()}`,
  );
  const banned = plain[0]!.tokens[3]!;
  const without = await run(engine, { maxTokens: TOKENS, logitBias: { [banned]: -100 } }, promptOf(0));
  check(!without.tokens.includes(banned), () => `token ${banned} came in spite of a bias of -100`);
  await idle(engine);
}

/** Answers that end early in a batch of others, while steps behind their ends are in flight. */
async function checkEnds(base: Checkpoint, engine: CoreEngine): Promise<void> {
  const whole = await Promise.all(Array.from({ length: 8 }, (_, i) => run(engine, { maxTokens: TOKENS }, promptOf(i))));
  const before = (await engine.stats()).tokens;
  const expected = whole.map(({ tokens }, i) => tokens.slice(0, tokens.indexOf(tokens[2 * i + 1]!) + 1));
  const streamed: number[][] = whole.map(() => []);
  const results = await Promise.all(
    whole.map(async ({ tokens }, i) => {
      const stops = { stopTokenIds: [511, tokens[2 * i + 1]!] };
      const generation = engine.generate(promptOf(i), { ignoreEos: i % 2 === 0, maxTokens: TOKENS, ...stops });
      for await (const chunk of generation) streamed[i]!.push(...chunk.tokens);
      return generation.result();
    }),
  );
  for (const [i, { tokens, finish, stopReason }] of results.entries()) {
    same([tokens, finish, stopReason], [expected[i], 'stop', whole[i]!.tokens[2 * i + 1]], `answer ${i}`);
    same(streamed[i], expected[i], `stream ${i}`);
  }
  same((await engine.stats()).tokens - before, expected.flat().length, 'tokens that requests were given');
  await checkEndToken(base, engine, whole[0]!);
  await idle(engine);
}

/** A bias that brings the model's end token exactly where it was nearest to coming. */
async function checkEndToken(base: Checkpoint, engine: CoreEngine, whole: Result): Promise<void> {
  const gaps = logitsOf(base, whole).map((logits) => logits.reduce((most, value) => Math.max(most, value)) - logits[EOS]!);
  const nearest = gaps.slice(1).reduce((least, gap) => Math.min(least, gap));
  const end = gaps.indexOf(nearest);
  check(gaps[0]! > nearest + 0.02, () => 'the end token comes first: another prompt is needed');
  const options = { maxTokens: TOKENS, logitBias: { [EOS]: nearest + 0.01 } };
  const others = Array.from({ length: 6 }, (_, i) => run(engine, { maxTokens: TOKENS }, promptOf(i + 1)));
  const [ended, on] = await Promise.all([
    run(engine, { ...options, ignoreEos: false }, whole.promptTokens),
    run(engine, options, whole.promptTokens),
  ]);
  same([ended.tokens, ended.finish, ended.stopReason], [[...whole.tokens.slice(0, end), EOS], 'stop', undefined], 'ended by the end token');
  same(ended.usage.completionTokens, end + 1, 'its completion tokens');
  same([on.tokens.slice(0, end + 1), on.tokens.length], [ended.tokens, TOKENS], 'the same with ignoreEos');
  for (const { tokens } of await Promise.all(others)) same(tokens.length, TOKENS, 'tokens of those beside it');
}

/** How tokens are chosen, against plain loops. */
export function samplerCases(environment: Environment, engine: () => Promise<CoreEngine>): Case[] {
  let read: Promise<Checkpoint> | undefined;
  const base = (): Promise<Checkpoint> => (read ??= folder(environment, `${LLAMA}/base`).then((opened) => summedBase(opened, [])));
  return [
    { name: 'tokens are those of a plain-loop sampler', run: async () => checkOptions(await base(), await engine()) },
    { name: 'end and stop tokens, with steps in flight behind them', run: async () => checkEnds(await base(), await engine()) },
  ];
}
