import { openModel, type OpenedModel } from '../../src/engine/load.ts';
import type { GpuProvider, Source } from '../../src/engine/types.ts';
import { WebLoraError } from '../../src/errors.ts';
import { openFolder } from '../../src/formats/folder.ts';
import { createBuffers, type Buffers } from '../../src/gpu/buffers.ts';
import type { Part } from '../../src/model/plan.ts';
import { halvesOn } from '../../src/model/plane-types.ts';
import { modelShape } from '../../src/model/shape.ts';
import { placeWeights } from '../../src/model/weights.ts';
import { openDirectModel, promptChunk, type DirectModel } from '../suites/direct-model.ts';
import type { Allocations } from './watch.ts';

/** A model whose weights can be read anew into the buffers that hold them. */
interface Running {
  readonly direct: DirectModel;
  readonly made: ReadonlyMap<string, GPUBuffer>;
}

/** `computed`: its logits are finite; `built`: it loads, and computes otherwise than all models that were prepared. */
export type Ending = 'computed' | 'built';

/** Runs damaged models and adapters. Models that compute alike share what was built for one: only their weights are read anew. */
export interface MutationBench {
  /** Builds a good model on the device, or where nothing is computed; adapters may then be tried on it. */
  prepare(source: Source, on: 'device' | 'nothing'): Promise<void>;
  /** Loads a model, answers, and throws what that ends in. */
  tryModel(source: Source): Promise<Ending>;
  /** The same for an adapter of a good model. */
  tryAdapter(base: Source, source: Source): Promise<Ending>;
  close(): Promise<void>;
}

/** Models of damaged configs that are kept. */
const KEPT = 32;

const PROMPT = [3, 4, 5];
const TEXT = 'Hello world, 12 lamps\n!';

const SETTINGS = { precision: 'exact', sequences: 2, batchRows: 8, poolBytes: 1 << 20 } as const;

/** A provider that hands on what its device makes. */
function recorded(provider: GpuProvider, allocations: Allocations): { gpu: GpuProvider; made: Map<string, GPUBuffer> } {
  const made = new Map<string, GPUBuffer>();
  const requestAdapter = async (options?: object): Promise<unknown> => {
    const adapter = (await provider.requestAdapter(options)) as GPUAdapter;
    const requestDevice = adapter.requestDevice.bind(adapter);
    Object.defineProperty(adapter, 'requestDevice', {
      configurable: true,
      value: async (descriptor?: GPUDeviceDescriptor) => {
        const device = await requestDevice(descriptor);
        const create = device.createBuffer.bind(device);
        const createBuffer = (descriptor: GPUBufferDescriptor): GPUBuffer => {
          allocations.note(descriptor.size, `the buffer ${descriptor.label}`);
          const buffer = create(descriptor);
          made.set(descriptor.label ?? '', buffer);
          return buffer;
        };
        Object.defineProperty(device, 'createBuffer', { configurable: true, value: createBuffer });
        return device;
      },
    });
    return adapter;
  };
  return { gpu: { requestAdapter }, made };
}

/** What decides everything that an engine builds but the values of its weights. */
function keyOf({ config, files }: OpenedModel): string {
  const { bosToken: _, endTokens: __, ...computed } = config;
  const numbers = JSON.stringify(computed, (___, value: unknown) => (value === Infinity ? 'all' : value));
  const tensors = Array.from(files.tensors, ([name, { dtype, shape }]) => `${name} ${dtype} ${shape.join()}`).sort();
  return `${numbers} ${tensors.join()}`;
}

/** Buffers that are there already, by their labels. */
function sameBuffers(device: GPUDevice, made: ReadonlyMap<string, GPUBuffer>): Buffers {
  const storage = (label: string, bytes: number): GPUBuffer => {
    const buffer = made.get(label);
    if (!buffer || buffer.size < bytes) throw new Error(`There is no buffer ${label} of ${bytes} bytes to read into again`);
    return buffer;
  };
  return { ...createBuffers(device), storage };
}

/** Texts of every kind that the model takes must become ids of its vocabulary, and these a text. */
function checkText({ text, config }: OpenedModel): void {
  const { tokenizer, chatTemplate } = text;
  if (!tokenizer) return;
  const prompts = [TEXT, ...(chatTemplate ? [chatTemplate.render([{ role: 'user', content: TEXT }])] : [])];
  for (const prompt of prompts) {
    const ids = tokenizer.encode(prompt, 'plain');
    tokenizer.decode(ids.filter((id) => id < config.vocabSize));
  }
}

/**
 * @param gpu computes; @param nothing compiles, checks and computes nothing (Dawn's null backend). Only `prepare` builds a model on the first,
 * which takes seconds on a software device: a damaged model that computes otherwise than all of these is built on the second.
 */
export function createBench(gpu: GpuProvider, nothing: GpuProvider, allocations: Allocations): MutationBench {
  const computing = new Map<string, Running>();
  const building = new Map<string, Running>();
  const open = async (provider: GpuProvider, source: Source): Promise<Running> => {
    const { gpu: watched, made } = recorded(provider, allocations);
    const direct = await openDirectModel(watched, source, SETTINGS);
    direct.open(0, PROMPT.length);
    return { direct, made };
  };
  const build = async (source: Source, key: string): Promise<Running> => {
    const built = await open(nothing, source);
    building.set(key, built);
    const [oldest] = building.keys();
    if (building.size > KEPT) {
      await building.get(oldest!)!.direct[Symbol.asyncDispose]();
      building.delete(oldest!);
    }
    return built;
  };
  const bases = new Map<Source, Running>();
  return {
    prepare: async (source, on) => {
      const key = keyOf(await openModel({ model: source }));
      const found = computing.get(key) ?? (await open(on === 'device' ? gpu : nothing, source));
      if (on === 'device') computing.set(key, found);
      bases.set(source, found);
    },
    tryModel: async (source) => {
      const opened = await openModel({ model: source });
      checkText(opened);
      const key = keyOf(opened);
      const found = computing.get(key) ?? building.get(key);
      if (found) await refill(found, opened);
      const end = computing.has(key) ? 'computed' : 'built';
      await checkAnswer((found ?? (await build(source, key))).direct, undefined, end);
      return end;
    },
    tryAdapter: async (base, source) => {
      const { direct } = bases.get(base)!;
      const part = await direct.place(await openFolder(source));
      const end = [...computing.values()].some((each) => each.direct === direct) ? 'computed' : 'built';
      await checkAnswer(direct, part, end).finally(() => direct.drop(part));
      return end;
    },
    close: async () => {
      for (const { direct } of new Set([...computing.values(), ...building.values(), ...bases.values()]))
        await direct[Symbol.asyncDispose]();
    },
  };
}

/** Reads other weights into the buffers of a model that is there. */
async function refill({ direct, made }: Running, { files, config }: OpenedModel): Promise<void> {
  const { gpu } = direct;
  const choice = { precision: 'exact', quantize: undefined, halves: halvesOn(gpu, files) } as const;
  const events = { onProgress: () => undefined, signal: undefined };
  const loading = { device: gpu.device, buffers: sameBuffers(gpu.device, made), files, ...choice, ...events };
  await (await placeWeights(loading, config, modelShape(config))).fill();
}

/** A short answer whose every logit is finite; a request with others ends in `not_finite`. */
async function checkAnswer({ model }: DirectModel, part: Part | undefined, on: Ending): Promise<void> {
  const [output] = await model.submit([promptChunk(0, PROMPT, 0, PROMPT.length, part)]);
  if (on === 'built') return; // what comes back from where nothing is computed means nothing
  for (const row of output!.logits) {
    if (!row.every(Number.isFinite)) throw new WebLoraError('not_finite', 'The logits are not finite');
  }
}
