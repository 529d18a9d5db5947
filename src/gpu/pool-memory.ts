import type { Buffers } from './buffers.ts';

/**
 * The bytes that KV pages and adapters share: one storage buffer per decoder layer (so that each binding stays small and the
 * sum can be gigabytes), in which the same page number is the same place; and the descriptor table of the resident adapters.
 */
export interface PoolMemory {
  readonly layers: readonly GPUBuffer[];
  readonly pages: number;
  readonly pageBytes: number;
  /** `[layer][slot][site]` of 8 u32. Layer-major, so that a layer's part is one binding and no kernel is told its layer. */
  readonly descriptors: GPUBuffer;
  readonly descriptorLayerBytes: number;
  readonly slots: number;
  /** Copies words into a layer's pool; ordered before every later submit. */
  write(layer: number, byteOffset: number, words: Uint32Array<ArrayBuffer>): void;
  /** Replaces one slot's descriptors in one layer: `sites · 8` u32. */
  describe(layer: number, slot: number, words: Uint32Array<ArrayBuffer>): void;
}

export interface PoolShape {
  readonly layers: number;
  readonly pages: number;
  readonly pageBytes: number;
  readonly slots: number;
  readonly sites: number;
}

const DESCRIPTOR_BYTES = 32;

export function createPoolMemory(device: GPUDevice, buffers: Buffers, shape: PoolShape): PoolMemory {
  const { layers, pages, pageBytes, slots, sites } = shape;
  const pools = Array.from({ length: layers }, (_, layer) => buffers.storage(`pool of layer ${layer}`, pages * pageBytes));
  const slotBytes = sites * DESCRIPTOR_BYTES;
  const descriptorLayerBytes = Math.ceil((slots * slotBytes) / 256) * 256;
  const descriptors = buffers.storage('adapter descriptors', layers * descriptorLayerBytes);
  return {
    layers: pools,
    pages,
    pageBytes,
    descriptors,
    descriptorLayerBytes,
    slots,
    write: (layer, byteOffset, words) => device.queue.writeBuffer(pools[layer]!, byteOffset, words),
    describe: (layer, slot, words) => device.queue.writeBuffer(descriptors, layer * descriptorLayerBytes + slot * slotBytes, words),
  };
}
