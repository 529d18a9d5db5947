import { readAdapter } from '../../src/adapters/adapter.ts';
import { createCostEstimate } from '../../src/engine/cost.ts';
import { engineFace } from '../../src/engine/engine.ts';
import { createEventHub } from '../../src/engine/events.ts';
import type { OpenedModel } from '../../src/engine/load.ts';
import { checkEngineOptions } from '../../src/engine/options.ts';
import { assemble } from '../../src/engine/serving.ts';
import type { AdapterEvent, CoreEngine, EngineOptions, GenerateOptions, Stats, Tier } from '../../src/engine/types.ts';
import type { Folder } from '../../src/formats/folder.ts';
import { answerOf, createFakeDevice, type FakeDevice } from './engine-fake-device.ts';
import { TABLE, memoryFolder, pair, randomNumbers, safetensors } from './files.ts';

const CONFIG = { peft_type: 'LORA', r: 4, lora_alpha: 4, target_modules: ['q_proj'] };
/** What an adapter of `dropped` takes in memory, exact; on the device each takes a page in both layers. */
export const ADAPTER_BYTES = 768;
export const PLACE_BYTES = 2048;

/** An adapter's files; another seed is another adapter. */
export function adapterFiles(seed: number): Record<'adapter_config.json' | 'adapter_model.safetensors', Uint8Array<ArrayBuffer>> {
  const tensors = [0, 1].flatMap((layer) => pair(layer, 'self_attn.q_proj', 4, randomNumbers(seed + 1000 * layer)));
  return { 'adapter_config.json': new TextEncoder().encode(JSON.stringify(CONFIG)), 'adapter_model.safetensors': safetensors(tensors) };
}

/** A folder that looks dropped: it has a name, no address. */
export function dropped(location: string, seed: number): Folder {
  return { ...memoryFolder(adapterFiles(seed)), location };
}

/** The same as files. */
export function files(name: string, seed: number): File[] {
  return Object.entries(adapterFiles(seed)).map(([part, bytes]) => {
    const made = new File([bytes], part);
    Object.defineProperty(made, 'webkitRelativePath', { value: `${name}/${part}` });
    return made;
  });
}

/** What a request under `dropped(…, seed)` answers with every token. */
export async function answer(seed: number, precision: 'exact' | 'half' = 'exact'): Promise<number> {
  return answerOf(await readAdapter(dropped('', seed), TABLE, precision));
}

export interface Opened {
  readonly engine: CoreEngine;
  readonly adapters: CoreEngine['adapters'];
  readonly device: FakeDevice;
  /** What was told of adapters so far. */
  readonly events: readonly AdapterEvent[];
  /** The same as `kind tier id`. */
  told(): string[];
  /** The first token of an answer under an adapter. */
  ask(adapter: GenerateOptions['adapter'], options?: GenerateOptions): Promise<number>;
  /** Brings an adapter to the GPU; its digest. */
  load(id: string): Promise<string>;
  /** Id, source and tier of every adapter. */
  list(): Promise<(readonly [string, string, Tier])[]>;
  tierOf(id: string): Promise<Tier | undefined>;
  tiers(): Promise<Stats['tiers']>;
  /** Ends the engine when the store has everything. */
  close(): Promise<void>;
}

export interface OpenOptions extends Partial<EngineOptions> {
  readonly pages?: number;
  readonly slots?: number;
  readonly location?: string;
  readonly writeMs?: number;
}

/** An engine whose device and base model are made up; all else is as `createEngine` puts it together. */
export async function open(given: OpenOptions = {}): Promise<Opened> {
  const { pages = 64, slots = 16, location = 'm', writeMs = 0, ...more } = given;
  const options: EngineOptions = { model: location, precision: 'exact', ...more };
  const { precision = 'exact' } = options;
  const limits = checkEngineOptions(options);
  const device = createFakeDevice({ pages, slots, precision, writeMs });
  const { serving: served } = device;
  const told: AdapterEvent[] = [];
  const hub = createEventHub();
  const events: typeof hub = { ...hub, heard: () => 'yes', adapter: (event) => (told.push(event), hub.adapter(event)) };
  const opened = { config: served.model.config, text: {}, endTokens: new Set(), info: {}, location } as unknown as OpenedModel;
  const cost = createCostEstimate({ row: 1, logitRow: 1, key: 1, loraRow: 1 });
  const serving = await assemble({ options, limits, opened, device: served, seams: { cost, events } });
  const engine = engineFace(serving);
  const { adapters } = engine;
  const list = async (): Promise<(readonly [string, string, Tier])[]> =>
    (await adapters.list()).map(({ id, source, tier }) => [id, source, tier] as const);
  return {
    ...{ engine, adapters, device, events: told, list },
    told: () => told.map(({ kind, tier, id }) => `${kind} ${tier} ${id}`),
    ask: async (adapter, asked = {}) =>
      (await engine.generate([1, 2, 3], { maxTokens: 2, ...asked, ...(adapter && { adapter }) }).result()).tokens[0]!,
    load: async (id) => (await adapters.load(id)).digest!,
    tierOf: async (id) => (await list()).find(([name]) => name === id)?.[2],
    tiers: async () => (await engine.stats()).tiers,
    close: () => engine.close(),
  };
}
