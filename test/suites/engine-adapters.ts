import type { CoreEngine } from '../../src/engine/types.ts';
import { safetensors, type TestTensor } from '../unit/files.ts';
import { LLAMA } from './adapters.ts';
import { failsWith, failure, idle, openEngine, PROMPT, run, same } from './engine-bench.ts';
import { ADAPTER_FILES, memoryFolder, readFiles, source, type Files } from './fixtures.ts';
import { check, type Case, type Environment } from './suite.ts';

async function checkRegistry(environment: Environment, engine: CoreEngine): Promise<void> {
  const { adapters } = engine;
  const [r8, r3] = [await source(environment, `${LLAMA}/adapters/r8-all`), await source(environment, `${LLAMA}/adapters/r3-qv`)];
  const info = async (): Promise<unknown> => (await adapters.list()).map(({ id, tier, rank }) => [id, tier, rank ?? null]);
  await adapters.add('a', r8);
  await adapters.add('a', r8);
  await failsWith(adapters.add('a', r3), 'adapter_exists', 'r8-all');
  same(await info(), [['a', 'origin', null]], 'registered');
  const loaded = await adapters.load('a');
  same([loaded.tier, loaded.rank, (await adapters.list())[0]!.digest], ['gpu', 8, loaded.digest], 'loaded');
  const expected = await run(engine, { adapter: 'a' });
  const base = await run(engine);
  check(expected.tokens.join() !== base.tokens.join(), () => 'the adapter changes nothing');
  await adapters.unload('a');
  same([await info(), (await engine.stats()).pages.adapters], [[['a', 'heap', 8]], 0], 'unloaded');
  same((await run(engine, { adapter: 'a' })).tokens, expected.tokens, 'tokens after it came back by itself');

  const running = engine.generate(PROMPT, { adapter: 'a', ignoreEos: true, maxTokens: 60 });
  await running[Symbol.asyncIterator]().next();
  await failsWith(adapters.unload('a'), 'adapter_busy', 'a');
  await adapters.remove('a');
  await adapters.add('a', r3); // another adapter under the same id, while the first still runs
  const next = await run(engine, { adapter: 'a' });
  same((await running.result()).tokens.slice(0, 8), expected.tokens, 'tokens of the request that kept the removed adapter');
  check(next.tokens.join() !== expected.tokens.join(), () => 'the new adapter answers as the old one');
  await adapters.remove('a');
  await failsWith(run(engine, { adapter: 'a' }), 'adapter_unknown');
  await failsWith(adapters.load('a'), 'adapter_unknown');
  await failsWith(adapters.remove('a'), 'adapter_unknown');
  await failsWith(adapters.unload('a'), 'adapter_unknown');
  same([await info(), (await engine.stats()).pages.adapters], [[], 0], 'removed');
  await idle(engine);
}

/** A folder whose reads wait for `go`. */
function slowFolder(files: Files): { readonly folder: ReturnType<typeof memoryFolder>; readonly go: () => void } {
  let go: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  const fast = memoryFolder('slow', files);
  return { folder: { ...fast, read: async (...range) => gate.then(() => fast.read(...range)) }, go };
}

async function checkRemovedWhileRead(environment: Environment, engine: CoreEngine): Promise<void> {
  const files = await readFiles(environment, `${LLAMA}/adapters/r8-all`, ADAPTER_FILES);
  const before = (await engine.stats()).pages.adapters;
  const { folder, go } = slowFolder(files);
  await engine.adapters.add('slow', folder);
  const cancelled = engine.generate(PROMPT, { adapter: 'slow', maxTokens: 4, signal: AbortSignal.timeout(50) }).result();
  await failure(cancelled);
  const loading = engine.adapters.load('slow').then(
    () => 'loaded',
    () => 'failed',
  );
  await engine.adapters.remove('slow');
  go();
  await loading;
  await run(engine); // whatever hangs on the read has happened by now
  same((await engine.stats()).pages.adapters, before, 'pages of adapters after the removal');
  // the place that a forgotten adapter kept would be evicted here
  for (const id of ['x', 'y', 'z']) {
    await engine.adapters.add(id, memoryFolder(id, files));
    await run(engine, { adapter: id });
    await engine.adapters.remove(id);
  }
  await idle(engine);
}

/** An adapter that computes what another does but for a few bits of one number, and so shares nothing with it. */
async function variantOf(environment: Environment, name: string, bits: number): Promise<ReturnType<typeof memoryFolder>> {
  const files = await readFiles(environment, `${LLAMA}/adapters/${name}`, ADAPTER_FILES);
  const tensors = files['adapter_model.safetensors']!;
  tensors[tensors.length - 4]! ^= bits;
  return memoryFolder(name, files);
}

/** More adapters than the pool holds: each evicts one that rests, takes its slot and its pages, and all answer right. */
async function checkEviction(environment: Environment): Promise<void> {
  // 160 pages: one of rank 64 takes 42 of them
  await using engine = await openEngine(environment, { memory: { pool: 160 * 2 * 4096 } });
  const names = ['r64-mlp', 'r16-rslora', 'r64-mlp', 'r8-all', 'r3-qv'];
  const ids = Array.from({ length: 15 }, (_, i) => `${names[i % names.length]}/${i}`);
  const expected = new Map<string | undefined, readonly number[]>([[undefined, (await run(engine)).tokens]]);
  for (const [i, id] of ids.entries()) {
    const [name] = id.split('/');
    await engine.adapters.add(id, await variantOf(environment, name!, i));
    if (!expected.has(name)) expected.set(name, (await run(engine, { adapter: id })).tokens);
  }
  const distinct = new Set([...expected.values()].map((tokens) => tokens.join())).size;
  same(distinct, expected.size, 'different answers');
  for (const order of [ids, ids.toReversed()]) {
    const asked = [...order, undefined, ...ids];
    const results = await Promise.all(asked.map((adapter) => run(engine, adapter === undefined ? {} : { adapter })));
    for (const [i, adapter] of asked.entries()) same(results[i]!.tokens, expected.get(adapter?.split('/')[0]), `tokens of ${adapter}`);
  }
  const resident = (await engine.adapters.list()).filter(({ tier }) => tier === 'gpu').length;
  check(resident >= 1 && resident < ids.length, () => `${resident} of ${ids.length} adapters are on the GPU`);
  await idle(engine);
}

async function checkNeverFits(environment: Environment): Promise<void> {
  const path = await source(environment, `${LLAMA}/adapters/r64-mlp`);
  // 48 pages: the adapter takes 42, and six pages hold 96 tokens
  await using engine = await openEngine(environment, { memory: { pool: 48 * 2 * 4096 } });
  await engine.adapters.add('wide', path);
  for (const maxTokens of [100, 150, 200, 400]) {
    await failsWith(run(engine, { adapter: 'wide', maxTokens }), 'out_of_memory', 'memory.pool', String(maxTokens));
    same((await run(engine, { adapter: 'wide' })).tokens.length, 8, 'tokens of one that fits');
    // an answer that takes what is left takes what the pool has left: 96 tokens, and the last one's K and V are never computed
    const rest = await engine.generate(PROMPT, { adapter: 'wide', ignoreEos: true }).result();
    same(rest.tokens.length, 97 - PROMPT.length, 'tokens of one that takes what is left');
    // the adapter rests now, and gives way
    same((await run(engine, { maxTokens })).tokens.length, maxTokens, 'tokens without the adapter');
  }
  await idle(engine);
  await using tiny = await openEngine(environment, { memory: { pool: 40 * 2 * 4096 } });
  await tiny.adapters.add('wide', path);
  await failsWith(tiny.adapters.load('wide'), 'adapter_too_large', 'wide', '42', '40');
  await failsWith(run(tiny, { adapter: 'wide' }), 'adapter_too_large');
  same((await run(tiny)).tokens.length, 8, 'tokens without it');
  await idle(tiny);
}

/** An adapter of finite numbers whose products are not. */
async function hugeAdapter(environment: Environment): Promise<Files> {
  const files = await readFiles(environment, `${LLAMA}/adapters/r8-all`, ADAPTER_FILES);
  const widths: Readonly<Record<string, readonly [number, number]>> = { 'self_attn.v_proj': [64, 32], 'mlp.down_proj': [160, 64] };
  const huge: TestTensor[] = [0, 1].flatMap((layer) =>
    Object.entries(widths).flatMap(([module, [inWidth, outWidth]]) =>
      (['A', 'B'] as const).map((half) => {
        const shape = half === 'A' ? [8, inWidth] : [outWidth, 8];
        const values = new Float32Array(shape[0]! * shape[1]!).fill(3e38);
        const name = `base_model.model.model.layers.${layer}.${module}.lora_${half}.weight`;
        return { name, shape, dtype: 'F32', bytes: new Uint8Array(values.buffer) };
      }),
    ),
  );
  const config = {
    ...(JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as object),
    target_modules: ['v_proj', 'down_proj'],
  };
  return { 'adapter_config.json': new TextEncoder().encode(JSON.stringify(config)), 'adapter_model.safetensors': safetensors(huge) };
}

async function checkNotFinite(environment: Environment, engine: CoreEngine): Promise<void> {
  const expected = await run(engine);
  await engine.adapters.add('huge', memoryFolder('huge', await hugeAdapter(environment)));
  await engine.adapters.load('huge');
  for (const options of [{}, { logprobs: 0 }, { promptLogprobs: 2 }, { temperature: 1, seed: 1 }]) {
    const [bad, ...good] = await Promise.allSettled([run(engine, { ...options, adapter: 'huge' }), ...[1, 2, 3].map(() => run(engine))]);
    await failsWith(bad.status === 'rejected' ? Promise.reject(bad.reason as Error) : Promise.resolve(), 'not_finite', 'huge');
    for (const one of good) same(one.status === 'fulfilled' ? one.value.tokens : one.reason, expected.tokens, 'tokens beside it');
  }
  // the pages with its NaN are the first that others get
  for (let i = 0; i < 3; i++) same((await run(engine)).tokens, expected.tokens, 'tokens after it');
  await engine.adapters.remove('huge');
  await idle(engine);
}

/** What an engine does with adapters. Most cases share an engine, which the last closes. */
export function engineAdapterCases(environment: Environment): Case[] {
  let opened: Promise<CoreEngine> | undefined;
  const engine = (): Promise<CoreEngine> => (opened ??= openEngine(environment));
  return [
    { name: 'add, load, unload, remove', run: async () => checkRegistry(environment, await engine()) },
    { name: 'NaN in one row fails that request alone', run: async () => checkNotFinite(environment, await engine()) },
    { name: 'one that is removed while it is read leaves nothing', run: async () => checkRemovedWhileRead(environment, await engine()) },
    { name: 'closes', run: async () => (await engine()).close() },
    { name: 'more than fit in the pool', run: () => checkEviction(environment) },
    { name: 'a request or an adapter that can never fit', run: () => checkNeverFits(environment) },
  ];
}
