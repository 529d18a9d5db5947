import type { CoreEngine, Generation, GenerateOptions, Result } from '../../src/engine/types.ts';
import { failsWith, failure, idle, openEngine, PROMPT, run, same, WORDS } from './engine-bench.ts';
import { memoryFolder } from './fixtures.ts';
import { check, type Case, type Environment } from './suite.ts';

/** Reads one chunk and leaves. */
async function readOne(generation: Generation): Promise<void> {
  for await (const { tokens } of generation) {
    check(tokens.length > 0, () => 'a chunk without tokens');
    return;
  }
}

async function checkLeaving(engine: CoreEngine): Promise<void> {
  const expected = await run(engine);
  const left = engine.generate(PROMPT, { ignoreEos: true, maxTokens: 400 });
  await readOne(left);
  await idle(engine);
  same((await failure(left.result())).name, 'AbortError', 'how it ended');
  // its row and pages go to others at once, while steps that still know it are in flight
  const others = await Promise.all(Array.from({ length: 8 }, () => run(engine)));
  for (const other of others) same(other.tokens, expected.tokens, 'tokens after it');
  await idle(engine);
}

async function checkSignal(engine: CoreEngine): Promise<void> {
  const expected = await run(engine);
  const stop = new AbortController();
  const reason = new Error('enough');
  const generation = engine.generate(PROMPT, { ignoreEos: true, maxTokens: 400, signal: stop.signal });
  const beside = run(engine, { maxTokens: 60 });
  await generation[Symbol.asyncIterator]().next();
  stop.abort(reason);
  check((await failure(generation.result())) === reason, () => 'the result fails with another reason');
  same((await beside).tokens.slice(0, 8), expected.tokens, 'tokens of the request beside it');
  check(
    (await failure(run(engine, { signal: AbortSignal.abort(reason) }))) === reason,
    () => 'a signal that was aborted before is not heard',
  );
  await idle(engine);
}

async function checkEndings(engine: CoreEngine): Promise<void> {
  const all = await run(engine, { maxTokens: 12 });
  same(
    [all.tokens.length, all.finish, all.stopReason, all.usage],
    [12, 'length', undefined, { promptTokens: 5, cachedTokens: 0, completionTokens: 12 }],
    'length',
  );
  same(all.text, WORDS.decode(all.tokens), 'text');
  for (const maxTokens of [1, 2, 3]) same((await run(engine, { maxTokens })).tokens, all.tokens.slice(0, maxTokens), `${maxTokens} tokens`);

  const stopId = all.tokens[6]!;
  const first = all.tokens.indexOf(stopId);
  const byId = await run(engine, { stopTokenIds: [stopId] });
  same([byId.tokens, byId.finish, byId.stopReason], [all.tokens.slice(0, first + 1), 'stop', stopId], 'stop token');
  same(byId.text, WORDS.decode(all.tokens.slice(0, first)), 'text before the stop token');

  const [a, b] = [all.tokens[4]!, all.tokens[5]!];
  const stop = `${String(a).slice(-1)} t${String(b).slice(0, 1)}`; // the end of one token and the beginning of the next
  const byText = await run(engine, { stop: ['never', stop] });
  same([byText.text, byText.finish, byText.stopReason], [all.text.slice(0, all.text.indexOf(stop)), 'stop', stop], 'stop string');
  let streamed = '';
  for await (const { text } of engine.generate(PROMPT, { ignoreEos: true, maxTokens: 8, stop: [stop] })) streamed += text;
  same(streamed, byText.text, 'streamed text');
  await idle(engine);
}

/** Tokens are drawn from the softmax by a seed of 53 bits, and by nothing else. */
async function checkSampling(engine: CoreEngine): Promise<void> {
  const draw = async (seed: number): Promise<string> => (await run(engine, { temperature: 1, seed })).tokens.join();
  const seeds = [0, 1, 2, 2 ** 32, 2 ** 32 + 1, 2 ** 52];
  const drawn = await Promise.all(seeds.map(draw));
  same(new Set(drawn).size, seeds.length, 'different answers of different seeds');
  same(await Promise.all(seeds.map(draw)), drawn, 'the same seeds again');
  same((await run(engine, { temperature: 1e-4, seed: 7 })).tokens, (await run(engine)).tokens, 'tokens near temperature 0');

  const draws = 400;
  const first = (seed: number, temperature: number): Promise<Result> => run(engine, { temperature, seed, maxTokens: 1, logprobs: 1 });
  const results = await Promise.all(Array.from({ length: draws }, (_, seed) => first(seed, 1)));
  const { topTokens, topLogprobs } = results[0]!.logprobs![0]!;
  const share = results.filter(({ tokens }) => tokens[0] === topTokens[0]).length / draws;
  const expected = Math.exp(topLogprobs[0]!);
  const deviation = Math.sqrt((expected * (1 - expected)) / draws);
  check(Math.abs(share - expected) < 4 * deviation, () => `the best token came in ${share} of the draws, its probability is ${expected}`);
  await idle(engine);
}

async function checkRequests(engine: CoreEngine): Promise<void> {
  const { maxModelLength } = await engine.model();
  const long = Array.from({ length: maxModelLength }, () => 5);
  await failsWith(run(engine, {}, long), 'context_length_exceeded', String(maxModelLength));
  await failsWith(
    run(engine, { maxTokens: maxModelLength - 4 }),
    'context_length_exceeded',
    String(maxModelLength),
    String(maxModelLength - 4),
  );
  same((await run(engine, { maxTokens: 1 }, long.slice(1))).tokens.length, 1, 'tokens behind the longest prompt');
  await failsWith(run(engine, { adapter: 'nobody' }), 'adapter_unknown', 'nobody');
  await failsWith(run(engine, {}, [3, 512]), 'request_invalid', '512');
  await failsWith(run(engine, {}, []), 'request_invalid');
  for (const [param, value] of Object.entries({
    maxTokens: 0,
    temperature: -1,
    seed: 0.5,
    logprobs: -2,
    promptLogprobs: 1.5,
    stop: [''],
    stopTokenIds: [-1],
  })) {
    const error = await failure(run(engine, { [param]: value }));
    same([error.code, error.param], ['request_invalid', param], `${param} = ${String(value)}`);
  }
  check(
    (await failure(run(engine, { maxtokens: 5 } as GenerateOptions))) instanceof TypeError,
    () => 'an unknown option of generate is taken',
  );
  await idle(engine);
}

async function checkCreate(environment: Environment): Promise<void> {
  const wrong: readonly object[] = [{ presicion: 'exact' }, { memory: { hep: 1 } }, { limits: { rows: 1 } }];
  for (const options of wrong) {
    check((await failure(openEngine(environment, options))) instanceof TypeError, () => `createEngine takes ${JSON.stringify(options)}`);
  }
  await failsWith(openEngine(environment, { maxModelLength: 513 }), 'request_invalid', '513', '512');
  await failsWith(openEngine(environment, { memory: { pool: 1000 } }), 'request_invalid', '1000');
  await failsWith(openEngine(environment, { model: memoryFolder('nowhere', {}) }), 'file_missing', 'nowhere');
  const none = { requestAdapter: async () => null };
  await failsWith(openEngine(environment, { gpu: none }), 'gpu_missing');
}

async function checkClose(engine: CoreEngine): Promise<void> {
  const read = engine.generate(PROMPT, { ignoreEos: true, maxTokens: 400 });
  // more than may run at once: some have begun, some wait
  const requests = Array.from({ length: 12 }, () => failure(run(engine, { maxTokens: 400 })));
  await read[Symbol.asyncIterator]().next();
  await engine.close();
  for (const request of requests) same((await request).code, 'closed', 'how a request ended');
  await failsWith(read.result(), 'closed');
  await failsWith(run(engine), 'closed');
  await failsWith(engine.adapters.add('late', 'late'), 'closed');
  await engine.close();
}

/** What an engine does with requests. Most cases share an engine, which the last closes. */
export function engineCases(environment: Environment): Case[] {
  let opened: Promise<CoreEngine> | undefined;
  const engine = (): Promise<CoreEngine> => (opened ??= openEngine(environment, { kernels: 'auto' }));
  return [
    { name: 'leaving the loop frees row and pages', run: async () => checkLeaving(await engine()) },
    { name: 'a signal ends a request, and only that', run: async () => checkSignal(await engine()) },
    { name: 'maxTokens, stop token ids and stop strings', run: async () => checkEndings(await engine()) },
    { name: 'sampled tokens follow the seed and the softmax', run: async () => checkSampling(await engine()) },
    { name: 'requests that cannot be served are refused', run: async () => checkRequests(await engine()) },
    { name: 'engines that cannot be made are refused', run: () => checkCreate(environment) },
    { name: 'close() ends open requests', run: async () => checkClose(await engine()) },
  ];
}
