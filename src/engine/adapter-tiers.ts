import type { Placement } from '../adapters/cache.ts';
import type { AdapterDisk, DiskOwner } from '../adapters/disk.ts';
import type { Move } from '../adapters/lower-tiers.ts';
import type { Unblendable } from '../adapters/sites.ts';
import type { Part } from '../model/plan.ts';
import type { ModelTensors } from '../model/tensors.ts';
import type { Slices } from '../slices.ts';
import type { AdapterEntry } from './adapter-entry.ts';
import type { AdapterStoreParts, OpenedStore } from './adapter-store.ts';
import type { Core } from './core.ts';
import type { ServingDevice } from './device.ts';
import type { EventHub } from './events.ts';
import type { EngineLimits } from './options.ts';
import type { Pace } from './pace.ts';
import type { Stats, Tier } from './report-types.ts';
import type { Sequence, SequencePart } from './sequence.ts';
import type { TierMeter } from './tier-meter.ts';
import type { AdapterInfo, EngineOptions, LoadOptions, Source } from './types.ts';

/** Origin → disk → heap → GPU for every registered adapter: ids, and the moving that `core` decides. */
export interface AdapterTiers {
  /** Registers an id. Throws `adapter_exists` where it has another source that is not to be replaced. */
  add(id: string, source: Source, existing: 'keep' | 'replace'): void;
  /** The entry that a request is to use; its origin is asked beside it where that is due. Throws `adapter_unknown`. */
  use(id: string): AdapterEntry;
  entry(key: string): AdapterEntry | undefined;
  /** Why it cannot be blended with others; empty where it can, or where nothing is known of its bytes yet. By key. */
  unblendable(key: string): readonly Unblendable[];
  /** Reads a content into memory, once for all who ask; ends when all who ask have left by their signal. Throws what reading throws. */
  read(content: string, signal: AbortSignal): Promise<void>;
  moved(move: Move): void;
  write(content: string, placement: Placement): void;
  upload(ms: number): 'none' | 'done' | 'more';
  /** A resident adapter's part in a request's rows. */
  part(part: SequencePart): Part;
  /** Brings it to the GPU. Throws what reading throws, and `out_of_memory` where there is no room beside running requests. */
  load(id: string, options: LoadOptions, keep: 'pinned' | 'as is'): Promise<AdapterInfo>;
  unpin(id: string): void;
  /** Frees its place on the GPU, unless another id of the same bytes is pinned. Throws `adapter_busy` where a running request uses it. */
  unload(id: string): void;
  /** Forgets the id at once, and then in the store; its bytes go when the last request that uses it has ended. */
  remove(id: string): Promise<void>;
  /** Drops removed adapters that no open request, running or waiting, uses; who still loads one gets `adapter_unknown`. */
  sweep(): void;
  list(tier: Tier | undefined, limit: number): AdapterInfo[];
  /** The device is gone, and all that was on it. */
  lost(): void;
  readonly meter: TierMeter;
  report(pool: { readonly bytes: number }): Pick<Stats, 'tiers' | 'registered'>;
  /** Ends every read with this reason. Fulfilled when the store has taken what was on its way there. */
  close(reason: unknown): Promise<void>;
}

/** What an engine without a store does not load. */
export interface StorePart {
  open(owner: DiskOwner): Promise<AdapterDisk>;
  create(parts: () => AdapterStoreParts): OpenedStore;
}

export interface AdapterTiersParts {
  readonly device: Pick<ServingDevice, 'model' | 'precision' | 'reserveRank' | 'reserveTraits' | 'checkRoom'>;
  /** The base's. */
  readonly files: ModelTensors;
  readonly events: EventHub;
  readonly pace: Pace;
  /** What all that is read and kept takes turns by. */
  readonly slices: Slices;
  readonly options: Pick<EngineOptions, 'resolve' | 'hubToken' | 'hubEndpoint'>;
  readonly limits: Pick<EngineLimits, 'heapBytes' | 'diskBytes' | 'revalidateAfter'>;
  /** The store, where there is one. */
  readonly store: StorePart | undefined;
}

/** What is made after the tiers. */
export interface AdapterUsers {
  readonly core: Pick<Core, 'cache' | 'traffic' | 'lower' | 'contents' | 'inUse' | 'isNeeded'>;
  /** Keys of the adapters of open requests. */
  readonly inUse: () => ReadonlySet<string>;
  /** Something changed that may let a request run. */
  readonly wake: () => void;
  /** Those of the requests that need a content end for which there is an error. */
  readonly refuse: (content: string, errorOf: (sequence: Pick<Sequence, 'parts'>) => unknown) => void;
  /** Requests that began with other bytes than an adapter has now cannot go on. */
  readonly changed: (entry: AdapterEntry) => void;
}
