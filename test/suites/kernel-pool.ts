import type { PoolType } from '../../src/kernels/libraries.ts';
import { bits, poison, stored, type Floats, type Words } from './kernel-harness.ts';

/** A layer of the pool in which tests place what an adapter has; all else is poison. */
export interface TestPool {
  /** Numbers of the pool's type; their first quad. Each thing starts at a multiple of 256 bytes, with a gap behind it. */
  numbers(values: Floats): number;
  /** A vector of f32, by the name that lib/descriptors.wgsl gives it. */
  vector(values: Floats): number;
  words(): Words;
}

export function testPool(type: PoolType): TestPool {
  const placed: { readonly byte: number; readonly words: Words }[] = [];
  let bytes = 768;
  const place = (words: Words): number => {
    const byte = bytes;
    placed.push({ byte, words });
    bytes = (Math.ceil((byte + words.byteLength) / 256) + 1) * 256;
    return byte;
  };
  return {
    numbers: (values) => place(stored(values, type === 'f32' ? 'F32' : 'F16')) / (type === 'f32' ? 16 : 8),
    vector: (values) => place(bits(values)) / 16 + 1,
    words: () => {
      const all = poison(bytes / 4, 'input');
      for (const { byte, words } of placed) all.set(words, byte / 4);
      return all;
    },
  };
}

/** Where a vector's numbers lie among a pool's words. */
export const vectorWord = (vector: number): number => (vector - 1) * 4;
