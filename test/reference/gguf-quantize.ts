import { toF16 } from '../../src/formats/half.ts';

/** Types that gguf-py quantises. */
export const QUANTIZED_TYPES = ['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0'] as const;
export type QuantizableType = (typeof QUANTIZED_TYPES)[number];

const f32 = Math.fround;

interface Quantized {
  readonly d: number;
  /** Of types that have one. */
  readonly minimum?: number;
  readonly levels: readonly number[];
}

const clipped = (values: Float32Array, level: (value: number) => number, most: number): number[] =>
  Array.from(values, (value) => Math.min(most, Math.max(0, Math.trunc(level(value)))));

/** Levels around a zero in the middle: the largest value lies at the end of the longer side. */
function symmetric(values: Float32Array, half: number): Quantized {
  const largest = values.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), values[0]!);
  const d = f32(largest / -half);
  const inverse = d === 0 ? 0 : f32(1 / d);
  return { d, levels: clipped(values, (value) => f32(f32(value * inverse) + half + 0.5), 2 * half - 1) };
}

function fromMinimum(values: Float32Array, most: number): Quantized {
  const minimum = Math.min(...values);
  const d = f32(f32(Math.max(...values) - minimum) / most);
  const inverse = d === 0 ? 0 : f32(1 / d);
  return { d, minimum, levels: clipped(values, (value) => f32(f32(f32(value - minimum) * inverse) + 0.5), most) };
}

function rounded(values: Float32Array): Quantized {
  const d = f32(values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127);
  const inverse = d === 0 ? 0 : f32(1 / d);
  const away = (value: number): number => Math.sign(value) * Math.floor(Math.abs(value) + 0.5);
  return { d, levels: Array.from(values, (value) => away(f32(value * inverse)) & 255) };
}

function quantizedBlock(type: QuantizableType, values: Float32Array): Quantized {
  if (type === 'Q8_0') return rounded(values);
  if (type === 'Q4_0' || type === 'Q5_0') return symmetric(values, type === 'Q4_0' ? 8 : 16);
  return fromMinimum(values, type === 'Q4_1' ? 15 : 31);
}

function blockBytes(type: QuantizableType, values: Float32Array): number[] {
  const { d, minimum, levels } = quantizedBlock(type, values);
  const scales = toF16(Float32Array.from(minimum === undefined ? [d] : [d, minimum]));
  const bytes = [...new Uint8Array(scales.buffer)];
  if (type === 'Q8_0') return [...bytes, ...levels];
  if (type === 'Q5_0' || type === 'Q5_1') {
    for (let from = 0; from < 32; from += 8)
      bytes.push(levels.slice(from, from + 8).reduce((byte, level, i) => byte | ((level >> 4) << i), 0));
  }
  for (let i = 0; i < 16; i++) bytes.push((levels[i]! & 15) | ((levels[i + 16]! & 15) << 4));
  return bytes;
}

/** What gguf-py's `quantize` makes of whole blocks of 32, bit for bit. */
export function quantizeGguf(type: QuantizableType, values: Float32Array): Uint8Array<ArrayBuffer> {
  const blocks: number[][] = [];
  for (let from = 0; from < values.length; from += 32) blocks.push(blockBytes(type, values.subarray(from, from + 32)));
  return Uint8Array.from(blocks.flat());
}
