import type { CoreEngine, EngineOptions, GenerateOptions, Result } from '../../src/engine/types.ts';
import type { Folder } from '../../src/formats/folder.ts';
import { openSafetensors } from '../../src/formats/safetensors.ts';
import { safetensors, type TestTensor } from '../unit/files.ts';
import { LLAMA } from './adapters.ts';
import { logGpu, type LoggedGpu } from './device-log.ts';
import { failsWith, failure, idle, openEngine, PROMPT, run, same, until } from './engine-bench.ts';
import { ADAPTER_FILES, folder, memoryFolder, MODEL_FILES, readFiles } from './fixtures.ts';
import { losable, type LosableGpu } from './losable.ts';
import { check, type Case, type Environment } from './suite.ts';

const LONG_PROMPT = Array.from({ length: 300 }, (_, i) => (i * 29 + 7) % 500);
/** How far below the best token's a chosen token's log-probability may lie: other kernels computed it before a loss than after. */
const NEAR = 2e-3;

/** An engine whose devices can be lost, and what is alive on them. */
interface Fragile {
  readonly engine: CoreEngine;
  readonly gpu: LosableGpu;
  readonly log: LoggedGpu;
  /** Losses so far, as the suite counts them. */
  losses: number;
}

async function open(environment: Environment, options: Partial<EngineOptions> = {}): Promise<Fragile> {
  const log = logGpu(environment.gpu);
  const gpu = losable(log);
  const engine = await openEngine(environment, { gpu, ...options });
  for (const id of ['r8-all', 'r3-qv']) await engine.adapters.add(id, await folder(environment, `${LLAMA}/adapters/${id}`));
  return { engine, gpu, log, losses: 0 };
}

function lose(fragile: Fragile): void {
  fragile.gpu.lose();
  fragile.losses += 1;
}

const rebuilt = ({ engine, losses }: Fragile): Promise<void> => until(async () => (await engine.stats()).deviceLosses === losses);

/** Nothing of dead devices is alive, and nothing is left of the requests. */
async function settled({ engine, log, losses }: Fragile): Promise<void> {
  const { deviceLosses, gpuBytes } = await engine.stats();
  same([deviceLosses, log.liveDevices(), log.liveBytes()], [losses, 1, gpuBytes], 'losses, live devices, live bytes');
  await idle(engine);
}

/** Nothing is alive on any device. */
function dead({ log }: Fragile): void {
  same([log.liveDevices(), log.liveBuffers()], [0, []], 'live devices and buffers');
}

/** Throws unless each token of a greedy answer is, to the tolerance, the best behind those before it. */
async function checkGreedy(engine: CoreEngine, { promptTokens, tokens }: Result, options: GenerateOptions = {}): Promise<void> {
  const { promptLogprobs } = await run(engine, { ...options, maxTokens: 1, promptLogprobs: 1 }, [...promptTokens, ...tokens]);
  for (const [i, token] of tokens.entries()) {
    const { logprob, topLogprobs } = promptLogprobs![promptTokens.length + i]!;
    check(topLogprobs[0]! - logprob <= NEAR, () => `token ${i}, ${token}, has ${logprob}, the best ${topLogprobs[0]}`);
  }
}

async function checkIdle(fragile: Fragile): Promise<void> {
  const { engine } = fragile;
  const expected = [await run(engine), await run(engine, { adapter: 'r8-all' })];
  lose(fragile);
  await rebuilt(fragile);
  await settled(fragile);
  lose(fragile); // and with a request in the same moment
  const found = await Promise.all([run(engine), run(engine, { adapter: 'r8-all' })]);
  same(
    found.map(({ tokens }) => tokens),
    expected.map(({ tokens }) => tokens),
    'tokens after a loss while nothing ran',
  );
  await settled(fragile);
}

async function checkPrefill(fragile: Fragile): Promise<void> {
  const { engine } = fragile;
  for (const [i, rows] of [16, 150].entries()) {
    const before = (await engine.stats()).promptRows;
    const answer = run(engine, { cacheSalt: `prefill ${i}` }, LONG_PROMPT);
    await until(async () => (await engine.stats()).promptRows >= before + rows);
    lose(fragile);
    await checkGreedy(engine, await answer);
    await settled(fragile);
  }
}

/** Streams of several requests, while devices are lost: what was given stays, and goes on. */
async function checkStreams(fragile: Fragile): Promise<void> {
  const { engine } = fragile;
  const maxTokens = 60;
  const asked: readonly GenerateOptions[] = [{}, { adapter: 'r8-all' }, { adapter: 'r3-qv' }, { temperature: 0.8, seed: 3, topK: 20 }, {}];
  const streamed: number[][] = asked.map(() => []);
  const answers = asked.map(async (options, i) => {
    const generation = engine.generate([...PROMPT, i], { ignoreEos: true, maxTokens, ...options });
    for await (const { tokens } of generation) streamed[i]!.push(...tokens);
    return generation.result();
  });
  for (const least of [2, 30]) {
    await until(async () => Math.max(...streamed.map(({ length }) => length)) >= least);
    lose(fragile);
    await rebuilt(fragile);
  }
  for (const [i, result] of (await Promise.all(answers)).entries()) {
    same(streamed[i], result.tokens, `stream ${i}`);
    same(result.tokens.length, maxTokens, `tokens of stream ${i}`);
    if (asked[i]!.temperature === undefined) await checkGreedy(engine, result, asked[i]);
  }
  await settled(fragile);
}

/** A folder whose reads wait for `go`. */
function slow(fast: Folder): { readonly folder: Folder; go(): void } {
  let go: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  return { folder: { ...fast, location: 'slow', read: async (...range) => gate.then(() => fast.read(...range)) }, go: () => go() };
}

async function checkLoading(environment: Environment, fragile: Fragile): Promise<void> {
  const { engine, gpu } = fragile;
  const expected = await run(engine, { adapter: 'r8-all' });
  const { folder: late, go } = slow(await folder(environment, `${LLAMA}/adapters/r8-all`));
  await engine.adapters.add('late', late);
  const asked = [run(engine, { adapter: 'late' }), run(engine), run(engine, { adapter: 'r8-all' })];
  const loading = engine.adapters.load('late');
  lose(fragile);
  await asked[1];
  go();
  same([(await loading).tier, (await asked[0]!).tokens], ['gpu', expected.tokens], 'an adapter that was read meanwhile');
  same((await asked[2]!).tokens, expected.tokens, 'one that had been there');

  // a load while the device is built anew: what it writes must not be taken for written there
  for (const id of ['late', 'r8-all']) await engine.adapters.unload(id);
  const loads: Promise<unknown>[] = [];
  gpu.onDevice(() => loads.push(engine.adapters.load('late'), engine.adapters.load('r8-all')));
  lose(fragile);
  await rebuilt(fragile);
  gpu.onDevice(() => undefined);
  await Promise.all(loads);
  for (const adapter of ['late', 'r8-all']) same((await run(engine, { adapter })).tokens, expected.tokens, `${adapter}, loaded meanwhile`);
  await engine.adapters.remove('late');
  await settled(fragile);
}

/** `r3-qv` as an adapter of rank 100: zeros behind its own, and alpha to match. */
async function wideAdapter(environment: Environment): Promise<Folder> {
  const rank = 100;
  const files = await readFiles(environment, `${LLAMA}/adapters/r3-qv`, ADAPTER_FILES);
  const { tensors, read } = await openSafetensors(memoryFolder('narrow', files), 'adapter_model');
  const wide: TestTensor[] = [];
  for (const [name, info] of tensors) {
    const [rows, columns] = info.shape as [number, number];
    const bytes = await read(info);
    const values = new Float32Array(bytes.buffer, bytes.byteOffset, rows * columns);
    const isA = name.includes('lora_A');
    const shape = isA ? [rank, columns] : [rows, rank];
    const padded = new Float32Array(shape[0]! * shape[1]!);
    values.forEach((value, i) => (padded[isA ? i : Math.floor(i / columns) * rank + (i % columns)] = value));
    wide.push({ name, shape, bytes: new Uint8Array(padded.buffer) });
  }
  const config = JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as { r: number; lora_alpha: number };
  const changed = { ...config, r: rank, lora_alpha: (config.lora_alpha * rank) / config.r };
  return memoryFolder('wide', {
    'adapter_config.json': new TextEncoder().encode(JSON.stringify(changed)),
    'adapter_model.safetensors': safetensors(wide),
  });
}

/** A loss while the device makes room for wide adapters and for penalties, `ms` after both were asked for. */
async function checkReserving(environment: Environment, ms: number | undefined): Promise<void> {
  const fragile = await open(environment);
  const { engine } = fragile;
  await engine.adapters.add('wide', await wideAdapter(environment));
  const expected = await run(engine, { adapter: 'r3-qv' });
  const asked = [run(engine, { adapter: 'wide' }), run(engine, { logitBias: { 7: 100 } })];
  const loading = engine.adapters.load('wide');
  if (ms !== undefined) await new Promise((resolve) => setTimeout(resolve, ms));
  lose(fragile);
  const [wide, biased] = await Promise.all(asked);
  same([wide!.tokens, biased!.tokens], [expected.tokens, Array.from({ length: 8 }, () => 7)], 'tokens after it');
  await loading;
  await rebuilt(fragile);
  await settled(fragile);
  if (ms !== undefined) lose(fragile); // what was reserved once is there on every device
  same((await run(engine, { adapter: 'wide', logitBias: { 7: 100 } })).tokens, biased!.tokens, 'tokens of both at once');
  await settled(fragile);
  await engine.close();
  dead(fragile);
}

/** The devices that come in a lost one's place are lost, too. */
async function checkInARow(environment: Environment): Promise<void> {
  const fragile = await open(environment);
  const { engine, gpu } = fragile;
  const expected = await run(engine, { maxTokens: 30 });
  const again = (times: number, ms: number): void => {
    let left = times;
    gpu.onDevice(() => {
      if (left-- > 0) setTimeout(() => lose(fragile), ms);
    });
  };
  for (const ms of [0, 150]) {
    again(2, ms);
    const answer = run(engine, { maxTokens: 30 });
    await until(async () => (await engine.stats()).running === 1);
    lose(fragile);
    same((await answer).tokens, expected.tokens, `tokens after three losses in a row, ${ms} ms apart`);
    await settled(fragile);
  }
  again(Infinity, 0);
  const last = failsWith(run(engine, { maxTokens: 100 }), 'device_lost', 'no step came back');
  lose(fragile);
  await last;
  await failsWith(run(engine), 'device_lost', 'no step came back');
  await engine.close();
  dead(fragile);
}

/** Ends as it must where no device can be built any more. */
async function checkGivenUp(fragile: Fragile, says: string): Promise<void> {
  const { engine, gpu, log } = fragile;
  await run(engine);
  const asked = [run(engine, { maxTokens: 100 }), run(engine, { adapter: 'r8-all', maxTokens: 100 }), run(engine, {}, LONG_PROMPT)];
  const reading = asked.map((answer) => failsWith(answer, 'device_lost', says));
  const unread = engine.generate(PROMPT, { maxTokens: 100 });
  lose(fragile);
  await Promise.all(reading);
  const devices = gpu.devices();
  await failsWith(unread.result(), 'device_lost', says);
  await failsWith(run(engine), 'device_lost', says);
  await failsWith(engine.adapters.load('r3-qv'), 'device_lost', says);
  await new Promise((resolve) => setTimeout(resolve, 50));
  same([gpu.devices(), log.liveDevices(), log.liveBuffers()], [devices, 0, []], 'devices given, live devices, live buffers');
  await engine.close();
  dead(fragile);
}

async function checkUnreadable(environment: Environment): Promise<void> {
  const files = memoryFolder('vanishing', await readFiles(environment, `${LLAMA}/base`, MODEL_FILES));
  let gone = false;
  const read: Folder['read'] = async (...range) => {
    if (gone) throw new Error('the stick was pulled');
    return files.read(...range);
  };
  const fragile = await open(environment, { model: { ...files, read } });
  gone = true;
  await checkGivenUp(fragile, 'the stick was pulled');
}

async function checkNoAdapter(environment: Environment): Promise<void> {
  const fragile = await open(environment);
  fragile.gpu.refuse();
  await checkGivenUp(fragile, 'no adapter');
}

async function checkCloseMeanwhile(environment: Environment): Promise<void> {
  for (const ms of [undefined, 40]) {
    const fragile = await open(environment);
    const { engine, gpu } = fragile;
    const answer = failure(run(engine, { maxTokens: 200 }));
    await until(async () => (await engine.stats()).tokens > 3);
    const coming = new Promise<void>((resolve) => gpu.onDevice(resolve));
    lose(fragile);
    if (ms !== undefined) {
      await coming;
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
    await engine.close();
    dead(fragile);
    same((await answer).code, 'closed', 'how the request ended');
  }
}

/** Devices that are lost. The first cases share an engine. */
export function deviceLossCases(environment: Environment): Case[] {
  let opened: Promise<Fragile> | undefined;
  const fragile = (): Promise<Fragile> => (opened ??= open(environment));
  return [
    { name: 'while nothing runs', run: async () => checkIdle(await fragile()) },
    { name: 'in the middle of a prompt', run: async () => checkPrefill(await fragile()) },
    { name: 'while answers stream', run: async () => checkStreams(await fragile()) },
    { name: 'while adapters are loaded', run: async () => checkLoading(environment, await fragile()) },
    {
      name: 'close() after them',
      run: async () => {
        await (await fragile()).engine.close();
        dead(await fragile());
      },
    },
    { name: 'as room is made for ranks and penalties', run: () => checkReserving(environment, undefined) },
    { name: 'while room is made for ranks and penalties', run: () => checkReserving(environment, 3) },
    { name: 'while it is built anew', run: () => checkInARow(environment) },
    { name: 'with a base that cannot be read any more', run: () => checkUnreadable(environment) },
    { name: 'with no device in its place', run: () => checkNoAdapter(environment) },
    { name: 'close() while it is built anew', run: () => checkCloseMeanwhile(environment) },
  ];
}
