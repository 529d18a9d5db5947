import { WebLoraError } from '../errors.ts';
import type { TensorFiles } from '../formats/safetensors.ts';
import { createBuffers, type Buffers } from '../gpu/buffers.ts';
import type { Gpu } from '../gpu/device.ts';
import { createPipelines } from '../gpu/pipelines.ts';
import { createPoolMemory, type PoolMemory } from '../gpu/pool-memory.ts';
import { createReadbackRing, type ReadbackRing } from '../gpu/readback.ts';
import { BYTES_OF_POOL, type PoolType } from '../kernels/libraries.ts';
import { PAGE_TOKENS, POISONED, stepLayout, type StepLayout } from '../kernels/step-layout.ts';
import { createActivations, ropeTable, type Activations } from './activations.ts';
import type { ModelConfig } from './config.ts';
import { buildForward, recordForward, type ForwardParts, type Launch } from './forward.ts';
import { createPlanner, type Plan, type StepItem } from './plan.ts';
import { modelShape, type ModelShape } from './shape.ts';
import { loadWeights } from './weights.ts';

/** What is decided before anything is built. */
export interface ModelSettings {
  readonly precision: 'exact' | 'half';
  /** Tokens of prompt and answer together; undefined: the config's or what the pool holds, whichever is less. */
  readonly maxModelLength: number | undefined;
  /** Bytes of KV pages and adapters, over all layers; undefined: by the device. */
  readonly poolBytes: number | undefined;
  readonly sequences: number;
  readonly batchRows: number;
  /** Steps that may be in flight at once. */
  readonly depth: number;
}

/** What one item of a step gave back. */
export interface ItemOutput {
  /** The sampled token; `poisoned`: the row's logits were not finite; undefined: it did not sample. */
  readonly token: number | 'poisoned' | undefined;
  /** Raw logits of its logit rows, where it asked for them: `[logitRows][vocabulary]`. */
  readonly logits: readonly Float32Array[];
}

export interface Model {
  readonly config: ModelConfig;
  readonly shape: ModelShape;
  readonly pool: PoolMemory;
  readonly contextLength: number;
  /** Rows of logits that one step can compute. */
  readonly logitRows: number;
  /** Tells the GPU which pages a sequence has. Ordered before every later step. */
  setPages(slot: number, pages: readonly number[]): void;
  /** Makes room for adapters of this rank (rounded up to 4); a no-op where there is room. */
  reserveRank(rank4: number): Promise<void>;
  /** Records and submits one step, waiting for nothing; resolves with each item's output when it has come back. */
  submit(items: readonly StepItem[]): Promise<readonly ItemOutput[]>;
  /** Bytes of all GPU buffers. */
  bytes(): number;
  destroy(): void;
}

const SLOTS = 1024;
const DEFAULT_POOL_BYTES = { hardware: 512 << 20, software: 256 << 20 } as const;
/** Rows of v for adapters of rank 64 at first: wider ones make it grow when they are loaded. */
const FIRST_RANK4 = 64;

/**
 * Loads a checkpoint and builds everything a step needs: `build(device)`, the one place where GPU objects come from.
 * On failure nothing is left on the GPU.
 * @throws WebLoraError what loading throws; `request_invalid` for a length the model or the pool cannot serve; `gpu_limit`.
 */
export async function buildModel(
  gpu: Gpu,
  files: TensorFiles,
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
  files: TensorFiles,
  config: ModelConfig,
  settings: ModelSettings,
  progress: { readonly onProgress: (loaded: number, file: string) => void; readonly signal: AbortSignal | undefined },
): Promise<Model> {
  const { device } = gpu;
  const { precision } = settings;
  const shape = modelShape(config);
  const poolType: PoolType = precision === 'exact' ? 'f32' : 'f16';
  const size = poolSize(gpu, config, settings, poolType);
  const layout = stepLayout({ rows: settings.batchRows, samplers: settings.sequences, logitRows: logitRowLimit(gpu, config, settings) });
  const weights = await loadWeights({ device, buffers, files, precision, ...progress }, config, shape);
  const pool = createPoolMemory(device, buffers, { layers: config.layers, ...size, slots: SLOTS, sites: shape.table.sites.length });
  const activations = createActivations(buffers, config, shape, layout, size.contextLength);
  device.queue.writeBuffer(activations.rope, 0, ropeTable(config, size.contextLength));
  await buffers.settled();
  const pipelines = createPipelines(device);
  const runner = await createRunner({ pipelines, config, shape, layout, weights, activations, pool, poolType }, gpu, buffers, settings);
  return {
    ...runner,
    config,
    shape,
    pool,
    contextLength: size.contextLength,
    logitRows: layout.limits.logitRows,
    setPages: (slot, pages) => device.queue.writeBuffer(activations.blocks, slot * activations.pagesPerRow * 4, Uint32Array.from(pages)),
    bytes: () => buffers.bytes(),
    destroy: () => buffers.destroy(),
  };
}

/** Pages of the pool and the context they can serve. */
function poolSize(gpu: Gpu, config: ModelConfig, settings: ModelSettings, type: PoolType) {
  const { limits } = gpu.device;
  const pageBytes = 2 * config.kvHeads * PAGE_TOKENS * config.headDim * BYTES_OF_POOL[type];
  const wanted = settings.poolBytes ?? DEFAULT_POOL_BYTES[gpu.software ? 'software' : 'hardware'];
  const perLayer = Math.min(wanted / config.layers, limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  const pages = Math.floor(perLayer / pageBytes);
  const asked = settings.maxModelLength;
  const room = pages * PAGE_TOKENS;
  if (asked !== undefined && asked > config.contextLength) {
    const message = `maxModelLength ${asked} is above the model's own ${config.contextLength} (max_position_embeddings)`;
    throw new WebLoraError('request_invalid', message, { param: 'maxModelLength' });
  }
  if (room === 0 || (asked ?? 0) > room) {
    const message = `A pool of ${wanted} bytes holds ${room} tokens; ${asked ?? 1} need ${Math.ceil((asked ?? 1) / PAGE_TOKENS) * pageBytes * config.layers}`;
    throw new WebLoraError('request_invalid', `${message}. Raise memory.pool (--pool-memory) or lower maxModelLength.`, {
      param: 'memory.pool',
    });
  }
  return { pages, pageBytes, contextLength: asked ?? Math.min(config.contextLength, room) };
}

/** Rows of logits in one step: one for every sequence at least, a whole batch where one binding holds it. */
function logitRowLimit(gpu: Gpu, config: ModelConfig, settings: ModelSettings): number {
  const rowBytes = Math.ceil(config.vocabSize / 4) * 16;
  const most = Math.floor(Math.min(gpu.device.limits.maxStorageBufferBindingSize, 64 << 20) / rowBytes);
  if (most < 1) throw new WebLoraError('gpu_limit', `A row of ${config.vocabSize} logits exceeds what this device can bind`);
  return Math.min(most, Math.max(settings.batchRows, settings.sequences));
}

type Runner = Pick<Model, 'reserveRank' | 'submit'>;

async function createRunner(parts: Omit<ForwardParts, 'v'>, gpu: Gpu, buffers: Buffers, settings: ModelSettings): Promise<Runner> {
  const { activations: a, config, layout } = parts;
  const { device } = gpu;
  const plan = createPlanner(layout);
  const ring = createReadbackRing(buffers, 'read-back', settings.depth + 1, layout.limits.samplers * 4);
  let rank4 = 0;
  let v: GPUBuffer | undefined;
  let launches: Launch[] = [];

  const grow = async (wanted: number): Promise<void> => {
    if (wanted <= rank4) return;
    const grown = buffers.storage('v', vBytes(parts.shape, layout, wanted));
    await buffers.settled();
    launches = await buildForward({ ...parts, v: grown });
    if (v) buffers.drop(v); // steps in flight keep it alive until they are done
    v = grown;
    rank4 = wanted;
  };
  // one after another: two that grow at once would each drop the other's buffer
  let growing = grow(FIRST_RANK4);
  await growing;
  const reserveRank = (wanted: number): Promise<void> => {
    if (wanted <= rank4) return Promise.resolve();
    const after = growing.catch(() => undefined).then(() => grow(wanted));
    growing = after;
    return after;
  };

  const submit = (items: readonly StepItem[]): Promise<readonly ItemOutput[]> => {
    const step = plan(items);
    device.queue.writeBuffer(a.step, 0, step.words);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    recordForward(pass, launches, step);
    pass.end();
    const back = copyResults(encoder, a, step, ring);
    device.queue.submit([encoder.finish()]);
    return collect(gpu, ring, back, step, items, a, config);
  };
  return { reserveRank, submit };
}

/** Bytes of v for steps whose rows all have an adapter of this rank. */
function vBytes(shape: ModelShape, layout: StepLayout, rank4: number): number {
  const widest = Math.max(...Object.values(shape.groups).map((group) => group.sites * group.splits));
  return layout.limits.rows * widest * rank4 * 4;
}

interface Back {
  readonly buffer: GPUBuffer;
  readonly bytes: number;
  readonly logitsAt: number;
}

/** Copies the step's ids, and behind them the logits that were asked for, into the next buffer of the ring. */
function copyResults(encoder: GPUCommandEncoder, a: Activations, plan: Plan, ring: ReadbackRing): Back | undefined {
  const rowBytes = a.logitsStride * 4;
  const idBytes = plan.samplers * 4;
  const bytes = idBytes + plan.readRows * rowBytes;
  if (bytes === 0) return undefined;
  const buffer = ring.next(bytes);
  if (idBytes > 0) encoder.copyBufferToBuffer(a.ids, 0, buffer, 0, idBytes);
  if (plan.readRows > 0) encoder.copyBufferToBuffer(a.logits, 0, buffer, idBytes, plan.readRows * rowBytes);
  return { buffer, bytes, logitsAt: idBytes };
}

async function collect(
  gpu: Gpu,
  ring: ReadbackRing,
  back: Back | undefined,
  plan: Plan,
  items: readonly StepItem[],
  a: Activations,
  config: ModelConfig,
): Promise<readonly ItemOutput[]> {
  if (!back) {
    await gpu.device.queue.onSubmittedWorkDone();
    throwFailure(gpu);
    return items.map(() => ({ token: undefined, logits: [] }));
  }
  const bytes = await ring.read(back.buffer, back.bytes, (mapped) => mapped.slice(0));
  throwFailure(gpu);
  const ids = new Uint32Array(bytes, 0, plan.samplers);
  return items.map((item, i) => {
    const sampler = plan.samplerOf[i];
    const id = sampler === undefined ? undefined : ids[sampler]!;
    const first = plan.logitRowOf[i]!;
    const rows = item.logits === 'read' ? item.logitRows : 0;
    const logits = Array.from(
      { length: rows },
      (_, row) => new Float32Array(bytes, back.logitsAt + (first + row) * a.logitsStride * 4, config.vocabSize),
    );
    return { token: id === POISONED ? 'poisoned' : id, logits };
  });
}

function throwFailure(gpu: Gpu): void {
  const failure = gpu.failure();
  if (failure) throw failure;
}
