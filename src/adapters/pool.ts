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
  /** The same in steps: nothing is written before the first. Until the last is done no kernel may be told of the slot. Throws as `write`. */
  begin(placement: Placement, adapter: PackedAdapter): Upload;
}

/** An adapter on its way to its place. Whoever gives the place to another before it is done makes no further step. */
export interface Upload {
  /**
   * Writes on until `ms` milliseconds have passed, at least one part; `done`: all of it is written, the descriptors of all layers last.
   * Nothing happens after that.
   */
  step(ms: number): 'done' | 'more';
}

const DESCRIPTOR_WORDS = 8;
const QUAD_BYTES = { exact: 16, half: 8 } as const;

/** Most words written at once (4 MiB): a queue copies what it is given before it returns. */
const PART_WORDS = 1 << 20;

interface Part {
  readonly layer: number;
  readonly byteOffset: number;
  readonly words: Uint32Array<ArrayBuffer>;
}

/** All words of an adapter, in parts. */
function* partsOf({ layers }: PackedAdapter, byteOffset: number): Generator<Part> {
  for (const [layer, { words }] of layers.entries()) {
    for (let at = 0; at < words.length; at += PART_WORDS) {
      yield { layer, byteOffset: byteOffset + at * 4, words: words.subarray(at, at + PART_WORDS) };
    }
  }
}

/**
 * Makes the face of a pool's memory for adapters of this table's sites.
 *
 * @param clock milliseconds, read after each part that is written.
 */
export function createAdapterPool(memory: PoolMemory, table: SiteTable, clock: () => number = () => performance.now()): AdapterPool {
  const pagesOf = (adapter: PackedAdapter): number => {
    const widest = Math.max(...adapter.layers.map((layer) => layer.words.byteLength));
    return Math.max(1, Math.ceil(widest / memory.pageBytes));
  };
  const begin = ({ slot, firstPage, pages }: Placement, adapter: PackedAdapter): Upload => {
    const needed = pagesOf(adapter);
    if (needed > pages) throw new RangeError(`The adapter takes ${needed} pages; its placement has ${pages}.`);
    const byteOffset = firstPage * memory.pageBytes;
    const parts = partsOf(adapter, byteOffset);
    let state: 'done' | 'more' = 'more';
    return {
      step: (ms) => {
        if (state === 'done') return state;
        const end = clock() + ms;
        for (let part = parts.next(); !part.done; part = parts.next()) {
          memory.write(part.value.layer, part.value.byteOffset, part.value.words);
          if (clock() >= end) return state;
        }
        for (let layer = 0; layer < table.layers; layer++) {
          memory.describe(layer, slot, descriptors(adapter, layer, byteOffset, table));
        }
        state = 'done';
        return state;
      },
    };
  };
  return {
    pagesOf,
    begin,
    write: (placement, adapter) => void begin(placement, adapter).step(Infinity),
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
