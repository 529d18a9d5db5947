import type { AdapterDisk } from '../adapters/disk.ts';
import { loadPart, type WebLoraError } from '../errors.ts';
import { createAdapterTiers, type AdapterTiers } from './adapters.ts';
import { createCore, type Core } from './core.ts';
import { createCostEstimate, type CostEstimate } from './cost.ts';
import { openDevice, type ServingDevice } from './device.ts';
import { createEventHub, type EventHub } from './events.ts';
import { openModel, type OpenedModel } from './load.ts';
import { createLoop, type Loop } from './loop.ts';
import type { EngineLimits } from './options.ts';
import { costUnits } from './step-cost.ts';
import { createTally, type Tally } from './tally.ts';
import type { EngineOptions, GpuProvider } from './types.ts';

/** A running engine's parts; see `createEngine` for its face. */
export interface Serving {
  readonly opened: OpenedModel;
  readonly device: ServingDevice;
  readonly core: Core;
  readonly limits: EngineLimits;
  readonly tiers: AdapterTiers;
  readonly disk: AdapterDisk | undefined;
  readonly events: EventHub;
  readonly tally: Tally;
  readonly loop: Loop;
  /** Set once: why the engine takes no more requests. */
  over: unknown;
  nextId: number;
}

/** Opens model and device and puts the parts together. Throws what `createEngine` throws; nothing stays on the GPU then. */
export async function startServing(provider: GpuProvider, options: EngineOptions, limits: EngineLimits): Promise<Serving> {
  const { sequences, batchRows } = limits;
  const opened = await openModel(options);
  const device = await openDevice({
    provider,
    opened,
    precision: options.precision,
    settings: { maxModelLength: options.maxModelLength, poolBytes: options.memory?.pool, sequences, batchRows },
    deterministic: options.deterministic ?? false,
    onProgress: options.onProgress,
    signal: options.signal,
  });
  try {
    return await assemble(options, limits, opened, device);
  } catch (error) {
    await device.destroy();
    throw error;
  }
}

async function assemble(options: EngineOptions, limits: EngineLimits, opened: OpenedModel, device: ServingDevice): Promise<Serving> {
  const { model, precision } = device;
  const events = createEventHub();
  const tally = createTally();
  const disk = options.store && (await openDisk(options.store, { table: model.shape.table, location: opened.location, precision }));
  const tiers = createAdapterTiers({ device, core: () => core, events, disk, resolve: options.resolve });
  const cost: CostEstimate = createCostEstimate(costUnits(model.config, model.shape));
  const core = createCore({
    limits: { ...limits, logitRows: model.logitRows, contextLength: model.contextLength, adjustRows: model.adjustRows },
    pages: model.pool.pages,
    slots: model.pool.slots,
    cost,
    beginnings: options.prefixCache === false ? 'own' : 'shared',
    tenantWeight: (tenant) => limits.fairness.tenants.get(tenant) ?? 1,
    // a blend is no entry and has no name
    flowWeight: (flow) => limits.fairness.adapters.get((flow === '' ? '' : tiers.entry(flow)?.id) as string) ?? 1,
    evicted: tiers.evicted,
  });
  const loop = createLoop({ device, core, cost, tiers, events, tally, onEnd: (error) => (serving.over ??= error) });
  const serving: Serving = { opened, device, core, limits, tiers, disk, events, tally, loop, over: undefined, nextId: 0 };
  return serving;
}

/** An engine without a store does not load the code for one. */
async function openDisk(...given: Parameters<typeof import('../adapters/disk.ts').openAdapterDisk>): Promise<AdapterDisk> {
  const { openAdapterDisk } = await loadPart(() => import('../adapters/disk.ts'));
  return openAdapterDisk(...given);
}

/** Throws why the engine takes no more calls. */
export function requireOpen({ over }: Serving): void {
  if (over !== undefined) throw over as WebLoraError;
}
