// Every machine with WebGPU is little-endian, as safetensors is: typed arrays over the bytes are the numbers.

/** Number types that weights and adapters come in. */
export type FloatDtype = 'F32' | 'F16' | 'BF16';

/** Bytes of one number. */
export function floatBytes(dtype: FloatDtype): 2 | 4 {
  return dtype === 'F32' ? 4 : 2;
}

export function isFloatDtype(dtype: string): dtype is FloatDtype {
  return dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';
}

/** The bytes at an offset that typed arrays of `align` bytes accept: themselves, or a copy. */
function aligned(bytes: Uint8Array<ArrayBuffer>, align: number): Uint8Array<ArrayBuffer> {
  if (bytes.length % align !== 0) throw new RangeError(`${bytes.length} bytes are no whole number of ${align}-byte values`);
  return bytes.byteOffset % align === 0 ? bytes : bytes.slice();
}

function words16(bytes: Uint8Array<ArrayBuffer>): Uint16Array<ArrayBuffer> {
  const view = aligned(bytes, 2);
  return new Uint16Array(view.buffer, view.byteOffset, view.length / 2);
}

function words32(bytes: Uint8Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const view = aligned(bytes, 4);
  return new Uint32Array(view.buffer, view.byteOffset, view.length / 4);
}

/** f32 bits of an f16's bits; exact for every value, NaN payloads included. */
function widen(half: number): number {
  const sign = (half & 0x8000) << 16;
  const magnitude = half & 0x7fff;
  if (magnitude >= 0x7c00) return sign | 0x7f800000 | ((magnitude & 0x3ff) << 13);
  if (magnitude >= 0x0400) return sign | ((magnitude << 13) + 0x38000000);
  if (magnitude === 0) return sign;
  const shift = Math.clz32(magnitude) - 21; // a subnormal: bring the leading one to bit 10
  return sign | ((113 - shift) << 23) | (((magnitude << shift) & 0x3ff) << 13);
}

let widened: Uint32Array<ArrayBuffer> | undefined;

/** All 65,536 f16 as f32 bits (256 KiB, made at first use): a table lookup is several times faster than the arithmetic. */
function widenTable(): Uint32Array<ArrayBuffer> {
  return (widened ??= Uint32Array.from({ length: 0x10000 }, (_, half) => widen(half)));
}

/** Numbers of any of the three types as f32, each exactly. For F32 the result shares the bytes where they are aligned. */
export function toF32(bytes: Uint8Array<ArrayBuffer>, dtype: FloatDtype): Float32Array<ArrayBuffer> {
  if (dtype === 'F32') {
    const words = words32(bytes);
    return new Float32Array(words.buffer, words.byteOffset, words.length);
  }
  const halves = words16(bytes);
  const bits = new Uint32Array(halves.length);
  if (dtype === 'BF16') {
    for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
  } else {
    const table = widenTable();
    for (let i = 0; i < halves.length; i++) bits[i] = table[halves[i]!]!;
  }
  return new Float32Array(bits.buffer);
}

/** f16 bits of an f32's bits: nearest, ties to even; finite values beyond ±65504 become ±65504. */
function narrow(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x7f800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (magnitude >= 0x477fe000) return sign | 0x7bff;
  if (magnitude >= 0x38800000) {
    // No branch on what is cut off: it is as good as random, and a branch guessed wrong costs more than all of the arithmetic.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  const shift = 126 - (magnitude >>> 23); // result in units of 2^-24
  if (shift > 24) return sign;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const half = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const tie = 1 << (shift - 1);
  return sign | (half + (rest > tie || (rest === tie && half & 1) ? 1 : 0));
}

/** f32 as f16 bits: rounded to nearest, ties to even; finite values beyond ±65504 become ±65504; NaN and infinity stay what they are. */
export function toF16(values: Float32Array<ArrayBuffer>): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) halves[i] = narrow(bits[i]!);
  return halves;
}

/** Where the exponents of one number of 32 bits or of two of 16 lie, their lowest bits, and what adding these to exponents of ones carries to. */
const EXPONENTS: Readonly<Record<FloatDtype, { readonly bits: number; readonly lowest: number; readonly carry: number }>> = {
  F32: { bits: 0x7f800000, lowest: 0x00800000, carry: 0x80000000 },
  F16: { bits: 0x7c007c00, lowest: 0x04000400, carry: 0x80008000 },
  BF16: { bits: 0x7f807f80, lowest: 0x00800080, carry: 0x80008000 },
};
/** Words that are looked at together. */
const RUN = 4096;

/** The first of a run of words in which some number is NaN or infinite, or undefined. */
function firstBadRun(words: Int32Array, dtype: FloatDtype): number | undefined {
  const { bits, lowest, carry } = EXPONENTS[dtype];
  for (let from = 0; from < words.length; from += RUN) {
    const end = Math.min(from + RUN, words.length);
    let carried = 0;
    for (let i = from; i < end; i++) carried |= (words[i]! & bits) + lowest;
    if ((carried & carry) !== 0) return from;
  }
  return undefined;
}

/** Index of the first NaN or infinity, or undefined. Looks at exponent bits only. */
export function firstNotFinite(bytes: Uint8Array<ArrayBuffer>, dtype: FloatDtype): number | undefined {
  const words = dtype === 'F32' ? words32(bytes) : words16(bytes);
  const odd = words.byteOffset % 4 !== 0 ? words.length : 0;
  // All words of 32 bits are looked at in runs; what is left, where one of these is bad, number by number.
  const whole = new Int32Array(words.buffer, odd ? 0 : words.byteOffset, odd ? 0 : words.byteLength >> 2);
  const perWord = 4 / floatBytes(dtype);
  const run = firstBadRun(whole, dtype);
  const exponent = EXPONENTS[dtype].bits & (dtype === 'F32' ? -1 : 0xffff);
  for (let i = (run ?? whole.length) * perWord; i < words.length; i++) {
    if ((words[i]! & exponent) === exponent) return i;
  }
  return undefined;
}
