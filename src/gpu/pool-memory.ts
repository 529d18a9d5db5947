import type { Buffers } from './buffers.ts';

/**
 * The bytes that KV pages and adapters share: one storage buffer per decoder layer (so that each binding stays small and the
 * sum can be gigabytes), in which the same page number is the same place; and the descriptor table of the resident adapters.
 * What adapters change outside the layers has a buffer of its own, which counts as one layer more. An adapter's run of pages is its
 * place there, too, but pages are larger: as much as such an adapter needs there for each byte in a layer. That buffer is made when
 * the first adapter needs it.
 */
export interface PoolMemory {
  readonly layers: readonly GPUBuffer[];
  readonly pages: number;
  readonly pageBytes: number;
  /** Bytes of a page in the buffer outside the layers. */
  readonly outerPageBytes: number;
  /** `[layer][slot][entry]` of 8 u32. Layer-major, so that a layer's part is one binding and no kernel is told its layer. */
  readonly descriptors: GPUBuffer;
  readonly descriptorLayerBytes: number;
  readonly slots: number;
  /** Copies words into a layer's pool; ordered before every later submit. `layers.length` is what lies outside the layers. */
  write(layer: number, byteOffset: number, words: Uint32Array<ArrayBuffer>): void;
  /** Replaces one slot's descriptors in one layer: `entries · 8` u32. `layers.length` as in `write`. */
  describe(layer: number, slot: number, words: Uint32Array<ArrayBuffer>): void;
  /** The buffer outside the layers, as soon as there is one. */
  outer(): GPUBuffer | undefined;
  /** Makes it, once. Throws `out_of_memory`. */
  reserveOuter(): Promise<void>;
}

export interface PoolShape {
  readonly layers: number;
  readonly pages: number;
  readonly pageBytes: number;
  /** Default: as in a layer. */
  readonly outerPageBytes?: number;
  readonly slots: number;
  /** Entries of a slot in one layer's descriptors: one for each site, and one for the norms. */
  readonly entries: number;
}

const DESCRIPTOR_BYTES = 32;

export function createPoolMemory(device: GPUDevice, buffers: Buffers, shape: PoolShape): PoolMemory {
  const { layers, pages, pageBytes, outerPageBytes = pageBytes, slots, entries } = shape;
  const pools = Array.from({ length: layers }, (_, layer) => buffers.storage(`pool of layer ${layer}`, pages * pageBytes));
  const slotBytes = entries * DESCRIPTOR_BYTES;
  const descriptorLayerBytes = Math.ceil((slots * slotBytes) / 256) * 256;
  const descriptors = buffers.storage('adapter descriptors', (layers + 1) * descriptorLayerBytes);
  let outer: GPUBuffer | undefined;
  return {
    layers: pools,
    pages,
    pageBytes,
    outerPageBytes,
    descriptors,
    descriptorLayerBytes,
    slots,
    write: (layer, byteOffset, words) => device.queue.writeBuffer(layer < layers ? pools[layer]! : outer!, byteOffset, words),
    describe: (layer, slot, words) => device.queue.writeBuffer(descriptors, layer * descriptorLayerBytes + slot * slotBytes, words),
    outer: () => outer,
    reserveOuter: async () => {
      outer ??= await buffers.allocate('pool outside the layers', pages * outerPageBytes);
    },
  };
}
