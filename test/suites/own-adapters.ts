import type { CoreEngine, GpuProvider } from '../../src/engine/types.ts';
import { NARROW } from '../../src/kernels/variants.ts';
import type { Part } from '../../src/model/plan.ts';
import type { TestTensor } from '../unit/files.ts';
import { addAdapters, LLAMA } from './adapters.ts';
import { tensors } from './bad-file-changes.ts';
import { logGpu, type LoggedGpu } from './device-log.ts';
import { openDirectModel, promptChunk } from './direct-model.ts';
import { failsWith, openEngine, PROMPT, run, same } from './engine-bench.ts';
import { ADAPTER_FILES, folder, memoryFolder, readFiles, source, type Files } from './fixtures.ts';
import { losable } from './losable.ts';
import { check, type Case, type Environment } from './suite.ts';

/** Adapters that do more than add low-rank pairs in the layers. */
export const OWN = ['dora', 'lm-head', 'embed', 'save-norm-head', 'save-norm-embed'] as const;

const MATRIX = "an adapter's own embedding or head";

const at = (name: string): string => `${LLAMA}/adapters/${name}`;

/** The bytes of the last step's logits by adapter: alone, and in one batch with all others and the base. */
async function checkAloneIsMixed(environment: Environment): Promise<void> {
  const models = ['base', 'r8-all', ...OWN];
  const base = await folder(environment, `${LLAMA}/base`);
  await using direct = await openDirectModel(environment.gpu, base, { precision: 'exact', kernels: NARROW });
  const parts = new Map<string, Part>();
  for (const name of models.slice(1)) parts.set(name, await direct.place(await folder(environment, at(name))));
  const prompts = models.map((_, i) => PROMPT.slice(0, 2 + (i % 4)));
  const chunk = (model: string, slot: number) => promptChunk(slot, prompts[slot]!, 0, prompts[slot]!.length, parts.get(model));
  models.forEach((_, slot) => direct.open(slot, prompts[slot]!.length));
  const mixed = await direct.model.submit(models.map(chunk));
  for (const [slot, model] of models.entries()) {
    const [alone] = await direct.model.submit([chunk(model, slot)]);
    for (const [position, logits] of alone!.logits.entries()) {
      const found = mixed[slot]!.logits[position]!;
      const first = logits.findIndex((value, token) => !Object.is(value, found[token]));
      check(first < 0, () => `${model}, position ${position}: token ${first} has ${logits[first]} alone and ${found[first]} in a batch`);
    }
  }
}

interface Counted {
  readonly engine: CoreEngine;
  readonly gpu: LoggedGpu;
}

async function openCounted(environment: Environment): Promise<Counted> {
  const gpu = logGpu(environment.gpu);
  const engine = await openEngine(environment, { gpu, kernels: 'auto' });
  await addAdapters(environment, engine, 1);
  for (const id of OWN) await engine.adapters.add(id, await source(environment, at(id)));
  await engine.adapters.add('other-head', memoryFolder('other-head', await otherHead(environment)));
  return { engine, gpu };
}

/** The same adapter as `save-norm-head` with another head. */
async function otherHead(environment: Environment): Promise<Files> {
  const files = await readFiles(environment, at('save-norm-head'), ADAPTER_FILES);
  const weights = files['adapter_model.safetensors']!;
  weights[weights.length - 4] = weights[weights.length - 4]! ^ 1;
  return files;
}

/** What a decode step of these adapters dispatches. */
async function decodeStep({ engine, gpu }: Counted, adapters: readonly (string | undefined)[]): Promise<readonly string[]> {
  await Promise.all(adapters.flatMap((adapter) => (adapter === undefined ? [] : [engine.adapters.load(adapter)])));
  const before = gpu.submits.length;
  await Promise.all(adapters.map((adapter) => run(engine, adapter === undefined ? {} : { adapter })));
  return gpu.submits.slice(before).at(-1)!.dispatches;
}

async function checkDispatches(counted: Counted): Promise<void> {
  const plain = await decodeStep(counted, [undefined, 'r8-all/0']);
  const none = await decodeStep(counted, [undefined]);
  const count = (steps: readonly string[], label: string): number => steps.filter((each) => each === label).length;
  const dora = await decodeStep(counted, [undefined, 'r8-all/0', 'dora']);
  same(count(dora, 'set-aside'), 2 * 2 * 2, 'dispatches that set the residual aside: before and after o and down of two layers');
  same(
    dora.filter((label) => label !== 'set-aside'),
    plain,
    'the other dispatches of a step with DoRA',
  );
  const pairs = await decodeStep(counted, ['lm-head', 'embed', undefined]);
  same(pairs.length, plain.length + 3, 'dispatches with pairs outside the layers: one for the embedding, two for the head');
  const heads = await decodeStep(counted, ['save-norm-head', undefined]);
  same([heads.length, count(heads, 'whole-head')], [plain.length + 1, 1], 'dispatches with a saved head');
  const two = await decodeStep(counted, ['save-norm-head', 'other-head', 'save-norm-head', 'save-norm-embed']);
  same([count(two, 'whole-head'), count(two, 'whole-embed')], [2, 1], 'dispatches for each distinct matrix');
  same(await decodeStep(counted, [undefined, 'r8-all/0']), plain, 'dispatches without such rows, all of them resident');
  same(await decodeStep(counted, [undefined]), none, 'dispatches of the base, all of them resident');
}

/** Bytes of a saved head of 512 rows of 64, as f32. */
const HEAD_BYTES = 512 * 64 * 4;

async function checkBudget({ engine, gpu }: Counted): Promise<void> {
  const bytes = async (): Promise<number> => (await engine.stats()).tiers.gpu.bytes;
  const apart = (): number => gpu.liveBuffers().filter((label) => label.startsWith("an adapter's own")).length;
  for (const id of ['save-norm-head', 'other-head', 'save-norm-embed']) await engine.adapters.load(id);
  same(apart(), 3, 'buffers of matrices');
  const before = await bytes();
  await engine.adapters.unload('other-head');
  same(apart(), 2, 'buffers of matrices after one has left');
  const freed = before - (await bytes());
  check(freed >= HEAD_BYTES, () => `${freed} bytes of the pool's budget came free with a head of ${HEAD_BYTES}`);
  same((await engine.stats()).gpuBytes, gpu.liveBytes(), 'bytes of all buffers');
}

/** PEFT saves the base's weights beside a pair of the head: to the engine that is the adapter without them. */
async function checkBaseWeights(environment: Environment, { engine, gpu }: Counted): Promise<void> {
  const base = await readFiles(environment, `${LLAMA}/base`, ['model.safetensors']);
  const files = await readFiles(environment, at('lm-head'), ADAPTER_FILES);
  let head: TestTensor | undefined;
  tensors((all) => ((head = all.find(({ name }) => name === 'lm_head.weight')), all))(base, 'model.safetensors');
  const saved = { ...head!, name: 'base_model.model.lm_head.base_layer.weight' };
  tensors((all) => [...all, saved])(files, 'adapter_model.safetensors');
  await engine.adapters.add('beside weights', memoryFolder('beside weights', files));
  const matrices = gpu.liveBuffers().filter((label) => label === MATRIX).length;
  const [plain, found] = [await engine.adapters.load('lm-head'), await engine.adapters.load('beside weights')];
  same([found.digest, found.bytes], [plain.digest, plain.bytes], 'digest and bytes beside the weights of the base');
  same(gpu.liveBuffers().filter((label) => label === MATRIX).length, matrices, 'matrices');
}

async function checkLoss(environment: Environment): Promise<void> {
  const gpu = losable(logGpu(environment.gpu));
  await using engine = await openEngine(environment, { gpu });
  for (const id of OWN) await engine.adapters.add(id, await source(environment, at(id)));
  const all = () => Promise.all(OWN.map((adapter) => run(engine, { adapter })));
  const expected = await all();
  gpu.lose();
  const found = await all();
  same(
    found.map(({ tokens }) => tokens),
    expected.map(({ tokens }) => tokens),
    'tokens after a loss',
  );
  same((await engine.stats()).deviceLosses, 1, 'losses');
}

/** A provider whose devices have no room for another buffer of one label where `isFull` says so of those that are there. */
function crowded(provider: GpuProvider, isFull: (matrices: number) => boolean): GpuProvider {
  return {
    requestAdapter: async (options) => {
      const adapter = (await provider.requestAdapter(options)) as GPUAdapter | null;
      if (!adapter) return adapter;
      const requestDevice = adapter.requestDevice.bind(adapter);
      const crowding = async (descriptor?: GPUDeviceDescriptor): Promise<GPUDevice> => {
        const device = await requestDevice(descriptor);
        const live = new Set<GPUBuffer>();
        const createBuffer = device.createBuffer.bind(device);
        const create = (wanted: GPUBufferDescriptor): GPUBuffer => {
          if (wanted.label !== MATRIX) return createBuffer(wanted);
          if (isFull(live.size)) return createBuffer({ ...wanted, size: 2 * device.limits.maxBufferSize });
          const buffer = createBuffer(wanted);
          live.add(buffer);
          const destroy = buffer.destroy.bind(buffer);
          Object.defineProperty(buffer, 'destroy', { value: () => (live.delete(buffer), destroy()), configurable: true });
          return buffer;
        };
        Object.defineProperty(device, 'createBuffer', { value: create, configurable: true, writable: true });
        return device;
      };
      Object.defineProperty(adapter, 'requestDevice', { value: crowding, configurable: true, writable: true });
      return adapter;
    },
  };
}

/** Pages of two layers, 8 KiB together: two adapters fill 51 of them, and one with a head of its own needs 18. */
const SMALL_POOL = { memory: { pool: 64 << 13 } };

/** Where the device has no room for a matrix nobody leaves the pool for it; and who has one and is not needed makes room for another. */
async function checkNoRoom(environment: Environment): Promise<void> {
  let most = 0;
  const gpu = logGpu(crowded(environment.gpu, (matrices) => matrices >= most));
  await using engine = await openEngine(environment, { gpu, ...SMALL_POOL });
  const onGpu = async (): Promise<readonly string[]> => (await engine.adapters.list({ tier: 'gpu' })).map(({ id }) => id).sort();
  for (const id of ['r8-all', 'r64-mlp', 'save-norm-head']) await engine.adapters.add(id, await source(environment, at(id)));
  await engine.adapters.add('other-head', memoryFolder('other-head', await otherHead(environment)));
  for (const id of ['r8-all', 'r64-mlp']) await engine.adapters.load(id);
  await failsWith(engine.adapters.load('save-norm-head'), 'out_of_memory', 'could not allocate');
  await failsWith(run(engine, { adapter: 'save-norm-head' }), 'out_of_memory', 'could not allocate');
  same(await onGpu(), ['r64-mlp', 'r8-all'], 'adapters on the GPU: who was there stays');
  most = 1;
  for (const adapter of ['save-norm-head', 'other-head', 'save-norm-head']) {
    await run(engine, { adapter });
    const heads = (await onGpu()).filter((id) => id.includes('head'));
    same(heads, [adapter], 'adapters with a head of their own on a device with room for one head');
    same(gpu.liveBuffers().filter((label) => label === MATRIX).length, 1, 'matrices');
  }
  await engine.adapters.pin('save-norm-head');
  await failsWith(run(engine, { adapter: 'other-head' }), 'out_of_memory', 'could not allocate');
  await run(engine, { adapter: 'save-norm-head' });
}

/** DoRA, saved modules and low-rank pairs of the head and the embedding in an engine; the first cases share one, and run in this order. */
export function ownAdapterCases(environment: Environment): Case[] {
  let opened: Promise<Counted> | undefined;
  const counted = (): Promise<Counted> => (opened ??= openCounted(environment));
  return [
    { name: 'every adapter alone gives the bits that it gives in a batch with all others', run: () => checkAloneIsMixed(environment) },
    { name: 'steps without such rows have the dispatches they had', run: async () => checkDispatches(await counted()) },
    { name: 'matrices of their own count in the budget and go with their adapters', run: async () => checkBudget(await counted()) },
    { name: 'weights of the base beside a pair take no room', run: async () => checkBaseWeights(environment, await counted()) },
    { name: 'closes', run: async () => (await counted()).engine.close() },
    { name: 'after a lost device all of it is computed again', run: () => checkLoss(environment) },
    { name: 'no room for a matrix: nobody leaves for it but who has one and is not needed', run: () => checkNoRoom(environment) },
  ];
}
