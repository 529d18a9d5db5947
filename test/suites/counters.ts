import { createEngine } from '../../src/engine/engine.ts';
import type { CoreEngine } from '../../src/engine/types.ts';
import { addAdapters, LLAMA } from './adapters.ts';
import { logGpu, type LoggedGpu, type Submitted } from './device-log.ts';
import { memoryFolder, MODEL_FILES, readFiles, readJsonFile, source } from './fixtures.ts';
import { check, type Case, type Environment } from './suite.ts';

const ROWS = 32;
const ADAPTERS = 31;
const TOKENS = 8;
const GROUPS = 4;

interface Counted {
  readonly engine: CoreEngine;
  readonly gpu: LoggedGpu;
  readonly ids: readonly string[];
  readonly layers: number;
}

async function open(environment: Environment): Promise<Counted> {
  const gpu = logGpu(environment.gpu);
  const { num_hidden_layers: layers } = await readJsonFile<{ num_hidden_layers: number }>(environment, `${LLAMA}/base`, 'config.json');
  const engine = await createEngine({
    gpu,
    model: await source(environment, `${LLAMA}/base`),
    precision: 'exact',
    memory: { pool: 16 << 20 },
    limits: { stepMs: 10_000 }, // all prompts in one step, however slow the device
  });
  return { engine, gpu, ids: await addAdapters(environment, engine, ADAPTERS), layers };
}

/** The decode steps of 32 requests whose prompts have one token: the first step holds all prompts, the others one row of each. */
async function decodeSteps({ engine, gpu }: Counted, adapters: readonly (string | undefined)[]): Promise<Submitted[]> {
  const before = { submits: gpu.submits.length, stats: await engine.stats() };
  await Promise.all(
    adapters.map((adapter, i) => engine.generate([3 + i], { ...(adapter && { adapter }), maxTokens: TOKENS, ignoreEos: true }).result()),
  );
  const { steps, decodeRows } = await engine.stats();
  const submits = gpu.submits.slice(before.submits);
  const found = { submits: submits.length, steps: steps - before.stats.steps, decodeRows: decodeRows - before.stats.decodeRows };
  const expected = { submits: TOKENS, steps: TOKENS, decodeRows: (TOKENS - 1) * ROWS };
  check(JSON.stringify(found) === JSON.stringify(expected), () => `ran ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`);
  return submits.slice(1);
}

const each = (adapter: (row: number) => string | undefined): (string | undefined)[] =>
  Array.from({ length: ROWS }, (_, row) => adapter(row));

function sameDispatches(steps: readonly Submitted[], expected: readonly string[], what: string): void {
  for (const { dispatches } of steps) {
    check(dispatches.join() === expected.join(), () => `${what}: dispatches ${dispatches.join(' ')}, expected ${expected.join(' ')}`);
  }
}

const isLora = (label: string): boolean => label.startsWith('lora');

async function checkDispatches(counted: Counted): Promise<void> {
  const { ids, layers } = counted;
  const single = await decodeSteps(
    counted,
    each((row) => (row === 0 ? undefined : ids[0])),
  );
  const many = await decodeSteps(
    counted,
    each((row) => (row === 0 ? undefined : ids[row - 1])),
  );
  sameDispatches([...single, ...many], single[0]!.dispatches, 'one adapter and 31 adapters');
  const lora = single[0]!.dispatches.filter(isLora).length;
  check(lora > 0, () => `no LoRA dispatch among ${single[0]!.dispatches.join(' ')}`);
  check(lora <= 2 * GROUPS * layers, () => `${lora} LoRA dispatches in ${layers} layers of ${GROUPS} groups, at most two a group expected`);
  const none = await decodeSteps(
    counted,
    each(() => undefined),
  );
  sameDispatches(
    none,
    single[0]!.dispatches.filter((label) => !isLora(label)),
    'no adapter',
  );
}

async function checkSteady(counted: Counted): Promise<void> {
  const steps = await decodeSteps(
    counted,
    each((row) => counted.ids[row - 1]),
  );
  for (const { made } of steps) {
    check(
      JSON.stringify(made) === JSON.stringify(steps[0]!.made),
      () => `a decode step made things: ${JSON.stringify([steps[0]!.made, made])}`,
    );
  }
}

async function checkBytesBack(counted: Counted): Promise<void> {
  const before = counted.gpu.mappedBytes();
  const steps = await decodeSteps(
    counted,
    each((row) => counted.ids[row - 1]),
  );
  for (const { bytesBack } of steps) {
    check(bytesBack > 0 && bytesBack <= 64 * ROWS, () => `${bytesBack} bytes come back from a step of ${ROWS} rows`);
  }
  const mapped = counted.gpu.mappedBytes() - before;
  check(mapped > 0 && mapped <= 64 * ROWS * TOKENS, () => `${mapped} bytes were mapped in ${TOKENS} steps of ${ROWS} rows`);
}

async function checkClose({ engine, gpu }: Counted): Promise<void> {
  check(gpu.liveBytes() > 0, () => 'no buffer was seen');
  const reported = (await engine.stats()).gpuBytes;
  check(reported === gpu.liveBytes(), () => `stats say ${reported} bytes, ${gpu.liveBytes()} are live`);
  await engine.close();
  check(gpu.liveBuffers().length === 0, () => `close() left ${gpu.liveBuffers().join(', ')}`);
  check(gpu.liveDevices() === 0, () => 'close() left the device');
}

async function checkFailedLoad(environment: Environment): Promise<void> {
  const gpu = logGpu(environment.gpu);
  const files = await readFiles(environment, `${LLAMA}/base`, MODEL_FILES);
  const weights = files['model.safetensors']!;
  weights.fill(0xff, weights.length - 4); // NaN in the last number of the file: everything before it has been loaded
  const failure = await createEngine({ gpu, model: memoryFolder('memory', files) }).then(
    () => 'loaded',
    (error: unknown) => (error as { code?: string }).code,
  );
  check(failure === 'tensor_not_finite', () => `a NaN in the weights: ${failure}`);
  check(gpu.liveBuffers().length === 0, () => `the failed load left ${gpu.liveBuffers().join(', ')}`);
  check(gpu.liveDevices() === 0, () => 'the failed load left the device');
}

/** What a step costs, counted by wrapping the device's own methods. The cases share an engine and run in this order. */
export function counterCases(environment: Environment): Case[] {
  let opened: Promise<Counted> | undefined;
  const counted = (): Promise<Counted> => (opened ??= open(environment));
  return [
    {
      name: 'a decode step of 32 rows: one submit; as many dispatches with 31 adapters as with one; none for LoRA without',
      run: async () => checkDispatches(await counted()),
    },
    { name: 'a steady decode step makes no buffer, bind group or pipeline', run: async () => checkSteady(await counted()) },
    { name: 'at most 64 bytes a row come back', run: async () => checkBytesBack(await counted()) },
    { name: 'close() destroys every buffer and the device', run: async () => checkClose(await counted()) },
    { name: 'a failed load leaves no buffer and no device', run: () => checkFailedLoad(environment) },
  ];
}
