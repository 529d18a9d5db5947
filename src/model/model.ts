import { entriesOf, type Finisher, type SiteTable } from '../adapters/sites.ts';
import { WebLoraError } from '../errors.ts';
import { createBuffers, type Buffers } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { createPipelines, type Compiled } from '../gpu/pipelines.ts';
import { createPoolMemory, type PoolMemory } from '../gpu/pool-memory.ts';
import { BYTES_OF_POOL, type PoolType } from '../kernels/libraries.ts';
import { PAGE_TOKENS, stepLayout } from '../kernels/step-layout.ts';
import type { KernelSet } from '../kernels/variants.ts';
import { createFinishing } from './finishing.ts';
import { createActivations, ropeTable, stageNumbers } from './activations.ts';
import { windowOf, type ModelConfig } from './config.ts';
import { halvesOn, type Quantization } from './plane-types.ts';
import type { StepItem } from './plan.ts';
import { createRunner, type ItemOutput, type PreparedStep, type Runner } from './runner.ts';
import { modelShape, type ModelShape } from './shape.ts';
import type { ModelTensors } from './tensors.ts';
import { placeWeights, type ModelWeights } from './weights.ts';

/** What is decided before anything is built. */
export interface ModelSettings {
  readonly precision: 'exact' | 'half';
  /** What weights are rounded to; undefined: to nothing. */
  readonly quantize?: Quantization | undefined;
  /** Tokens of prompt and answer together; undefined: the config's or what the pool holds, whichever is less. */
  readonly maxModelLength: number | undefined;
  /** Bytes of KV pages and adapters, over all layers; undefined: by the device. */
  readonly poolBytes: number | undefined;
  readonly sequences: number;
  readonly batchRows: number;
  /** Steps that may be in flight at once. */
  readonly depth: number;
  /** What computes on this device; may be decided while weights arrive. */
  readonly kernels: KernelSet | Promise<KernelSet>;
  /** How to wait for what comes back (see `measureReadback`); default: by waiting. */
  readonly nudge?: 'none' | 'submit';
}

export type { ItemOutput, PreparedStep } from './runner.ts';

export interface Model {
  readonly config: ModelConfig;
  readonly shape: ModelShape;
  readonly weights: ModelWeights;
  readonly pool: PoolMemory;
  readonly contextLength: number;
  /** Rows of logits that one step can compute. */
  readonly logitRows: number;
  /** Tells the GPU which pages a sequence has from the `first` of them on. Ordered before every later step. */
  setPages(slot: number, first: number, pages: readonly number[]): void;
  /** Makes room for adapters of this rank (rounded up to 4); a no-op where there is room. */
  reserveRank(rank4: number): Promise<void>;
  /** Builds what adapters with these bits of `TRAITS` need; a no-op where it is there. Throws `out_of_memory`. */
  reserveTraits(traits: number): Promise<void>;
  /** Computes on the GPU, as an adapter comes there, what depends on the base; throws `RangeError` for traits that were not reserved. */
  readonly finisher: Finisher;
  /** Slots from 0 on whose sequences can have a bias or penalties. */
  readonly adjustRows: number;
  /** Parts that every row of a full step may have, with the widest adapter so far: at most MAX_PARTS. */
  partsPerRow(): number;
  /** Makes room for bias and penalties; a no-op where there is room. Throws `out_of_memory`. */
  reserveAdjust(): Promise<void>;
  /**
   * Tells the GPU what a slot's bias and penalties start from: the tokens of its prompt, those generated so far, and biases by token.
   * What is sampled later the GPU counts itself. Ordered before every later step. Throws `RangeError` before `reserveAdjust`, for a slot
   * from `adjustRows` on, and for tokens outside the vocabulary.
   */
  setAdjust(slot: number, prompt: readonly number[], generated: readonly number[], bias: Readonly<Record<number, number>>): void;
  /** Tells the GPU what a step is, and no more: whoever takes steps apart records its launches, alone or together, until the next step. */
  prepare(items: readonly StepItem[]): PreparedStep;
  /** Records and submits one step, waiting for nothing; resolves with each item's output when it has come back. */
  submit(items: readonly StepItem[]): Promise<readonly ItemOutput[]>;
  /** Pipelines that were compiled so far. */
  compiled(): readonly Compiled[];
  /** Bytes of all GPU buffers. */
  bytes(): number;
  destroy(): void;
}

const SLOTS = 1024;
const DEFAULT_POOL_BYTES = { hardware: 512 << 20, software: 256 << 20 } as const;

/**
 * Loads a checkpoint and builds everything a step needs: `build(device)`, the one place where GPU objects come from.
 * On failure nothing is left on the GPU.
 * @throws WebLoraError what loading throws; `request_invalid` for a length the model or the pool cannot serve; `gpu_limit`.
 */
export async function buildModel(
  gpu: Gpu,
  files: ModelTensors,
  config: ModelConfig,
  settings: ModelSettings,
  progress: { readonly onProgress: (loaded: number, file: string) => void; readonly signal: AbortSignal | undefined },
): Promise<Model> {
  const buffers = createBuffers(gpu.device);
  try {
    return await build(gpu, buffers, files, config, settings, progress);
  } catch (error) {
    buffers.destroy();
    throw error;
  }
}

async function build(
  gpu: Gpu,
  buffers: Buffers,
  files: ModelTensors,
  config: ModelConfig,
  settings: ModelSettings,
  progress: { readonly onProgress: (loaded: number, file: string) => void; readonly signal: AbortSignal | undefined },
): Promise<Model> {
  const { device } = gpu;
  const { precision, quantize } = settings;
  const shape = modelShape(config);
  const poolType: PoolType = precision === 'exact' ? 'f32' : 'f16';
  const size = poolSize(gpu, config, settings, poolType);
  const outerPageBytes = outerPages(gpu, shape.table, size);
  const layout = stepLayout({ rows: settings.batchRows, samplers: settings.sequences, logitRows: logitRowLimit(gpu, config, settings) });
  const stop = new AbortController();
  const loading = {
    device,
    buffers,
    files,
    precision,
    quantize,
    halves: halvesOn(gpu, files),
    ...progress,
    signal: either(progress.signal, stop.signal),
  };
  const { weights, fill } = await placeWeights(loading, config, shape);
  const pool = createPoolMemory(device, buffers, {
    layers: config.layers,
    ...size,
    outerPageBytes,
    slots: SLOTS,
    entries: entriesOf(shape.table),
  });
  const activations = createActivations(device, buffers, config, shape, layout, size.contextLength);
  for (const [i, rope] of config.ropes.entries()) {
    device.queue.writeBuffer(activations.ropes[i]!, 0, ropeTable(rope, size.contextLength));
  }
  device.queue.writeBuffer(activations.filter.stages, 0, stageNumbers());
  await buffers.settled();
  const pipelines = createPipelines(device, buffers);
  const compile = async (): Promise<Runner> => {
    const parts = { pipelines, config, shape, layout, weights, activations, pool, poolType, kernels: await settings.kernels };
    return createRunner(parts, gpu, buffers, settings);
  };
  // a file is waited for most of the time, and so is a compiler: neither waits for the other
  const compiling = compile();
  const filling = fill();
  const [runner] = await Promise.all([compiling, filling]).catch(async (error: unknown) => {
    stop.abort(error); // what still compiles ends with the device
    await filling.catch(() => undefined);
    throw error;
  });
  const finishing = createFinishing(runner, { device, buffers, pipelines, shape, weights, pool, poolType, software: gpu.software });
  return {
    ...runner,
    ...finishing,
    config,
    shape,
    weights,
    pool,
    contextLength: size.contextLength,
    logitRows: layout.limits.logitRows,
    setPages: (slot, first, pages) => {
      const { pagesPerRow } = activations;
      if (first + pages.length > pagesPerRow) throw new RangeError(`A sequence has room for ${pagesPerRow} pages`);
      device.queue.writeBuffer(activations.blocks, (slot * pagesPerRow + first) * 4, Uint32Array.from(pages));
    },
    compiled: pipelines.compiled,
    bytes: () => buffers.bytes(),
    destroy: () => buffers.destroy(),
  };
}

/** Aborts with the first of these, for its reason. */
function either(given: AbortSignal | undefined, own: AbortSignal): AbortSignal {
  return given ? AbortSignal.any([given, own]) : own;
}

/** Unless a length is asked for, tables of rope for texts longer than the pool take no more than one byte for so many of the pool. */
const MOST_OF_POOL_FOR_ROPE = 8;

/** Pages of the pool and the context they can serve. */
function poolSize(gpu: Gpu, config: ModelConfig, settings: ModelSettings, type: PoolType) {
  const { limits } = gpu.device;
  const pageBytes = 2 * config.kvHeads * PAGE_TOKENS * config.headDim * BYTES_OF_POOL[type];
  const wanted = settings.poolBytes ?? DEFAULT_POOL_BYTES[gpu.software ? 'software' : 'hardware'];
  const perLayer = Math.min(wanted / config.layers, limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  const pages = Math.floor(perLayer / pageBytes);
  const asked = settings.maxModelLength;
  const room = pages * PAGE_TOKENS;
  // where every layer has a window, a text takes no more pages than that, however long it is: what bounds it are the tables of rope
  const ropeBytes = config.ropes.reduce((sum, { dimensions }) => sum + dimensions * 4, 0);
  const isWindowed = pages > Math.ceil(windowOf(config) / PAGE_TOKENS);
  const longest = isWindowed ? config.contextLength : room;
  const unasked = isWindowed ? Math.max(room, Math.floor(wanted / MOST_OF_POOL_FOR_ROPE / ropeBytes)) : room;
  if (asked !== undefined && asked > config.contextLength) {
    const message = `maxModelLength ${asked} is above the model's own ${config.contextLength} (max_position_embeddings)`;
    throw new WebLoraError('request_invalid', message, { param: 'maxModelLength' });
  }
  if (room === 0 || (asked ?? 0) > longest) {
    const message = `A pool of ${wanted} bytes holds ${room} tokens; ${asked ?? 1} need ${Math.ceil((asked ?? 1) / PAGE_TOKENS) * pageBytes * config.layers}`;
    throw new WebLoraError('request_invalid', `${message}. Raise memory.pool (--pool-memory) or lower maxModelLength.`, {
      param: 'memory.pool',
    });
  }
  return { pages, pageBytes, contextLength: asked ?? Math.min(config.contextLength, unasked) };
}

/**
 * Bytes of a page outside the layers: an adapter of one rank everywhere takes about as many of its pages there as in a layer. At most a
 * quarter of the pool's bytes lie there, and no more than one binding holds: beyond that, adapters take more pages.
 */
function outerPages(
  { device }: Gpu,
  { sites, outer, layers }: SiteTable,
  { pages, pageBytes }: { pages: number; pageBytes: number },
): number {
  const widths = (all: SiteTable['sites']): number => all.reduce((sum, { inWidth, outWidth }) => sum + inWidth + outWidth, 0);
  const ratio = Math.ceil(widths(outer) / widths(sites));
  const { maxStorageBufferBindingSize: binding, maxBufferSize: buffer } = device.limits;
  const most = Math.floor(Math.min(binding, buffer) / (pages * pageBytes));
  return pageBytes * Math.max(1, Math.min(ratio, most, Math.ceil(layers / 4)));
}

/** Rows of logits in one step: one for every sequence at least, a whole batch where one binding holds it. */
function logitRowLimit(gpu: Gpu, config: ModelConfig, settings: ModelSettings): number {
  const rowBytes = Math.ceil(config.vocabSize / 4) * 16;
  const most = Math.floor(Math.min(gpu.device.limits.maxStorageBufferBindingSize, 64 << 20) / rowBytes);
  if (most < 1) throw new WebLoraError('gpu_limit', `A row of ${config.vocabSize} logits exceeds what this device can bind`);
  return Math.min(most, Math.max(settings.batchRows, settings.sequences));
}
