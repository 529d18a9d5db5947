import type { CoreEngine, GenerateOptions } from '../../src/engine/types.ts';
import { LLAMA } from './adapters.ts';
import { idle, openEngine, run, same } from './engine-bench.ts';
import { source } from './fixtures.ts';
import { check, type Case, type Environment } from './suite.ts';

/** Four full pages and some more. */
const PROMPT = Array.from({ length: 70 }, (_, i) => (i * 37 + 11) % 500);
const PAGES = 64;

async function cached(engine: CoreEngine, options: GenerateOptions = {}, prompt: readonly number[] = PROMPT): Promise<number> {
  return (await run(engine, { maxTokens: 2, ...options }, prompt)).usage.cachedTokens;
}

/** How many tokens two equal requests found, the first and the second of them. */
async function twice(engine: CoreEngine, options: GenerateOptions = {}): Promise<readonly number[]> {
  return [await cached(engine, options), await cached(engine, options)];
}

async function checkRoots(environment: Environment, engine: CoreEngine): Promise<void> {
  const { adapters } = engine;
  const r8 = await source(environment, `${LLAMA}/adapters/r8-all`);
  same(await twice(engine), [0, PAGES], 'the base');
  same(await twice(engine, { cacheSalt: 'mine' }), [0, PAGES], 'another salt');
  await adapters.add('a', r8);
  await adapters.add('b', r8);
  same(await twice(engine, { adapter: 'a' }), [0, PAGES], 'an adapter');
  same(await twice(engine, { adapter: 'a', cacheSalt: 'mine' }), [0, PAGES], 'an adapter with a salt');
  same(await twice(engine, { adapter: [{ id: 'a', scale: 0.5 }] }), [0, PAGES], 'another scale');
  same(await cached(engine, { adapter: 'b' }), PAGES, 'the same weights under another id');
  const answer = await run(engine, { adapter: 'a' }, PROMPT);
  await adapters.remove('a');
  await adapters.add('a', await source(environment, `${LLAMA}/adapters/r3-qv`));
  same(await twice(engine, { adapter: 'a' }), [0, PAGES], 'other weights under the same id');
  await adapters.remove('a');
  await adapters.add('a', r8);
  const again = await run(engine, { adapter: 'a' }, PROMPT);
  same([again.usage.cachedTokens, again.tokens], [PAGES, answer.tokens], 'the first weights again');
  await idle(engine);
}

async function checkLengths(engine: CoreEngine): Promise<void> {
  const prompt = PROMPT.map((token) => token + 1);
  same(await cached(engine, {}, prompt.slice(0, 64)), 0, 'a new beginning');
  // of a prompt of whole pages the last is computed again: its last token has to be
  same(await cached(engine, {}, prompt.slice(0, 64)), 48, 'a prompt of whole pages');
  same(await cached(engine, {}, prompt.slice(0, 65)), 64, 'one token more');
  same(await cached(engine, {}, [...prompt.slice(0, 40), 7, ...prompt.slice(41)]), 32, 'the same up to token 40');
  same(await cached(engine, { promptLogprobs: 0 }, prompt), 0, 'a request for prompt log-probabilities');
  const { lookedUp, found } = (await engine.stats()).prefix;
  await cached(engine, { promptLogprobs: 0 }, prompt);
  await cached(engine, {}, prompt);
  const after = (await engine.stats()).prefix;
  same([after.lookedUp - lookedUp, after.found - found], [prompt.length, 64], 'what stats say of them');
  await idle(engine);
}

async function checkTurns(engine: CoreEngine): Promise<void> {
  const first = PROMPT.slice(0, 40).map((token) => token + 2);
  const answer = await run(engine, { maxTokens: 30 }, first);
  const second = [...first, ...answer.tokens, 5, 6, 7];
  const options = { maxTokens: 8, logprobs: 0, cacheSalt: '' };
  const reply = await run(engine, options, second);
  // K and V of the answer's last token were never computed: 69 tokens, four full pages
  same(reply.usage.cachedTokens, 64, 'tokens of the first turn that the second found');
  same(reply.tokens, (await run(engine, { ...options, cacheSalt: 'alone' }, second)).tokens, 'its answer');
  await idle(engine);
}

/** Eight at once with a common beginning: one computes it, the others wait for its pages. */
async function checkFollowers(engine: CoreEngine): Promise<void> {
  const common = Array.from({ length: 200 }, (_, i) => (i * 53 + 5) % 500);
  const prompts = Array.from({ length: 8 }, (_, i) => [...common, ...Array.from({ length: 8 }, (_, j) => i * 16 + j)]);
  const before = (await engine.stats()).promptRows;
  const answers = await Promise.all(prompts.map((prompt) => run(engine, {}, prompt)));
  same((await engine.stats()).promptRows - before, 192 + 8 * 16, 'prompt rows');
  for (const [i, prompt] of prompts.entries()) {
    const alone = await run(engine, { cacheSalt: `alone ${i}` }, prompt);
    same([alone.usage.cachedTokens, alone.tokens], [0, answers[i]!.tokens], `answer ${i}`);
  }
  await idle(engine);
}

/** Two engines on one provider, one of which shares nothing. */
async function checkTwoEngines(environment: Environment, engine: CoreEngine): Promise<void> {
  await using other = await openEngine(environment, { prefixCache: false });
  const prompts = Array.from({ length: 6 }, (_, i) => PROMPT.map((token) => token + 3 * (i % 3)));
  const ask = (of: CoreEngine): Promise<readonly (readonly number[])[]> =>
    Promise.all(prompts.map(async (prompt) => (await run(of, { maxTokens: 20 }, prompt)).tokens));
  const [shared, own] = await Promise.all([ask(engine), ask(other)]);
  same(own, shared, 'answers of two engines');
  same(await twice(other), [0, 0], 'an engine without a prefix cache');
  const { prefix, pages } = await other.stats();
  same([prefix, pages.kv], [{ lookedUp: 0, found: 0 }, 0], 'its stats');
  check((await engine.stats()).prefix.found > 0, () => 'the other engine found nothing');
  await idle(engine);
  await idle(other);
}

/** Beginnings that an earlier request computed. */
export function prefixCases(environment: Environment, engine: () => Promise<CoreEngine>): Case[] {
  return [
    { name: 'beginnings are shared by salt, weights and scale', run: async () => checkRoots(environment, await engine()) },
    { name: 'beginnings are shared in whole pages', run: async () => checkLengths(await engine()) },
    { name: 'a second turn finds the first answer', run: async () => checkTurns(await engine()) },
    { name: 'eight at once compute what they share once', run: async () => checkFollowers(await engine()) },
    { name: 'two engines at once, one without a prefix cache', run: async () => checkTwoEngines(environment, await engine()) },
  ];
}
