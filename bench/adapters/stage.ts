import { createEngine } from 'weblora';
import type { Engine, GpuProvider, Stats, Store, Tier } from 'weblora';
import { spyOn } from '../engine/spy.ts';

/** Where an adapter is when a request comes: `resident` was used before, `gpu` was loaded and never used. */
export const PLACES = ['resident', 'gpu', 'heap', 'disk', 'origin'] as const;
export type Place = (typeof PLACES)[number];

/** What runs the same in Node and in a page. */
export interface Setting {
  readonly gpu: GpuProvider;
  /** Folder of the base. */
  readonly model: string;
  readonly store: Store;
  /** Address of an adapter's folder. */
  readonly address: (id: string) => string;
  /** The bytes of an adapter as the store has them, read without it. */
  readonly stored: (digest: string) => Promise<Uint8Array<ArrayBuffer>>;
}

/** An engine that has one adapter wherever a measurement wants it. */
export interface Stage {
  readonly engine: Engine;
  readonly device: GPUDevice;
  readonly digest: string;
  /** Bytes of the packed adapter. */
  readonly bytes: number;
  /** Brings the adapter to a place and waits until nothing moves any more. Throws `Error` where it is somewhere else then. */
  bring(place: Place): Promise<void>;
  /** Throws `Error` unless what happened since the last `bring` moved the adapter as a first use from there does. */
  check(place: Place): Promise<void>;
  close(): Promise<void>;
}

export const POOL = 64 << 20;
/** Takes the subject's place in memory. */
const OTHER = 'other';
const TIERS: Readonly<Record<Place, Tier>> = { resident: 'gpu', gpu: 'gpu', heap: 'heap', disk: 'disk', origin: 'origin' };
/** What a first use moves: onto the GPU, out of the store, and from the origin. */
const MOVES: Readonly<Record<Place, readonly [number, number, number]>> = {
  resident: [0, 0, 0],
  gpu: [0, 0, 0],
  heap: [1, 0, 0],
  disk: [1, 1, 0],
  origin: [1, 0, 1],
};

/** Opens an engine whose heap holds `id` and nothing beside it. `other`: an adapter that is read to take its place there. */
export async function openStage(setting: Setting, id: string, other: string): Promise<Stage> {
  const spy = spyOn(setting.gpu);
  const { bytes, digest } = await measure(setting, id);
  const engine = await createEngine({
    gpu: spy,
    model: setting.model,
    store: setting.store,
    memory: { pool: POOL, heap: bytes },
  });
  await engine.adapters.add(id, setting.address(id));
  await engine.adapters.add(OTHER, setting.address(other));
  const { adapters } = engine;
  const place = async (): Promise<Tier> => (await adapters.list()).find((found) => found.id === id)!.tier;
  let before = await moved(engine);

  const bring = async (to: Place): Promise<void> => {
    await settle(engine, setting.address(id));
    if (to === 'origin') {
      await adapters.remove(id);
      await adapters.add(id, setting.address(id));
    } else {
      await adapters.load(id);
      await adapters.unload(id);
      if (to === 'disk') {
        await adapters.load(OTHER);
        await adapters.unload(OTHER);
      }
      if (to === 'gpu' || to === 'resident') await adapters.load(id);
    }
    if (to === 'resident') await engine.generate([65, 66, 67], { adapter: id, maxTokens: 2, ignoreEos: true }).result();
    await settle(engine, setting.address(id));
    await spy.device().queue.onSubmittedWorkDone();
    const now = await place();
    if (now !== TIERS[to]) throw new Error(`${id} was to be brought to ${TIERS[to]} and is in ${now}`);
    before = await moved(engine);
  };
  return {
    engine,
    device: spy.device(),
    digest,
    bytes,
    bring,
    check: async (from) => {
      const now = (await moved(engine)).map((count, i) => count - before[i]!);
      if (now.join() !== MOVES[from].join()) {
        throw new Error(
          `The first use of ${id} from ${from} made ${now.join(', ')} loads from heap, disk and origin; ${MOVES[from].join(', ')} are due`,
        );
      }
    },
    close: () => engine.close(),
  };
}

async function moved(engine: Engine): Promise<readonly number[]> {
  const { gpu, disk, origin }: Stats['tiers'] = (await engine.stats()).tiers;
  return [gpu.loads, disk.hits, origin.loads];
}

/** What it takes in memory; it lies in the store from then on. */
async function measure({ gpu, model, store, address }: Setting, id: string): Promise<{ readonly bytes: number; readonly digest: string }> {
  const engine = await createEngine({ gpu, model, store, memory: { pool: POOL } });
  try {
    await engine.adapters.add(id, address(id));
    const { bytes, digest } = await engine.adapters.load(id);
    return { bytes: bytes!, digest: digest! };
  } finally {
    await engine.close();
  }
}

/**
 * Waits until the store has all that is on its way there: its changes are made one after another, so who comes back from one knows that
 * those before it are done. Twice, as what is known of an adapter is noted once its bytes are safe.
 */
export async function settle({ adapters }: Engine, address: string): Promise<void> {
  for (let i = 0; i < 2; i++) {
    await adapters.add('nobody', address);
    await adapters.remove('nobody');
  }
}
