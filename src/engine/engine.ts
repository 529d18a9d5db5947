import type { AdapterDisk } from '../adapters/disk.ts';
import { loadPart, WebLoraError } from '../errors.ts';
import { openGpu, type Gpu } from '../gpu/device.ts';
import { describeEntry, type AdapterEntry } from './adapter-entry.ts';
import { createAdapterTiers, removed, type AdapterTiers } from './adapters.ts';
import { createEventHub, type EventHub } from './events.ts';
import { loadModel, promptTokens, type Loaded } from './load.ts';
import { createLoop, type Loop } from './loop.ts';
import { checkEngineOptions, checkGenerateOptions, type EngineLimits } from './options.ts';
import { createPages, type Pages } from './pages.ts';
import { createRequest, type Request } from './request.ts';
import { createScheduler, type Scheduler } from './scheduler.ts';
import { untilAborted } from './shared-task.ts';
import { createStream } from './stream.ts';
import type { Adapters, CoreEngine, EngineOptions, GenerateOptions, Generation, GpuProvider, Prompt, Stats } from './types.ts';

/** Steps in flight at once: one runs while the next is recorded. */
const DEPTH = 2;

interface Core extends Loaded {
  readonly gpu: Gpu;
  readonly precision: 'exact' | 'half';
  readonly pages: Pages;
  readonly scheduler: Scheduler;
  readonly tiers: AdapterTiers;
  readonly disk: AdapterDisk | undefined;
  readonly events: EventHub;
  readonly loop: Loop;
  /** Set once: why the engine takes no more requests. */
  over: WebLoraError | undefined;
  nextId: number;
}

/**
 * Loads a model and runs it in this thread.
 * @throws TypeError for unknown options. @throws WebLoraError `gpu_missing`, `out_of_memory`, `not_deterministic`, `request_invalid`,
 * and what reading the model's files throws; nothing stays on the GPU then.
 */
export async function createEngine(options: EngineOptions): Promise<CoreEngine> {
  const limits = checkEngineOptions(options);
  const provider = options.gpu ?? (globalThis.navigator as { gpu?: GpuProvider } | undefined)?.gpu;
  if (!provider) {
    throw new WebLoraError('gpu_missing', 'This runtime has no WebGPU (navigator.gpu). In Node pass gpu: await dawn() from weblora/node.');
  }
  const gpu = await openGpu(provider);
  try {
    return face(await start(gpu, options, limits));
  } catch (error) {
    gpu.device.destroy();
    throw error;
  }
}

async function start(gpu: Gpu, options: EngineOptions, limits: EngineLimits): Promise<Core> {
  const precision = options.precision ?? (gpu.software ? 'exact' : 'half');
  const { sequences, batchRows, prefillChunk } = limits;
  const loaded = await loadModel(gpu, options, {
    precision,
    maxModelLength: options.maxModelLength,
    poolBytes: options.memory?.pool,
    sequences,
    batchRows,
    depth: DEPTH,
  });
  const { model } = loaded;
  if (options.deterministic) await (await loadPart(() => import('./self-check.ts'))).checkDeterminism(model, gpu.description);
  const pages = createPages(model.pool.pages);
  const { contextLength, logitRows } = model;
  const scheduler = createScheduler({ sequences, batchRows, prefillChunk, logitRows, contextLength }, pages);
  const events = createEventHub();
  const { store, resolve } = options;
  const disk = store && (await openDisk(store, { table: model.shape.table, location: loaded.location, precision }));
  const tiers = createAdapterTiers({ model, precision, pages, events, disk, resolve });
  const core: Core = {
    ...loaded,
    gpu,
    precision,
    pages,
    scheduler,
    tiers,
    disk,
    events,
    loop: createLoop(model, scheduler, tiers, events, DEPTH),
    over: undefined,
    nextId: 0,
  };
  void gpu.lost.then((error) => {
    core.over ??= error;
    core.loop.failAll(error);
  });
  return core;
}

/** An engine without a store does not load the code for one. */
async function openDisk(...given: Parameters<typeof import('../adapters/disk.ts').openAdapterDisk>): Promise<AdapterDisk> {
  const { openAdapterDisk } = await loadPart(() => import('../adapters/disk.ts'));
  return openAdapterDisk(...given);
}

function face(core: Core): CoreEngine {
  const close = async (): Promise<void> => {
    core.over ??= new WebLoraError('closed', 'The engine was closed');
    core.loop.failAll(core.over);
    core.events.close();
    const kept = core.tiers.close(core.over);
    core.model.destroy();
    core.gpu.device.destroy();
    await kept;
  };
  return {
    adapters: adaptersFace(core),
    generate: (prompt, options = {}) => generate(core, prompt, options),
    tokenize: async (prompt) => {
      requireOpen(core);
      return promptTokens(prompt, core.text, core.info.config);
    },
    model: async () => {
      requireOpen(core);
      return core.info;
    },
    stats: async () => {
      requireOpen(core);
      return stats(core);
    },
    events: () => core.events.listen(),
    text: () => core.text,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Starts a request now; whatever is wrong with it comes out of the generation, never out of this call. */
function generate(core: Core, prompt: Prompt, options: GenerateOptions): Generation {
  let request: Request | undefined;
  const stream = createStream((reason) => request && core.loop.cancel(request, reason));
  try {
    checkGenerateOptions(options);
    options.signal?.throwIfAborted();
    if (core.over) throw core.over;
    const adapter = options.adapter === undefined ? undefined : core.tiers.use(options.adapter).key;
    request = createRequest({
      id: core.nextId++,
      prompt: promptTokens(prompt, core.text, core.info.config),
      adapter,
      options,
      contextLength: core.model.contextLength,
      endTokens: core.endTokens,
      tokenizer: core.text.tokenizer,
      stream,
    });
    core.loop.add(request);
    followSignal(core, request, options.signal);
  } catch (error) {
    stream.fail(error);
  }
  return stream.generation;
}

function followSignal({ loop }: Core, request: Request, signal: AbortSignal | undefined): void {
  if (!signal) return;
  const abort = (): void => loop.cancel(request, signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  const forget = (): void => signal.removeEventListener('abort', abort);
  request.stream.generation.result().then(forget, forget);
}

function requireOpen({ over }: Core): void {
  if (over) throw over;
}

/** Options that are not there yet must not be dropped in silence. */
function refuseMore(call: string, rest: readonly unknown[]): void {
  if (rest.length > 0) throw new TypeError(`${call}: unknown option ${JSON.stringify(rest[0])}`);
}

function adaptersFace(core: Core): Adapters {
  const { tiers, scheduler, loop } = core;
  const open = (): void => requireOpen(core);
  return {
    add: async (id, source, ...rest) => {
      open();
      refuseMore('adapters.add', rest);
      if (typeof id !== 'string' || id === '') {
        throw new WebLoraError('request_invalid', `An adapter id is a string that is not empty, not ${String(id)}`, { param: 'id' });
      }
      if (tiers.add(id, source)) tiers.sweep(loop.adaptersInUse());
    },
    load: async (id, { signal, ...rest } = {}) => {
      open();
      refuseMore('adapters.load', Object.keys(rest));
      signal?.throwIfAborted();
      const entry = tiers.use(id);
      await bring(core, entry, signal);
      return describeEntry(entry);
    },
    unload: async (id) => {
      open();
      tiers.unload(id, scheduler.neededAdapters());
    },
    remove: async (id) => {
      open();
      const forgotten = tiers.remove(id);
      tiers.sweep(loop.adaptersInUse());
      await forgotten;
    },
    list: async (...rest) => {
      open();
      refuseMore('adapters.list', rest);
      return tiers.list();
    },
  };
}

async function bring({ tiers, scheduler, pages }: Core, entry: AdapterEntry, signal: AbortSignal | undefined): Promise<void> {
  await tiers.read(entry, signal);
  if (
    await untilAborted(
      tiers.place(entry, () => scheduler.neededAdapters()),
      signal,
    )
  )
    return;
  if (!tiers.entry(entry.key)) throw removed(entry);
  const { total, kv, adapters } = pages.counts();
  const held = `${total} pages (${kv} with requests, ${adapters} with adapters in use)`;
  throw new WebLoraError('out_of_memory', `No room for "${entry.id}" among the pool's ${held}. Wait, or raise memory.pool.`);
}

function stats({ gpu, precision, loop, scheduler, pages, model, disk }: Core): Stats {
  return {
    version: 1,
    device: gpu.description,
    software: gpu.software,
    precision,
    ...loop.counters(),
    ...scheduler.counts(),
    pages: pages.counts(),
    gpuBytes: model.bytes(),
    ...(disk && { store: disk.counters() }),
  };
}
