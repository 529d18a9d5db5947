import type { CoreEngine, EngineOptions, GenerateOptions, Result } from '../../src/engine/types.ts';
import { addAdapters } from './adapters.ts';
import { openEngine, same } from './engine-bench.ts';
import { losable } from './losable.ts';
import { check, type Case, type Environment } from './suite.ts';

const PREFIX = Array.from({ length: 70 }, (_, i) => (i * 37 + 11) % 500);
const ADAPTERS = 3;
const TOKENS = 24;
/** Long enough that the short prompts' answers outgrow a small pool together. */
const LONG_ANSWER = 80;

interface Asked {
  readonly prompt: readonly number[];
  readonly options: GenerateOptions;
}

/** Greedy and drawn answers of the base, of adapters and of a blend; half of the prompts begin alike. */
function questions(ids: readonly string[]): Asked[] {
  const blend = [
    { id: ids[1]!, scale: 0.5 },
    { id: ids[0]!, scale: -0.25 },
  ];
  const adapters: readonly GenerateOptions['adapter'][] = [[], ids[0]!, ids[1]!, ids[2]!, blend];
  return Array.from({ length: 10 }, (_, i) => {
    const own = Array.from({ length: 3 + 5 * i }, (_, j) => (i * 101 + j * 13) % 500);
    const drawn = { temperature: 0.9, seed: 1000 + i, topK: 40, topP: 0.95, frequencyPenalty: 0.3, logitBias: { 7: 1.5 } };
    return {
      prompt: i % 2 === 0 ? [...PREFIX, ...own] : own,
      options: { adapter: adapters[i % adapters.length]!, ignoreEos: true, maxTokens: TOKENS, logprobs: 2, ...(i % 3 === 0 && drawn) },
    };
  });
}

/** What must be the same bit for bit: tokens and every reported log-probability. */
function essence({ tokens, logprobs }: Result): unknown {
  return { tokens, logprobs: logprobs!.map(({ logprob, topTokens, topLogprobs }) => [logprob, [...topTokens], [...topLogprobs]]) };
}

const ask = async (engine: CoreEngine, asked: readonly Asked[]): Promise<Result[]> =>
  Promise.all(asked.map(({ prompt, options }) => engine.generate(prompt, options).result()));

async function open(environment: Environment, options: Partial<EngineOptions>): Promise<{ engine: CoreEngine; asked: readonly Asked[] }> {
  const engine = await openEngine(environment, { kernels: 'auto', deterministic: true, ...options });
  return { engine, asked: questions(await addAdapters(environment, engine, ADAPTERS)) };
}

/** The answers of requests that ran one after another, each on its own pages. */
async function answersAlone(environment: Environment, choose: (asked: readonly Asked[]) => readonly Asked[]): Promise<unknown[]> {
  const { engine, asked: all } = await open(environment, { prefixCache: false });
  const asked = choose(all);
  const answers: unknown[] = [];
  for (const question of asked) answers.push(...(await ask(engine, [question])).map(essence));
  await engine.close();
  return answers;
}

function sameAnswers(found: readonly Result[], alone: readonly unknown[], what: string): void {
  for (const [i, result] of found.entries()) same(essence(result), alone[i], `${what}: answer ${i}`);
}

async function checkPrefixHits(environment: Environment, alone: readonly unknown[]): Promise<void> {
  const { engine, asked } = await open(environment, {});
  sameAnswers(await ask(engine, asked), alone, 'all at once');
  const again = await ask(engine, asked);
  sameAnswers(again, alone, 'with their beginnings computed');
  const cached = again.map(({ usage }) => usage.cachedTokens);
  const expected = asked.map(({ prompt }) => Math.floor((prompt.length - 1) / 16) * 16);
  same(cached, expected, 'tokens that were not computed again');
  await engine.close();
}

const long = (asked: readonly Asked[]): readonly Asked[] =>
  asked.filter((_, i) => i % 2 === 1).map(({ prompt, options }) => ({ prompt, options: { ...options, maxTokens: LONG_ANSWER } }));

async function checkPreemption(environment: Environment): Promise<void> {
  const alone = await answersAlone(environment, long);
  const { engine, asked } = await open(environment, { memory: { pool: 384 << 10 } });
  sameAnswers(await ask(engine, long(asked)), alone, 'in a small pool');
  const { preemptions } = await engine.stats();
  check(preemptions > 0, () => 'the pool was large enough for all: nobody was preempted');
  await engine.close();
}

async function checkLosses(environment: Environment, alone: readonly unknown[], losses: number): Promise<void> {
  const gpu = losable(environment.gpu);
  const { engine, asked } = await open(environment, { gpu });
  let lost = 0;
  const answered: Result[] = [];
  while (lost < losses) {
    const running = ask(engine, asked);
    const progress = { over: false };
    const ended = (): boolean => (progress.over = true);
    running.then(ended, ended);
    for (let tokens = (await engine.stats()).tokens; !progress.over && lost < losses;) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      const stats = await engine.stats();
      if (stats.tokens < tokens + 20 || progress.over) continue;
      tokens = stats.tokens;
      gpu.lose();
      lost += 1;
    }
    answered.push(...(await running));
    sameAnswers(answered.splice(0), alone, `after ${lost} losses`);
  }
  const { deviceLosses, running, waiting } = await engine.stats();
  same({ deviceLosses, running, waiting }, { deviceLosses: losses, running: 0, waiting: 0 }, 'what stats say');
  await engine.close();
}

/** Deterministic answers are the same bit for bit, whatever happens to the requests; the reference ran each alone. */
export function sameAnswersCases(environment: Environment, losses: number): Case[] {
  let answers: Promise<unknown[]> | undefined;
  const alone = (): Promise<unknown[]> => (answers ??= answersAlone(environment, (asked) => asked));
  return [
    { name: 'with prefix hits', run: async () => checkPrefixHits(environment, await alone()) },
    { name: 'with preemptions', run: () => checkPreemption(environment) },
    { name: `with ${losses} lost devices under load`, takes: 'minutes', run: async () => checkLosses(environment, await alone(), losses) },
  ];
}
