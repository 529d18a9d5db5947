import type { PoolMemory } from '../gpu/pool-memory.ts';
import { nextTurn } from '../slices.ts';
import type { Placement } from './cache.ts';
import { DESCRIPTOR_WORDS, entriesOf, normAt, quadWidth } from './sites.ts';
import type { Finisher, PackedAdapter, PackedLayer, Site, Sliced, SiteTable } from './sites.ts';

/** Puts packed adapters where the cache says and names them to the kernels. Who leaves needs no write: whoever gets the place overwrites it. */
export interface AdapterPool {
  /** Pages it takes: the same in every layer, so the widest layer decides. */
  pagesOf(adapter: PackedAdapter): number;
  /**
   * Writes it and its descriptors, at once but for what has buffers of its own. Ordered before every later step; those submitted before
   * still see who was there. Throws `RangeError`, and writes nothing, where it takes more pages than the placement has.
   */
  write(placement: Placement, adapter: PackedAdapter): Promise<void>;
  /** The same in steps: nothing is written before the first. Until the last is done no kernel may be told of the slot. Throws as `write`. */
  begin(placement: Placement, adapter: PackedAdapter): Upload;
  /** Frees what a slot's adapter has outside the pool. */
  release(slot: number): void;
}

/**
 * An adapter on its way to its place: its words, then what is computed there, the descriptors of all layers last. Whoever gives the place
 * to another before it is done makes no further step.
 */
export type Upload = Sliced;

export interface AdapterPoolSettings {
  /** Milliseconds, read after each part that is written. Default: `performance.now`. */
  readonly clock?: () => number;
  /** Default: adapters need none. */
  readonly finisher?: Finisher;
}

/** Bytes in which vectors of f32 are addressed (see lib/descriptors.wgsl). */
const VECTOR_BYTES = 16;
const QUAD_BYTES = { exact: 16, half: 8 } as const;

/** Most words written at once (4 MiB): a queue copies what it is given before it returns. */
const PART_WORDS = 1 << 20;

interface Part {
  readonly layer: number;
  readonly byteOffset: number;
  readonly words: Uint32Array<ArrayBuffer>;
}

/** All words of an adapter, in parts; what lies outside the layers is one layer more. */
function* partsOf({ layers, outer }: PackedAdapter, byteOffset: (layer: number) => number): Generator<Part> {
  for (const [layer, { words }] of [...layers, outer].entries()) {
    for (let at = 0; at < words.length; at += PART_WORDS) {
      yield { layer, byteOffset: byteOffset(layer) + at * 4, words: words.subarray(at, at + PART_WORDS) };
    }
  }
}

async function finish(upload: Upload): Promise<void> {
  while (upload.step(Infinity) === 'more') await nextTurn();
}

/**
 * Pages that an adapter takes, by bytes: of its widest layer, outside the layers, and of whole matrices. The last two lie in buffers beside
 * the pool; as many pages as hold so many bytes over all layers are kept free for them, so that all adapters together stay within the
 * pool's budget.
 */
export function pagesFor(
  { pageBytes, outerPageBytes, layers }: Pick<PoolMemory, 'pageBytes' | 'outerPageBytes'> & { readonly layers: number },
  { widest, outer, whole }: { readonly widest: number; readonly outer: number; readonly whole: number },
): number {
  const apart = Math.ceil((outer + whole) / (pageBytes * layers));
  return Math.max(1, Math.ceil(widest / pageBytes) + apart, Math.ceil(outer / outerPageBytes));
}

const bytesOf = (whole: PackedAdapter['whole']): number =>
  whole.reduce((sum, { slices }) => slices.reduce((all, { length }) => all + length, sum), 0);

/** Makes the face of a pool's memory for adapters of this table's sites. */
export function createAdapterPool(memory: PoolMemory, table: SiteTable, settings: AdapterPoolSettings = {}): AdapterPool {
  const { clock = () => performance.now(), finisher } = settings;
  const pagesOf = ({ layers, outer, whole }: PackedAdapter): number => {
    const { pageBytes, outerPageBytes } = memory;
    const widest = Math.max(...layers.map(({ words }) => words.byteLength));
    return pagesFor({ pageBytes, outerPageBytes, layers: table.layers }, { widest, outer: outer.words.byteLength, whole: bytesOf(whole) });
  };
  const begin = ({ slot, firstPage, pages }: Placement, adapter: PackedAdapter): Upload => {
    const needed = pagesOf(adapter);
    if (needed > pages) throw new RangeError(`The adapter takes ${needed} pages; its placement has ${pages}.`);
    const byteOffset = (layer: number): number => firstPage * (layer < table.layers ? memory.pageBytes : memory.outerPageBytes);
    const parts = partsOf(adapter, byteOffset);
    const finishing = finisher?.begin({ slot, firstPage }, adapter);
    let state: 'done' | 'more' = 'more';
    return {
      step: (ms) => {
        if (state === 'done') return state;
        const end = clock() + ms;
        for (let part = parts.next(); !part.done; part = parts.next()) {
          memory.write(part.value.layer, part.value.byteOffset, part.value.words);
          if (clock() >= end) return state;
        }
        if (finishing && finishing.step(end - clock()) === 'more') return state;
        for (const [layer, block] of [...adapter.layers, adapter.outer].entries()) {
          memory.describe(layer, slot, descriptors(block, byteOffset(layer), adapter.precision, table, layer));
        }
        state = 'done';
        return state;
      },
    };
  };
  return {
    pagesOf,
    begin,
    release: (slot) => finisher?.release(slot),
    write: (placement, adapter) => finish(begin(placement, adapter)),
  };
}

/**
 * One layer's row of the descriptor table: `{ offA, offB, rank, scale, outStart, outCount, gain, bias }` a site, offsets in quads, and an
 * entry of vectors for its norms. Vectors are named as lib/descriptors.wgsl says.
 */
function descriptors(
  { matrices, norms }: PackedLayer,
  byteOffset: number,
  precision: PackedAdapter['precision'],
  table: SiteTable,
  layer: number,
): Uint32Array<ArrayBuffer> {
  const sites: readonly Site[] = layer < table.layers ? table.sites : table.outer;
  const words = new Uint32Array(entriesOf(table) * DESCRIPTOR_WORDS);
  const floats = new Float32Array(words.buffer);
  const base = byteOffset / QUAD_BYTES[precision];
  const vector = (offset: number | undefined): number => (offset === undefined ? 0 : (byteOffset + offset * 4) / VECTOR_BYTES + 1);
  for (const { site, offsetA, offsetB, rank4, scale, offsetMagnitude, offsetBias } of matrices) {
    const { outStart, outWidth } = sites[site]!;
    const at = site * DESCRIPTOR_WORDS;
    words[at] = base + offsetA;
    words[at + 1] = base + offsetB;
    words[at + 2] = rank4;
    floats[at + 3] = scale;
    words[at + 4] = outStart;
    words[at + 5] = quadWidth(outWidth);
    words[at + 6] = vector(offsetMagnitude);
    words[at + 7] = vector(offsetBias);
  }
  for (const { norm, offset } of norms) words[normAt(table, norm)] = vector(offset);
  return words;
}
