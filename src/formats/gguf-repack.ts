import { copyWords, gatherBits, gatherNibbles, gatherPairs, gatherScales16, gatherScales8, gatherScalesAndMinima } from './gguf-bits.ts';
import { GGUF_BLOCKS } from './gguf-types.ts';
import type { GgufBlockType } from './gguf-types.ts';
import { toF32 } from './half.ts';

/*
 * ggml's blocks have odd sizes and spread the weights over their bytes; a plane for the GPU has sections of whole words instead, each
 * with the part of all its rows, one section behind the other:
 *
 *   values  the low bits, eight weights in a row at a time: of 4 bits in a u32, of 2 bits in a u16, of 8 bits in two u32
 *   scales  f32, as f16 below 2^-14 may be flushed on GPUs: one of each block, or scale and minimum in turn
 *   parts   integers that scale a part of a block of 256
 *   high    the bits above those in values: one each in a byte, or two each in a u16
 *
 * Weight k of the eight is always in the k-th bits from the lowest. With d and m for the block's scale and minimum, b for its bits
 * (values | high << bits of values), s and t for the parts' integers:
 *
 *   Q4_0    d * (b - 8)               values 4 bits
 *   Q4_1    d * b + m                 values 4
 *   Q5_0    d * (b - 16)              values 4, high 1
 *   Q5_1    d * b + m                 values 4, high 1
 *   Q8_0    d * b                     values 8, signed
 *   Q2_K    d * s * b - m * t         values 2, parts: for each 16 weights a byte s | t << 4
 *   Q3_K    d * (s - 32) * (b - 4)    values 2, high 1, parts: for each 16 weights a byte s
 *   Q4_K    d * s * b - m * t         values 4, parts: for each 32 weights a byte s, a byte t
 *   Q5_K    d * s * b - m * t         values 4, high 1, parts as Q4_K
 *   Q6_K    d * s * (b - 32)          values 4, high 2, parts: for each 16 weights a signed byte s
 *   IQ4_NL  d * LEVELS[b]             values 4
 *   IQ4_XS  d * (s - 32) * LEVELS[b]  values 4, parts: for each 32 weights a byte s
 *
 * Every product is exact in f32: d and m have 11 significant bits, a part's integer at most 7 and a weight's at most 7 (of both at most 12).
 * So neither their order nor fusing one with the sum changes a bit; the sum is rounded once either way. No result is subnormal: all
 * are multiples of 2^-24.
 */

export type GgufSectionName = 'values' | 'high' | 'parts' | 'scales';

/** A section of a plane. */
export interface GgufSection {
  readonly name: GgufSectionName;
  /** Its first byte, a multiple of 4. */
  readonly offset: number;
  readonly bytes: number;
  /** Bytes of one row: a multiple of 4. */
  readonly rowBytes: number;
}

/** Where things lie in a plane. */
export interface GgufPlaneLayout {
  readonly sections: readonly GgufSection[];
  readonly bytes: number;
}

/** Bytes of the sections for one block; `scalesAt`: where the block has its f16 scales; `scales`: how many of them. */
interface BlockPlan {
  readonly values: number;
  readonly high: number;
  readonly parts: number;
  readonly scales: 1 | 2;
  readonly scalesAt: number;
}

const PLANS: Readonly<Record<GgufBlockType, BlockPlan>> = {
  Q4_0: { values: 16, high: 0, parts: 0, scales: 1, scalesAt: 0 },
  Q4_1: { values: 16, high: 0, parts: 0, scales: 2, scalesAt: 0 },
  Q5_0: { values: 16, high: 4, parts: 0, scales: 1, scalesAt: 0 },
  Q5_1: { values: 16, high: 4, parts: 0, scales: 2, scalesAt: 0 },
  Q8_0: { values: 32, high: 0, parts: 0, scales: 1, scalesAt: 0 },
  Q2_K: { values: 64, high: 0, parts: 16, scales: 2, scalesAt: 80 },
  Q3_K: { values: 64, high: 32, parts: 16, scales: 1, scalesAt: 108 },
  Q4_K: { values: 128, high: 0, parts: 16, scales: 2, scalesAt: 0 },
  Q5_K: { values: 128, high: 32, parts: 16, scales: 2, scalesAt: 0 },
  Q6_K: { values: 128, high: 64, parts: 16, scales: 1, scalesAt: 208 },
  IQ4_NL: { values: 16, high: 0, parts: 0, scales: 1, scalesAt: 0 },
  IQ4_XS: { values: 128, high: 0, parts: 8, scales: 1, scalesAt: 0 },
};

/** Sections to write to. */
interface Outputs {
  readonly values: Int32Array;
  readonly high: Int32Array;
  readonly high8: Uint8Array;
  readonly parts: Int32Array;
}

/** Writes all but the scales of so many blocks. */
type Gather = (source: DataView, blocks: number, out: Outputs) => void;

/** Types of 32 weights in blocks of `bytes` with their nibbles behind `before` bytes. */
function nibbles32(bytes: number, before: number): Gather {
  return (source, blocks, { values }) => {
    for (let block = 0; block < blocks; block++) gatherNibbles(source, block * bytes + before, 16, values, block * 4);
  };
}

/** The same with a fifth bit of each weight, in the order of the weights, in four bytes before the nibbles. */
function fiveBits32(bytes: number, before: number): Gather {
  return (source, blocks, { values, high }) => {
    for (let block = 0; block < blocks; block++) {
      copyWords(source, block * bytes + before - 4, 1, high, block);
      gatherNibbles(source, block * bytes + before, 16, values, block * 4);
    }
  };
}

const GATHER: Readonly<Record<GgufBlockType, Gather>> = {
  Q4_0: nibbles32(18, 2),
  Q4_1: nibbles32(20, 4),
  Q5_0: fiveBits32(22, 6),
  Q5_1: fiveBits32(24, 8),
  IQ4_NL: nibbles32(18, 2),
  Q8_0(source, blocks, { values }) {
    for (let block = 0; block < blocks; block++) copyWords(source, block * 34 + 2, 8, values, block * 8);
  },
  Q2_K(source, blocks, { values, parts }) {
    for (let block = 0; block < blocks; block++) {
      const at = block * 84;
      copyWords(source, at, 4, parts, block * 4);
      for (let part = 0; part < 2; part++) gatherPairs(source, at + 16 + part * 32, values, block * 16 + part * 8);
    }
  },
  Q3_K(source, blocks, { values, high8, parts }) {
    for (let block = 0; block < blocks; block++) {
      const at = block * 110;
      gatherBits(source, at, high8, block * 32);
      for (let part = 0; part < 2; part++) gatherPairs(source, at + 32 + part * 32, values, block * 16 + part * 8);
      gatherScales16(source, at + 96, parts, block * 4);
    }
  },
  Q4_K(source, blocks, { values, parts }) {
    for (let block = 0; block < blocks; block++) {
      const at = block * 144;
      gatherScalesAndMinima(source, at + 4, parts, block * 4);
      for (let part = 0; part < 4; part++) gatherNibbles(source, at + 16 + part * 32, 32, values, block * 32 + part * 8);
    }
  },
  Q5_K(source, blocks, { values, high8, parts }) {
    for (let block = 0; block < blocks; block++) {
      const at = block * 176;
      gatherScalesAndMinima(source, at + 4, parts, block * 4);
      gatherBits(source, at + 16, high8, block * 32);
      for (let part = 0; part < 4; part++) gatherNibbles(source, at + 48 + part * 32, 32, values, block * 32 + part * 8);
    }
  },
  Q6_K(source, blocks, { values, high, parts }) {
    for (let block = 0; block < blocks; block++) {
      const at = block * 210;
      for (let part = 0; part < 2; part++) {
        gatherNibbles(source, at + part * 64, 64, values, block * 32 + part * 16);
        gatherPairs(source, at + 128 + part * 32, high, block * 16 + part * 8);
      }
      copyWords(source, at + 192, 4, parts, block * 4);
    }
  },
  IQ4_XS(source, blocks, { values, parts }) {
    for (let block = 0; block < blocks; block++) {
      const at = block * 136;
      gatherScales8(source, at + 2, parts, block * 2);
      for (let part = 0; part < 8; part++) gatherNibbles(source, at + 8 + part * 16, 16, values, block * 32 + part * 4);
    }
  },
};

/** Blocks of a row of `width` weights. Throws `RangeError` unless these are whole. */
function blocksOfRow(type: GgufBlockType, width: number): number {
  const { weights } = GGUF_BLOCKS[type];
  if (width % weights !== 0) throw new RangeError(`Rows of ${type} are multiples of ${weights} weights, not ${width}`);
  return width / weights;
}

/**
 * Where the sections of a plane of `rows` rows of `width` weights lie, as the kernels' `planeLayout` has them; also of a few rows by
 * themselves. Throws `RangeError` for rows that are no whole blocks.
 */
export function repackLayout(type: GgufBlockType, rows: number, width: number): GgufPlaneLayout {
  const blocks = blocksOfRow(type, width);
  const { values, high, parts, scales } = PLANS[type];
  const sections: GgufSection[] = [];
  let offset = 0;
  for (const [name, blockBytes] of [
    ['values', values],
    ['scales', scales * 4],
    ['parts', parts],
    ['high', high],
  ] as const) {
    if (blockBytes === 0) continue;
    const rowBytes = blocks * blockBytes;
    sections.push({ name, offset, bytes: rows * rowBytes, rowBytes });
    offset += rows * rowBytes;
  }
  return { sections, bytes: offset };
}

/** A part of each section for `rows` rows from `firstRow` on, in memory that holds a plane of this layout: where `repackRows` writes to. */
export function rowsOfPlane(
  plane: Uint8Array<ArrayBuffer>,
  { sections }: GgufPlaneLayout,
  firstRow: number,
  rows: number,
): readonly Uint8Array<ArrayBuffer>[] {
  return sections.map(({ offset, rowBytes }) => plane.subarray(offset + firstRow * rowBytes, offset + (firstRow + rows) * rowBytes));
}

/** The f16 scales of so many blocks, in the order of the plane. */
function scalesOf(type: GgufBlockType, source: DataView, blocks: number): Uint16Array<ArrayBuffer> {
  const { scales, scalesAt } = PLANS[type];
  const { bytes } = GGUF_BLOCKS[type];
  const halves = new Uint16Array(blocks * scales);
  for (let block = 0; block < blocks; block++) {
    halves[block * scales] = source.getUint16(block * bytes + scalesAt, true);
    if (scales === 2) halves[block * 2 + 1] = source.getUint16(block * bytes + scalesAt + 2, true);
  }
  return halves;
}

function viewOf({ buffer, byteOffset, length }: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(buffer, byteOffset, length);
}

function outputs(into: ReadonlyMap<GgufSectionName, Uint8Array<ArrayBuffer>>): Outputs {
  const words = (name: GgufSectionName): Int32Array => {
    const { buffer, byteOffset, length } = into.get(name) ?? new Uint8Array(0);
    return new Int32Array(buffer, byteOffset, length / 4);
  };
  return { values: words('values'), high: words('high'), high8: into.get('high') ?? new Uint8Array(0), parts: words('parts') };
}

/**
 * Writes the blocks of `rows` rows of `width` weights as the GPU takes them, values unchanged. `into` has the memory for these rows of
 * each section, in the order of `repackLayout`, at multiples of 4 bytes: `rowsOfPlane` cuts it out of a whole plane, or out of a plane of
 * these rows alone. Row `firstRow` of a section goes to its `offset + firstRow * rowBytes` on the GPU.
 *
 * Throws `RangeError` where the sizes do not fit.
 */
export function repackRows(
  type: GgufBlockType,
  blocks: Uint8Array<ArrayBuffer>,
  rows: number,
  width: number,
  into: readonly Uint8Array<ArrayBuffer>[],
): void {
  const count = rows * blocksOfRow(type, width);
  if (blocks.length !== count * GGUF_BLOCKS[type].bytes) {
    throw new RangeError(`${rows} rows of ${width} weights as ${type} are ${count * GGUF_BLOCKS[type].bytes} bytes, not ${blocks.length}`);
  }
  const { sections } = repackLayout(type, rows, width);
  for (const [i, { name, bytes }] of sections.entries()) {
    if (into[i]?.length !== bytes) throw new RangeError(`Section ${name} of these rows has ${bytes} bytes, not ${into[i]?.length}`);
  }
  const named = new Map(sections.map(({ name }, i) => [name, into[i]!]));
  const source = viewOf(blocks);
  GATHER[type](source, count, outputs(named));
  const scales = toF32(new Uint8Array(scalesOf(type, source, count).buffer), 'F16');
  named.get('scales')!.set(new Uint8Array(scales.buffer));
}

/** The index of the first block whose scale or minimum is NaN or infinite, or undefined. `blocks` are whole blocks. */
export function firstBadBlock(type: GgufBlockType, blocks: Uint8Array<ArrayBuffer>): number | undefined {
  const { bytes } = GGUF_BLOCKS[type];
  const halves = scalesOf(type, viewOf(blocks), blocks.length / bytes);
  const bad = halves.findIndex((half) => (half & 0x7c00) === 0x7c00);
  return bad < 0 ? undefined : Math.floor(bad / PLANS[type].scales);
}
