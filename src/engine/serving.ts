import type { DiskModel } from '../adapters/disk.ts';
import type { Store } from '../adapters/store.ts';
import { loadPart, type WebLoraError } from '../errors.ts';
import type { AdapterTiers, StorePart } from './adapter-tiers.ts';
import { openAdapterTiers } from './adapters.ts';
import { isHubId } from '../formats/folder.ts';
import { findAdapter } from '../gpu/device.ts';
import { createCore, type Core } from './core.ts';
import { createCostEstimate, type CostEstimate } from './cost.ts';
import { openDevice, type ServingDevice } from './device.ts';
import { createEventHub, type EventHub } from './events.ts';
import { openModel, type OpenedModel } from './load.ts';
import { createLoop, type Loop } from './loop.ts';
import type { EngineLimits } from './options.ts';
import { realPace, type Pace } from './pace.ts';
import { windowOf } from '../model/config.ts';
import { untilAborted } from './shared-task.ts';
import { createSlices } from '../slices.ts';
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
  readonly events: EventHub;
  readonly tally: Tally;
  readonly loop: Loop;
  readonly pace: Pace;
  /** Set once: why the engine takes no more requests. */
  over: unknown;
  nextId: number;
}

/** What a run that is to be repeated exactly brings of its own. */
export interface Seams {
  readonly pace?: Pace;
  readonly cost?: CostEstimate;
  readonly events?: EventHub;
}

/** Opens model and device and puts the parts together. Throws what `createEngine` throws; nothing stays on the GPU then. */
export async function startServing(
  provider: GpuProvider,
  options: EngineOptions,
  limits: EngineLimits,
  seams: Seams = {},
): Promise<Serving> {
  const { sequences, batchRows } = limits;
  // nobody fetches gigabytes for a device that is not there
  if (typeof options.model === 'string' && isHubId(options.model)) await findAdapter(provider);
  const opened = await openModel(options);
  const device = await openDevice({
    provider,
    opened,
    precision: options.precision,
    quantize: options.quantize,
    kernels: options.kernels,
    store: options.store,
    settings: { maxModelLength: options.maxModelLength, poolBytes: options.memory?.pool, sequences, batchRows },
    deterministic: options.deterministic ?? false,
    onProgress: options.onProgress,
    signal: options.signal,
  });
  try {
    return await assemble({ options, limits, opened, device, seams });
  } catch (error) {
    await device.destroy();
    throw error;
  }
}

/** What an engine is put together from. */
export interface Assembly {
  readonly options: EngineOptions;
  readonly limits: EngineLimits;
  readonly opened: OpenedModel;
  readonly device: ServingDevice;
  readonly seams: Seams;
}

/** Puts the parts together around a device that has its model. Throws `TypeError`, `file_unreadable` and the signal's reason as `startServing`. */
export async function assemble({ options, limits, opened, device, seams }: Assembly): Promise<Serving> {
  const { model, precision } = device;
  const { pace = realPace, cost = createCostEstimate(costUnits(model.config, model.shape)), events = createEventHub() } = seams;
  const tally = createTally();
  const { store } = options;
  const slices = createSlices();
  const scope = { table: model.shape.table, location: opened.location, precision, slices };
  const part = store && (await loadStore(store, scope));
  const opening = openAdapterTiers({ device, files: opened.files, events, pace, slices, options, limits, store: part });
  const { tiers, join } = await untilAborted(opening, options.signal);
  const core = createCore({
    limits: {
      ...limits,
      logitRows: model.logitRows,
      contextLength: model.contextLength,
      adjustRows: model.adjustRows,
      window: windowOf(model.config),
    },
    pages: model.pool.pages,
    slots: model.pool.slots,
    heapBytes: limits.heapBytes,
    diskBytes: store ? limits.diskBytes : 0,
    cost,
    beginnings: options.prefixCache === false ? 'own' : 'shared',
    tenantWeight: (tenant) => limits.fairness.tenants.get(tenant) ?? 1,
    // a blend is no entry and has no name
    flowWeight: (flow) => limits.fairness.adapters.get((flow === '' ? '' : tiers.entry(flow)?.id) as string) ?? 1,
    moved: tiers.moved,
  });
  const onEnd = (error: unknown): void => {
    serving.over ??= error;
    void tiers.close(error); // who loads an adapter is told, too
  };
  const loop = createLoop({ device, core, cost, tiers, events, tally, pace, onEnd });
  options.signal?.throwIfAborted(); // who gave up meanwhile would not close what comes now
  join({ core, inUse: loop.adaptersInUse, wake: loop.wake, refuse: loop.refuse, changed: loop.changed });
  const serving: Serving = { opened, device, core, limits, tiers, events, tally, loop, pace, over: undefined, nextId: 0 };
  return serving;
}

async function loadStore(store: Store, model: DiskModel): Promise<StorePart> {
  const [{ openAdapterDisk }, { createAdapterStore }] = await Promise.all([
    loadPart(() => import('../adapters/disk.ts')),
    loadPart(() => import('./adapter-store.ts')),
  ]);
  return { open: (owner) => openAdapterDisk(store, model, owner), create: createAdapterStore };
}

/** Throws why the engine takes no more calls. */
export function requireOpen({ over }: Serving): void {
  if (over !== undefined) throw over as WebLoraError;
}
