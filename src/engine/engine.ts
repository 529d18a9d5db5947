import { WebLoraError } from '../errors.ts';
import { adaptersFace } from './adapters-face.ts';
import { blendError } from './blend.ts';
import { promptTokens } from './load.ts';
import { onAbort } from '../formats/on-abort.ts';
import { providerOf } from './provider.ts';
import { checkEngineOptions, checkGenerateOptions } from './options.ts';
import { createRequest, type Request } from './request.ts';
import type { SequencePart } from './sequence.ts';
import { requireOpen, startServing, type Serving } from './serving.ts';
import { createStream } from './stream.ts';
import type { CoreEngine, EngineOptions, GenerateOptions, Generation, ModelInfo, Prompt, Stats } from './types.ts';

/**
 * Loads a model and runs it in this thread.
 * @throws TypeError for unknown options. @throws WebLoraError `gpu_missing`, `out_of_memory`, `not_deterministic`, `request_invalid`,
 * and what reading the model's files throws; nothing stays on the GPU then.
 */
export async function createEngine(options: EngineOptions): Promise<CoreEngine> {
  const limits = checkEngineOptions(options);
  return engineFace(await startServing(providerOf(options.gpu), options, limits));
}

/** The face of an engine that is put together. */
export function engineFace(serving: Serving): CoreEngine {
  const { device, events, loop, opened, tiers } = serving;
  const open = (): void => requireOpen(serving);
  const info: ModelInfo = { ...opened.info, maxModelLength: device.model.contextLength };
  const close = async (): Promise<void> => {
    serving.over ??= new WebLoraError('closed', 'The engine was closed');
    loop.failAll(serving.over);
    events.close();
    const kept = tiers.close(serving.over);
    await Promise.all([kept, device.destroy()]);
  };
  return {
    adapters: adaptersFace(serving),
    generate: (prompt, options = {}) => generate(serving, prompt, options),
    tokenize: async (prompt) => {
      open();
      return promptTokens(prompt, opened.text, opened.config);
    },
    model: async () => {
      open();
      return info;
    },
    stats: async () => {
      open();
      return stats(serving);
    },
    events: () => events.listen(),
    text: () => opened.text,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Starts a request now; whatever is wrong with it comes out of the generation, never out of this call. */
function generate(serving: Serving, prompt: Prompt, options: GenerateOptions): Generation {
  const { device, loop, opened, pace } = serving;
  const arrival = pace.now();
  let request: Request | undefined;
  const stream = createStream((reason) => request && loop.cancel(request, reason));
  try {
    const { config, text, endTokens } = opened;
    checkGenerateOptions(options, config.vocabSize);
    options.signal?.throwIfAborted();
    requireOpen(serving);
    requireRoom(serving);
    request = createRequest({
      id: serving.nextId++,
      prompt: promptTokens(prompt, text, config),
      parts: partsOf(serving, options.adapter),
      arrival,
      options: { ...options, logitBias: { ...options.logitBias } }, // read later, and the caller may go on with its own
      contextLength: device.model.contextLength,
      endTokens,
      tokenizer: text.tokenizer,
      stream,
    });
    loop.add(request);
    followSignal(serving, request, options.signal);
  } catch (error) {
    stream.fail(error);
  }
  return stream.generation;
}

function partsOf({ device, tiers, limits }: Serving, adapter: GenerateOptions['adapter'] = []): readonly SequencePart[] {
  const parts = typeof adapter === 'string' ? [{ id: adapter, scale: 1 }] : adapter;
  const distinct = new Set(parts.map(({ id }) => id)).size;
  if (distinct > limits.adapters) {
    const message = `A blend of ${distinct} adapters is more than may run at once, limits.adapters: ${limits.adapters}. Raise it, or blend fewer.`;
    throw new WebLoraError('request_invalid', message, { param: 'adapter' });
  }
  const most = device.model.partsPerRow();
  if (parts.length > most) {
    const message = `A blend of ${parts.length} adapters beside ${limits.batchRows} rows is more than this device binds; at most ${most}. Lower limits.batchRows.`;
    throw new WebLoraError('request_invalid', message, { param: 'adapter' });
  }
  const used = parts.map(({ id, scale }) => ({ adapter: tiers.use(id).key, scale }));
  const error = blendError(used, tiers);
  if (error) throw error;
  return used;
}

function requireRoom({ core, limits, loop, tally }: Serving): void {
  const places = limits.sequences - core.scheduler.counts().running; // who comes in one turn with others may still run at once
  const waiting = loop.waiting();
  if (waiting < limits.queue + places) return;
  tally.overloaded();
  throw new WebLoraError('overloaded', `${waiting} requests wait; limits.queue is ${limits.queue}. Try again later, or raise it.`);
}

function followSignal({ loop }: Serving, request: Request, signal: AbortSignal | undefined): void {
  if (!signal) return;
  const forget = onAbort(signal, () => loop.cancel(request, signal.reason));
  request.stream.generation.result().then(forget, forget);
}

function stats({ device, core, loop, pace, tally, tiers }: Serving): Stats {
  const now = pace.now();
  const { running, preemptions, prefix } = core.scheduler.counts();
  const { pageBytes, pages, layers } = device.model.pool;
  const oldest = core.queue.oldest();
  return {
    version: 1,
    device: device.gpu.description,
    software: device.gpu.software,
    precision: device.precision,
    ...(device.quantize === undefined ? {} : { quantize: device.quantize }),
    kernels: device.kernels,
    waiting: loop.waiting(),
    running,
    oldestWaitMs: oldest === undefined ? 0 : now - oldest,
    preemptions,
    prefix,
    ...tally.report(now),
    ...tiers.report({ bytes: pages * pageBytes * layers.length }),
    depth: loop.depth(),
    readbackMs: device.readbackMs,
    pages: core.pages.counts(),
    deviceLosses: device.losses,
    gpuBytes: device.model.bytes(),
  };
}
