import { firstBadBlock, repackLayout, repackRows } from './gguf-repack.ts';
import { GGUF_BLOCKS } from './gguf-types.ts';
import { firstNotFinite, floatBytes } from './half.ts';
import type { SliceMemory } from './slice-memory.ts';

/** The same as wasm/slices.ts does, in JavaScript: what that is compared with, and what serves where it cannot. */
export function plainSliceMemory(): SliceMemory {
  let memory = new Uint8Array(0);
  const part = (at: number, length: number): Uint8Array<ArrayBuffer> => memory.subarray(at, at + length);
  return {
    bytes: (length) => {
      if (length > memory.length) {
        const larger = new Uint8Array(length);
        larger.set(memory);
        memory = larger;
      }
      return part(0, length);
    },
    firstNotFinite: (dtype, at, count) => firstNotFinite(part(at, count * floatBytes(dtype)), dtype),
    repack: (type, from, blocks, to) => {
      const width = blocks * GGUF_BLOCKS[type].weights;
      const given = part(from, blocks * GGUF_BLOCKS[type].bytes);
      const { sections } = repackLayout(type, 1, width);
      repackRows(
        type,
        given,
        1,
        width,
        sections.map(({ name, bytes }) => part(to[name], bytes)),
      );
      return firstBadBlock(type, given);
    },
  };
}
