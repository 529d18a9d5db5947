import type { PoolMemory } from '../gpu/pool-memory.ts';
import type { PackedAdapter, SiteTable } from './sites.ts';

/** Where an adapter lies on the GPU. */
export interface Placement {
  /** The number by which kernels name it; 0 is no adapter and never given. */
  readonly slot: number;
  readonly firstPage: number;
  readonly pages: number;
}

/** Contiguous runs of pages, as the page allocator gives them. */
export interface PageRuns {
  takeRun(count: number): number | undefined;
  giveRun(first: number, count: number): void;
}

/** Puts packed adapters into the pool's pages and names them to the kernels. */
export interface AdapterPool {
  /** Pages it takes: the same in every layer, so the widest layer decides. */
  pagesOf(adapter: PackedAdapter): number;
  /** Writes it and its descriptors; undefined where no run of pages, or no slot, is free. Ordered before every later step. */
  place(adapter: PackedAdapter): Placement | undefined;
  /** Frees its pages and slot. Steps submitted before still see it; its descriptors are rewritten by whoever gets the slot. */
  remove(placement: Placement): void;
}

const DESCRIPTOR_WORDS = 8;
const QUAD_BYTES = { exact: 16, half: 8 } as const;

export function createAdapterPool(memory: PoolMemory, table: SiteTable, runs: PageRuns): AdapterPool {
  const freeSlots = Array.from({ length: memory.slots - 1 }, (_, i) => memory.slots - 1 - i);
  const pagesOf = (adapter: PackedAdapter): number => {
    const widest = Math.max(...adapter.layers.map((layer) => layer.words.byteLength));
    return Math.max(1, Math.ceil(widest / memory.pageBytes));
  };
  return {
    pagesOf,
    place: (adapter) => {
      const slot = freeSlots.at(-1);
      if (slot === undefined) return undefined;
      const pages = pagesOf(adapter);
      const firstPage = runs.takeRun(pages);
      if (firstPage === undefined) return undefined;
      freeSlots.pop();
      const byteOffset = firstPage * memory.pageBytes;
      for (let layer = 0; layer < table.layers; layer++) {
        const { words } = adapter.layers[layer]!;
        if (words.length > 0) memory.write(layer, byteOffset, words);
        memory.describe(layer, slot, descriptors(adapter, layer, byteOffset, table));
      }
      return { slot, firstPage, pages };
    },
    remove: ({ slot, firstPage, pages }) => {
      runs.giveRun(firstPage, pages);
      freeSlots.push(slot);
    },
  };
}

/** One layer's row of the descriptor table: `{ offA, offB, rank, scale, outStart, outCount, gain, bias }` a site, offsets in quads. */
function descriptors(adapter: PackedAdapter, layer: number, byteOffset: number, table: SiteTable): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(table.sites.length * DESCRIPTOR_WORDS);
  const floats = new Float32Array(words.buffer);
  const base = byteOffset / QUAD_BYTES[adapter.precision];
  for (const { site, offsetA, offsetB, rank4, scale } of adapter.layers[layer]!.matrices) {
    const { outStart, outWidth } = table.sites[site]!;
    const at = site * DESCRIPTOR_WORDS;
    words[at] = base + offsetA;
    words[at + 1] = base + offsetB;
    words[at + 2] = rank4;
    floats[at + 3] = scale;
    words[at + 4] = outStart;
    words[at + 5] = outWidth;
  }
  return words;
}
