import { WebLoraError } from '../errors.ts';
import type { CoreEngine, ModelInfo, Store } from '../engine/types.ts';
import type { LoraModule, ModelArguments } from './cli-arguments.ts';
import { downloadLine } from './cli-download.ts';
import { say } from './cli-host.ts';
import type { Host } from './cli-host.ts';

/** A command's answers share the device with nobody's: their prompts need not be cut for the sake of smooth streams. */
const STEP_MS = 1000;

/**
 * Starts an engine, loads every adapter and says on standard error how long the context is. Throws `WebLoraError`; an adapter that
 * cannot be served is named as the user named it, and nothing is left running.
 */
export async function startEngine(args: ModelArguments, host: Host): Promise<CoreEngine> {
  const gpu = await host.dawn({ software: args.software, onNotice: (line) => say(host, line) });
  const download = downloadLine(host);
  const starting = host.createEngine({
    model: args.model,
    onProgress: download.show,
    gpu,
    deterministic: args.deterministic,
    signal: host.signal,
    limits: { ...args.limits, stepMs: STEP_MS },
    prefixCache: args.prefixCache,
    ...(args.precision === undefined ? {} : { precision: args.precision }),
    ...(args.quantize === undefined ? {} : { quantize: args.quantize }),
    ...(args.kernels === undefined ? {} : { kernels: args.kernels }),
    ...(args.maxModelLength === undefined ? {} : { maxModelLength: args.maxModelLength }),
    memory: args.memory,
    ...(args.store === undefined ? {} : { store: await openStore(args.store) }),
  });
  const engine = await starting.finally(download.end);
  try {
    for (const module of args.modules) await loadModule(engine, module, host);
    const info = await engine.model();
    say(host, contextLine(info, args.maxModelLength));
    if (info.ignoredDefaults.length > 0) {
      say(host, `generation_config.json: not served and left out: ${info.ignoredDefaults.join(', ')}`);
    }
    return engine;
  } catch (error) {
    await engine.close();
    throw error;
  }
}

async function openStore(path: string): Promise<Store> {
  const { folderStore } = await import('../node/folder-store.ts');
  return folderStore(path);
}

async function loadModule(engine: CoreEngine, module: LoraModule, host: Host): Promise<void> {
  try {
    // The store may know the name from an earlier run, and with another source: what was typed now is meant.
    await engine.adapters.add(module.name, module.source, { replace: true });
    await loadNow(engine, module, host);
  } catch (error) {
    if (!(error instanceof WebLoraError)) throw error;
    throw new WebLoraError(error.code, `adapter '${module.name}' (${module.source}) cannot be served: ${error.message}`, {
      cause: error,
    });
  }
}

/** As its origin has it now: it may have been trained anew since the store kept it. What the store has where the origin cannot be asked. */
async function loadNow({ adapters }: CoreEngine, { name, source }: LoraModule, host: Host): Promise<void> {
  const { signal } = host;
  try {
    await adapters.load(name, { signal, revalidate: true });
  } catch (error) {
    if (!(error instanceof WebLoraError) || error.code !== 'file_unreadable') throw error;
    const known = (await adapters.list()).find(({ id }) => id === name);
    if (known?.digest === undefined) throw error;
    await adapters.load(name, { signal });
    say(host, `adapter '${name}' (${source}) is served as it was kept, unasked whether it changed: ${error.message}`);
  }
}

/** The context's length, and why it is what it is. */
export function contextLine(info: ModelInfo, asked: number | undefined): string {
  const { contextLength } = info.config;
  const tokens = info.maxModelLength;
  if (tokens === asked) return `context: ${tokens} tokens (--max-model-len; the config allows ${contextLength})`;
  if (tokens === contextLength) return `context: ${tokens} tokens (config)`;
  return `context: ${tokens} tokens (what the pool can hold; the config allows ${contextLength}; see --pool-memory)`;
}
