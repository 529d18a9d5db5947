import { toF16 } from '../../src/formats/half.ts';
import { BLOCK_SIZES, type BlockType } from '../reference/gguf-dequantize.ts';
import type { QuantizableType } from '../reference/gguf-quantize.ts';
import { randomNumbers } from '../unit/files.ts';

/** Types that gguf-py only reads. */
export type SeededType = Exclude<BlockType, 'F32' | 'F16' | 'BF16' | QuantizableType>;

/**
 * Where a block has its scale, and its minimum's: byte, and what makes weights of random bits about 0.06 large, as `1 / sqrt(256)`.
 * Some scales are subnormal as f16, which devices may flush to 0.
 */
const SCALES: Readonly<Record<SeededType, readonly (readonly [at: number, value: number])[]>> = {
  Q2_K: [
    [80, 0.0043],
    [82, 1.5 * 0.0043],
  ],
  Q3_K: [[108, 0.0014]],
  Q4_K: [
    [0, 0.00023],
    [2, 7.5 * 0.00023],
  ],
  Q5_K: [
    [0, 0.000115],
    [2, 15.5 * 0.000115],
  ],
  Q6_K: [[208, 0.000044]],
  IQ4_NL: [[0, 0.00086]],
  IQ4_XS: [[0, 0.000046]],
};

export const SEEDED_TYPES = Object.keys(SCALES) as readonly SeededType[];

export const isSeeded = (type: BlockType): type is SeededType => Object.hasOwn(SCALES, type);

/** Blocks of a type with seeded bits in every place, and scales that make a model of them. */
export function seededBlocks(type: SeededType, weights: number, seed: number): Uint8Array<ArrayBuffer> {
  const [perBlock, bytes] = BLOCK_SIZES[type];
  const random = randomNumbers(seed);
  const blocks = Uint8Array.from({ length: (weights / perBlock) * bytes }, () => Math.floor(random() * 256));
  const view = new DataView(blocks.buffer);
  for (let from = 0; from < blocks.length; from += bytes) {
    const size = 0.5 + random();
    const scales = toF16(Float32Array.from(SCALES[type], ([, value]) => value * size));
    for (const [i, [at]] of SCALES[type].entries()) view.setUint16(from + at, scales[i]!, true);
  }
  return blocks;
}
