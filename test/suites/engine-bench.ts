import { createEngine } from '../../src/engine/engine.ts';
import type { CoreEngine, EngineOptions, GenerateOptions, Result, Stats } from '../../src/engine/types.ts';
import type { Tokenizer } from '../../src/text/tokenizer.ts';
import { LLAMA } from './adapters.ts';
import { source } from './fixtures.ts';
import { check, type Environment } from './suite.ts';

/** Every token is a word of its own, so that a text says which tokens it came from. */
export const WORDS: Tokenizer = {
  encode: (text) => (/^(?: t\d+)*$/.test(text) ? [...text.matchAll(/t(\d+)/g)].map(([, id]) => Number(id)) : [3]),
  decode: (ids) => ids.map((id) => ` t${id}`).join(''),
  token: (id) => `t${id}`,
  id: (token) => Number(token.slice(1)),
};

export const PROMPT = [3, 14, 15, 92, 65];

/**
 * An engine on the llama fixture with a small pool and few rows. Its kernels are the plain loops: what most suites look at lies above the
 * kernels, and a software device compiles loops in a third of the time.
 */
export async function openEngine(environment: Environment, options: Partial<EngineOptions> = {}): Promise<CoreEngine> {
  return createEngine({
    gpu: environment.gpu,
    model: await source(environment, `${LLAMA}/base`),
    precision: 'exact',
    kernels: 'plain',
    tokenizer: WORDS,
    memory: { pool: 2 << 20 },
    limits: { sequences: 8, batchRows: 64, prefillChunk: 16 },
    ...options,
  });
}

/** A whole answer: 8 greedy tokens that no end token ends, unless the options say otherwise. */
export const run = (engine: CoreEngine, options: GenerateOptions = {}, prompt: readonly number[] = PROMPT): Promise<Result> =>
  engine.generate(prompt, { ignoreEos: true, maxTokens: 8, ...options }).result();

/** What a promise fails with. Throws where it does not fail, or takes longer than a minute. */
export async function failure(
  promise: Promise<unknown>,
): Promise<{ readonly name?: string; readonly code?: string; readonly param?: string; readonly message: string }> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('nothing happened for a minute')), 60_000);
  });
  try {
    await Promise.race([promise, late]);
  } catch (error) {
    return error as Error;
  } finally {
    clearTimeout(timer);
  }
  throw new Error('it did not fail');
}

/** Throws unless a promise fails with this code and a message that shows all of `says`. */
export async function failsWith(promise: Promise<unknown>, code: string, ...says: readonly string[]): Promise<void> {
  const error = await failure(promise);
  check(error.code === code, () => `${error.name} ${error.code}: ${error.message}; expected ${code}`);
  for (const part of says) check(error.message.includes(part), () => `the message does not show ${part}: ${error.message}`);
}

/** Throws unless two values are the same as JSON. */
export function same(found: unknown, expected: unknown, what: string): void {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
  check(left === right, () => `${what}: ${left}, expected ${right}`);
}

/** Nobody runs or waits, and every page that is not free is a beginning that is kept. */
export async function idle(engine: CoreEngine): Promise<void> {
  const { running, waiting, pages }: Stats = await engine.stats();
  same({ running, waiting, held: pages.kv - pages.idle }, { running: 0, waiting: 0, held: 0 }, 'what is left behind');
}

/** Waits for something that comes by itself. Throws where it has not within a minute. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  const began = performance.now();
  while (!(await condition())) {
    check(performance.now() - began < 60_000, () => `it did not come within a minute: ${String(condition)}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
