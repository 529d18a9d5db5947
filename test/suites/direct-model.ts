import { readAdapter } from '../../src/adapters/adapter.ts';
import { createAdapterCache } from '../../src/adapters/cache.ts';
import { createAdapterPool } from '../../src/adapters/pool.ts';
import { traitsOf } from '../../src/adapters/sites.ts';
import { createPages } from '../../src/engine/pages.ts';
import type { GpuProvider } from '../../src/engine/types.ts';
import { readJson, type Folder } from '../../src/formats/folder.ts';
import { openSafetensors } from '../../src/formats/safetensors.ts';
import { openGpu } from '../../src/gpu/device.ts';
import { parseModelConfig } from '../../src/model/config.ts';
import { PAGE_TOKENS } from '../../src/kernels/step-layout.ts';
import { NARROW, type KernelSet } from '../../src/kernels/variants.ts';
import { buildModel, type Model } from '../../src/model/model.ts';
import type { Part, StepItem } from '../../src/model/plan.ts';
import type { Quantization } from '../../src/model/plane-types.ts';

/** A model without an engine: steps are what the suite says, and raw logits come back. */
export interface DirectModel extends AsyncDisposable {
  readonly model: Model;
  /** Puts an adapter into the pool. */
  place(adapter: Folder): Promise<Part>;
  /** Gives a sequence's slot pages for this many tokens, taken at the lowest free place. */
  open(slot: number, tokens: number): readonly number[];
  /** Frees them. */
  close(slot: number): void;
}

export interface DirectSettings {
  readonly precision: 'exact' | 'half';
  /** What weights are rounded to; default nothing. */
  readonly quantize?: Quantization;
  readonly sequences?: number;
  readonly batchRows?: number;
  readonly poolBytes?: number;
  /** Steps that may be in flight at once; default 2. */
  readonly depth?: number;
  readonly kernels?: KernelSet;
}

/** Builds a model on the provider's device. Throws what building throws. */
export async function openDirectModel(provider: GpuProvider, folder: Folder, settings: DirectSettings): Promise<DirectModel> {
  const { precision, quantize, sequences = 64, batchRows = 1024, poolBytes = 16 << 20, depth = 2, kernels = NARROW } = settings;
  const gpu = await openGpu(provider);
  const config = parseModelConfig(await readJson(folder, 'config.json'), folder.location);
  const model = await buildModel(
    gpu,
    await openSafetensors(folder, 'model'),
    config,
    { precision, quantize, maxModelLength: undefined, poolBytes, sequences, batchRows, depth, kernels },
    { onProgress: () => undefined, signal: undefined },
  );
  const pages = createPages(model.pool.pages);
  const pool = createAdapterPool(model.pool, model.shape.table, { finisher: model.finisher });
  const cache = createAdapterCache(pages, model.pool.slots, () => 0);
  let placed = 0;
  const held = new Map<number, readonly number[]>();
  return {
    model,
    place: async (adapter) => {
      const packed = await readAdapter(adapter, model.shape.table, precision);
      const traits = traitsOf(packed);
      await model.reserveRank(packed.rank4);
      await model.reserveTraits(traits);
      const placement = cache.place(`adapter ${placed++}`, pool.pagesOf(packed));
      if (!placement) throw new Error(`No room in the pool for ${adapter.location}`);
      await pool.write(placement, packed);
      return { slot: placement.slot, scale: 1, rank4: packed.rank4, traits };
    },
    open: (slot, tokens) => {
      const taken = pages.take(Math.ceil(tokens / PAGE_TOKENS));
      if (!taken) throw new Error(`No pages for ${tokens} tokens`);
      held.set(slot, taken);
      model.setPages(slot, 0, taken);
      return taken;
    },
    close: (slot) => {
      pages.give(held.get(slot) ?? []);
      held.delete(slot);
    },
    [Symbol.asyncDispose]: async () => {
      model.destroy();
      gpu.device.destroy();
    },
  };
}

/** A chunk of a prompt whose rows' logits all come back. */
export function promptChunk(slot: number, prompt: readonly number[], start: number, count: number, part: Part | undefined): StepItem {
  return {
    slot,
    start,
    count,
    tokens: prompt.slice(start, start + count),
    parts: part ? [part] : [],
    logitRows: count,
    logits: 'read',
    sampler: undefined,
  };
}
