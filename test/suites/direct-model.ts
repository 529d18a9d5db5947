import { readAdapter } from '../../src/adapters/adapter.ts';
import { readGgufAdapter } from '../../src/adapters/gguf-adapter.ts';
import { createAdapterCache } from '../../src/adapters/cache.ts';
import { createAdapterPool } from '../../src/adapters/pool.ts';
import { traitsOf } from '../../src/adapters/sites.ts';
import { createPages } from '../../src/engine/pages.ts';
import { openModel } from '../../src/engine/load.ts';
import type { GpuProvider, Source } from '../../src/engine/types.ts';
import type { Folder } from '../../src/formats/folder.ts';
import { openGpu, type Gpu } from '../../src/gpu/device.ts';
import { PAGE_TOKENS } from '../../src/kernels/step-layout.ts';
import { NARROW, type KernelSet } from '../../src/kernels/variants.ts';
import { ggufNamesOf } from '../../src/model/gguf-names.ts';
import { buildModel, type Model } from '../../src/model/model.ts';
import type { Part, StepItem } from '../../src/model/plan.ts';
import type { Quantization } from '../../src/model/plane-types.ts';

/** What a GGUF LoRA is called here. */
export const GGUF_ADAPTER = 'adapter.gguf';

/** A model without an engine: steps are what the suite says, and raw logits come back. */
export interface DirectModel extends AsyncDisposable {
  readonly gpu: Gpu;
  readonly model: Model;
  /** Puts an adapter into the pool. */
  place(adapter: Folder): Promise<Part>;
  /** Takes it out again. */
  drop(part: Part): void;
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
export async function openDirectModel(provider: GpuProvider, source: Source, settings: DirectSettings): Promise<DirectModel> {
  const { precision, quantize, sequences = 64, batchRows = 1024, poolBytes = 16 << 20, depth = 2, kernels = NARROW } = settings;
  const { config, files } = await openModel({ model: source });
  const gpu = await openGpu(provider);
  const model = await buildModel(
    gpu,
    files,
    config,
    { precision, quantize, maxModelLength: undefined, poolBytes, sequences, batchRows, depth, kernels },
    { onProgress: () => undefined, signal: undefined },
  );
  const pages = createPages(model.pool.pages);
  const pool = createAdapterPool(model.pool, model.shape.table, { finisher: model.finisher });
  const cache = createAdapterCache(pages, model.pool.slots, () => 0);
  const placed = new Map<number, string>();
  let count = 0;
  const held = new Map<number, readonly number[]>();
  return {
    gpu,
    model,
    place: async (adapter) => {
      const isGguf = (await adapter.size(GGUF_ADAPTER)) !== undefined;
      const packed = isGguf
        ? await readGgufAdapter(adapter, GGUF_ADAPTER, model.shape.table, ggufNamesOf(config), precision)
        : await readAdapter(adapter, model.shape.table, precision);
      const traits = traitsOf(packed);
      await model.reserveRank(packed.rank4);
      await model.reserveTraits(traits);
      const placement = cache.place(`adapter ${count++}`, pool.pagesOf(packed));
      if (!placement) throw new Error(`No room in the pool for ${adapter.location}`);
      placed.set(placement.slot, `adapter ${count - 1}`);
      await pool.write(placement, packed);
      return { slot: placement.slot, scale: 1, rank4: packed.rank4, traits };
    },
    drop: ({ slot }) => {
      cache.evict(placed.get(slot)!);
      pool.release(slot);
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
