import type { PoolMemory } from '../gpu/pool-memory.ts';
import type { Placement } from './cache.ts';
import type { PackedAdapter, SiteTable } from './sites.ts';

/** Puts packed adapters where the cache says and names them to the kernels. Who leaves needs no write: whoever gets the place overwrites it. */
export interface AdapterPool {
  /** Pages it takes: the same in every layer, so the widest layer decides. */
  pagesOf(adapter: PackedAdapter): number;
  /**
   * Writes it and its descriptors. Ordered before every later step; those submitted before still see who was there.
   * Throws `RangeError`, and writes nothing, where it takes more pages than the placement has.
   */
  write(placement: Placement, adapter: PackedAdapter): void;
}

const DESCRIPTOR_WORDS = 8;
const QUAD_BYTES = { exact: 16, half: 8 } as const;

/** Makes the face of a pool's memory for adapters of this table's sites. */
export function createAdapterPool(memory: PoolMemory, table: SiteTable): AdapterPool {
  const pagesOf = (adapter: PackedAdapter): number => {
    const widest = Math.max(...adapter.layers.map((layer) => layer.words.byteLength));
    return Math.max(1, Math.ceil(widest / memory.pageBytes));
  };
  return {
    pagesOf,
    write: ({ slot, firstPage, pages }, adapter) => {
      const needed = pagesOf(adapter);
      if (needed > pages) throw new RangeError(`The adapter takes ${needed} pages; its placement has ${pages}.`);
      const byteOffset = firstPage * memory.pageBytes;
      for (let layer = 0; layer < table.layers; layer++) {
        const { words } = adapter.layers[layer]!;
        if (words.length > 0) memory.write(layer, byteOffset, words);
        memory.describe(layer, slot, descriptors(adapter, layer, byteOffset, table));
      }
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
