// ggml's blocks by their definitions, one weight at a time; rounded to f32 wherever gguf-py's `dequantize` rounds.

/** Weights and bytes of a block of each type. */
export const BLOCK_SIZES = {
  F32: [1, 4],
  F16: [1, 2],
  BF16: [1, 2],
  Q4_0: [32, 18],
  Q4_1: [32, 20],
  Q5_0: [32, 22],
  Q5_1: [32, 24],
  Q8_0: [32, 34],
  Q2_K: [256, 84],
  Q3_K: [256, 110],
  Q4_K: [256, 144],
  Q5_K: [256, 176],
  Q6_K: [256, 210],
  IQ4_NL: [32, 18],
  IQ4_XS: [256, 136],
} as const;

export type BlockType = keyof typeof BLOCK_SIZES;

/** What the 16 levels of IQ4_NL and IQ4_XS stand for. */
export const IQ4_LEVELS = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const;

const f32 = Math.fround;

/** A block's bytes; `half` is the f16 at a byte. */
interface Block {
  byte(at: number): number;
  signed(at: number): number;
  half(at: number): number;
}

/** Weight `i` of a block. */
type WeightOf = (block: Block, i: number) => number;

function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** Weight `i` of 32: the low nibbles of 16 bytes, then the high ones. */
function nibble32(block: Block, at: number, i: number): number {
  return (block.byte(at + (i % 16)) >> (i < 16 ? 0 : 4)) & 15;
}

/** Weight `i` of 256: low nibbles of `run` bytes, then the high ones of these, then the next. */
function nibble256(block: Block, at: number, run: number, i: number): number {
  const group = Math.floor(i / (2 * run));
  const inGroup = i % (2 * run);
  return (block.byte(at + group * run + (inGroup % run)) >> (inGroup < run ? 0 : 4)) & 15;
}

/** Two bits of weight `i` of 256: bits 0 and 1 of 32 bytes, then bits 2 and 3 of these, …; then the next 32 bytes. */
function pair256(block: Block, at: number, i: number): number {
  return (block.byte(at + Math.floor(i / 128) * 32 + (i % 32)) >> (2 * (Math.floor(i / 32) % 4))) & 3;
}

/** One bit of weight `i` of 256: bit 0 of 32 bytes, then bit 1 of these, … */
function bit256(block: Block, at: number, i: number): number {
  return (block.byte(at + (i % 32)) >> Math.floor(i / 32)) & 1;
}

/** Scale and minimum `j` of eight, as Q4_K and Q5_K have them. */
function scaleAndMinimum(block: Block, at: number, j: number): readonly [number, number] {
  if (j < 4) return [block.byte(at + j) & 63, block.byte(at + 4 + j) & 63];
  const low = block.byte(at + 4 + j);
  return [(low & 15) | ((block.byte(at + j - 4) >> 6) << 4), (low >> 4) | ((block.byte(at + j) >> 6) << 4)];
}

/** Scale `j` of 16, as Q3_K has them. */
function scaleOfQ3(block: Block, at: number, j: number): number {
  const low = (block.byte(at + (j % 8)) >> (j < 8 ? 0 : 4)) & 15;
  return (low | (((block.byte(at + 8 + (j % 4)) >> (2 * Math.floor(j / 4))) & 3) << 4)) - 32;
}

/** Scale `j` of eight, as IQ4_XS has them. */
function scaleOfIq4(block: Block, j: number): number {
  const low = (block.byte(4 + Math.floor(j / 2)) >> (4 * (j % 2))) & 15;
  const high = block.byte(2 + Math.floor(j / 4)) >> (2 * (j % 4));
  return (low | ((high & 3) << 4)) - 32;
}

/** d * scale * level, rounded after each product. */
function scaled(d: number, scale: number, level: number): number {
  return f32(f32(d * scale) * level);
}

const WEIGHT: Readonly<Record<BlockType, WeightOf>> = {
  F32: (block) => {
    const view = new DataView(Uint8Array.of(block.byte(0), block.byte(1), block.byte(2), block.byte(3)).buffer);
    return view.getFloat32(0, true);
  },
  F16: (block) => block.half(0),
  BF16: (block) => new DataView(Uint8Array.of(0, 0, block.byte(0), block.byte(1)).buffer).getFloat32(0, true),
  Q4_0: (block, i) => f32(block.half(0) * (nibble32(block, 2, i) - 8)),
  Q4_1: (block, i) => f32(f32(block.half(0) * nibble32(block, 4, i)) + block.half(2)),
  Q5_0: (block, i) => f32(block.half(0) * ((nibble32(block, 6, i) | (((block.byte(2 + (i >> 3)) >> (i & 7)) & 1) << 4)) - 16)),
  Q5_1: (block, i) =>
    f32(f32(block.half(0) * (nibble32(block, 8, i) | (((block.byte(4 + (i >> 3)) >> (i & 7)) & 1) << 4))) + block.half(2)),
  Q8_0: (block, i) => f32(block.half(0) * block.signed(2 + i)),
  Q2_K: (block, i) => {
    const part = block.byte(i >> 4);
    return f32(scaled(block.half(80), part & 15, pair256(block, 16, i)) - f32(block.half(82) * (part >> 4)));
  },
  Q3_K: (block, i) => scaled(block.half(108), scaleOfQ3(block, 96, i >> 4), pair256(block, 32, i) - (bit256(block, 0, i) ? 0 : 4)),
  Q4_K: (block, i) => {
    const [scale, minimum] = scaleAndMinimum(block, 4, i >> 5);
    return f32(scaled(block.half(0), scale, nibble256(block, 16, 32, i)) - f32(block.half(2) * minimum));
  },
  Q5_K: (block, i) => {
    const [scale, minimum] = scaleAndMinimum(block, 4, i >> 5);
    const level = nibble256(block, 48, 32, i) | (bit256(block, 16, i) << 4);
    return f32(scaled(block.half(0), scale, level) - f32(block.half(2) * minimum));
  },
  Q6_K: (block, i) =>
    scaled(block.half(208), block.signed(192 + (i >> 4)), (nibble256(block, 0, 64, i) | (pair256(block, 128, i) << 4)) - 32),
  IQ4_NL: (block, i) => f32(block.half(0) * IQ4_LEVELS[nibble32(block, 2, i)]!),
  IQ4_XS: (block, i) => scaled(block.half(0), scaleOfIq4(block, i >> 5), IQ4_LEVELS[nibble256(block, 8, 16, i)]!),
};

/** The weights of whole blocks, in their order. */
export function dequantizeGguf(type: BlockType, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const [weights, size] = BLOCK_SIZES[type];
  const out = new Float32Array((bytes.length / size) * weights);
  for (let i = 0; i < out.length; i++) {
    const from = Math.floor(i / weights) * size;
    const byte = (at: number): number => bytes[from + at]!;
    const block: Block = {
      byte,
      signed: (at) => (byte(at) << 24) >> 24,
      half: (at) => halfValue(byte(at) | (byte(at + 1) << 8)),
    };
    out[i] = WEIGHT[type](block, i % weights);
  }
  return out;
}
