// AssemblyScript, compiled by `node tools/wasm.mjs` to src/formats/slices-wasm.ts: what every byte of a model's weights goes through on the
// CPU while it is loaded. 16 bytes at a time, where JavaScript has four; src/formats/gguf-repack.ts says how planes are laid out, and does
// the same where there is no WebAssembly with SIMD. All addresses are bytes of the memory; none needs to be aligned.

/** Types of numbers, in the order of `FLOATS` in src/formats/slice-memory-open.ts. */
const F32 = 0;
const F16 = 1;

/** What an index is where nothing was found. */
const NONE = -1;

/** Eight bytes from two of the low nibbles of 16, in the low byte of eight lanes. */
function lowNibbles(bytes: v128): v128 {
  return v128.or(v128.and(bytes, i16x8.splat(0x000f)), v128.and(i16x8.shr_u(bytes, 4), i16x8.splat(0x00f0)));
}

/** The same of the high nibbles. */
function highNibbles(bytes: v128): v128 {
  return v128.or(v128.and(i16x8.shr_u(bytes, 4), i16x8.splat(0x000f)), v128.and(i16x8.shr_u(bytes, 8), i16x8.splat(0x00f0)));
}

/** 16 bytes: weight k in the low nibble of byte k, weight 16 + k in the high one. To 32 weights in turn. */
function nibbles16(from: u32, to: u32): void {
  const bytes = v128.load(from);
  v128.store(to, i8x16.narrow_i16x8_u(lowNibbles(bytes), highNibbles(bytes)));
}

/** The same of 32 · `count` bytes together: the weights in all low nibbles, then those in all high ones. */
function nibbles(from: u32, count: u32, to: u32): void {
  const apart = count * 16;
  for (let i: u32 = 0; i < count; i++) {
    const a = v128.load(from + 32 * i);
    const b = v128.load(from + 32 * i, 16);
    v128.store(to + 16 * i, i8x16.narrow_i16x8_u(lowNibbles(a), lowNibbles(b)));
    v128.store(to + apart + 16 * i, i8x16.narrow_i16x8_u(highNibbles(a), highNibbles(b)));
  }
}

/** Four bytes in the low bytes of four lanes: of every four bytes' bits 0 and 1, the first byte's lowest. */
function lowPairs(bytes: v128): v128 {
  const pairs = v128.and(bytes, i8x16.splat(3));
  const fours = v128.and(v128.or(pairs, i16x8.shr_u(pairs, 6)), i16x8.splat(0x000f));
  return v128.and(v128.or(fours, i32x4.shr_u(fours, 12)), i32x4.splat(0x00ff));
}

/** 32 bytes: weight k in bits 0 and 1 of byte k, weight 32 + k in bits 2 and 3, and so on. To 128 weights in turn. */
function pairs(from: u32, to: u32): void {
  const a = v128.load(from);
  const b = v128.load(from, 16);
  const first = i16x8.narrow_i32x4_u(lowPairs(a), lowPairs(b));
  const second = i16x8.narrow_i32x4_u(lowPairs(i16x8.shr_u(a, 2)), lowPairs(i16x8.shr_u(b, 2)));
  const third = i16x8.narrow_i32x4_u(lowPairs(i16x8.shr_u(a, 4)), lowPairs(i16x8.shr_u(b, 4)));
  const fourth = i16x8.narrow_i32x4_u(lowPairs(i16x8.shr_u(a, 6)), lowPairs(i16x8.shr_u(b, 6)));
  v128.store(to, i8x16.narrow_i16x8_u(first, second));
  v128.store(to, i8x16.narrow_i16x8_u(third, fourth), 16);
}

/** 32 bytes: weight k in bit 0 of byte k, weight 32 + k in bit 1, and so on. To 256 weights in turn. */
function bits(from: u32, to: u32): void {
  const a = v128.load(from);
  const b = v128.load(from, 16);
  for (let bit: u32 = 0; bit < 8; bit++) {
    // a bit of a lane that moves into its neighbour comes below the one that is asked for
    store<u16>(to + 4 * bit, <u16>i8x16.bitmask(i8x16.shl(a, 7 - bit)));
    store<u16>(to + 4 * bit, <u16>i8x16.bitmask(i8x16.shl(b, 7 - bit)), 2);
  }
}

/** 16 bits of each of two words in turn, byte by byte: those of `a` in the low bytes. */
function interleave(a: u32, b: u32): u32 {
  return (a & 0xff) | ((b & 0xff) << 8) | ((a & 0xff00) << 8) | ((b & 0xff00) << 16);
}

/** The eight scales and eight minima of six bits of Q4_K and Q5_K. To scale and minimum in turn, a byte each. */
function scalesAndMinima(from: u32, to: u32): void {
  const scales = load<u32>(from);
  const minima = load<u32>(from, 4);
  const rest = load<u32>(from, 8);
  const scales0 = scales & 0x3f3f3f3f;
  const minima0 = minima & 0x3f3f3f3f;
  const scales4 = (rest & 0x0f0f0f0f) | ((scales >> 2) & 0x30303030);
  const minima4 = ((rest >> 4) & 0x0f0f0f0f) | ((minima >> 2) & 0x30303030);
  store<u32>(to, interleave(scales0, minima0));
  store<u32>(to, interleave(scales0 >> 16, minima0 >> 16), 4);
  store<u32>(to, interleave(scales4, minima4), 8);
  store<u32>(to, interleave(scales4 >> 16, minima4 >> 16), 12);
}

/** The 16 scales of six bits of Q3_K. To a byte each. */
function scales16(from: u32, to: u32): void {
  const first = load<u32>(from);
  const second = load<u32>(from, 4);
  const high = load<u32>(from, 8);
  store<u32>(to, (first & 0x0f0f0f0f) | ((high & 0x03030303) << 4));
  store<u32>(to, (second & 0x0f0f0f0f) | ((high << 2) & 0x30303030), 4);
  store<u32>(to, ((first >> 4) & 0x0f0f0f0f) | (high & 0x30303030), 8);
  store<u32>(to, ((second >> 4) & 0x0f0f0f0f) | ((high >> 2) & 0x30303030), 12);
}

/** The eight scales of six bits of IQ4_XS. To a byte each. */
function scales8(from: u32, to: u32): void {
  const high: u32 = load<u16>(from);
  for (let i: u32 = 0; i < 2; i++) {
    const low: u32 = load<u16>(from + 2 * i, 2);
    const upper = high >> (8 * i);
    const nibbles = (low & 0x0f) | ((low & 0xf0) << 4) | ((low & 0xf00) << 8) | ((low & 0xf000) << 12);
    store<u32>(to + 4 * i, nibbles | ((upper & 0x03) << 4) | ((upper & 0x0c) << 10) | ((upper & 0x30) << 16) | ((upper & 0xc0) << 22));
  }
}

/** Writes an f16 as f32, exactly, and returns whether it is finite. */
function scale(from: u32, to: u32): bool {
  const half: u32 = load<u16>(from);
  // the exponent's field is five bits of eight: 2^112 makes up for its other bias, for subnormals too
  store<f32>(to, reinterpret<f32>((half & 0x7fff) << 13) * reinterpret<f32>(0x77800000));
  const finite = (half & 0x7c00) !== 0x7c00;
  store<u32>(to, load<u32>(to) | ((half & 0x8000) << 16) | (finite ? 0 : 0x7f800000));
  return finite;
}

/**
 * Writes `blocks` blocks of a type (in the order of `BLOCKS` in src/formats/slice-memory-open.ts) to the sections of a plane.
 * Returns the first block whose scale or minimum is not finite, or -1.
 */
export function repack(type: u32, from: u32, blocks: u32, values: u32, scales: u32, parts: u32, high: u32): i32 {
  switch (type) {
    case 0:
      return plain(18, 2, 1, 0, from, blocks, values, scales, high); // Q4_0
    case 1:
      return plain(20, 4, 2, 0, from, blocks, values, scales, high); // Q4_1
    case 2:
      return plain(22, 6, 1, 4, from, blocks, values, scales, high); // Q5_0
    case 3:
      return plain(24, 8, 2, 4, from, blocks, values, scales, high); // Q5_1
    case 4:
      return q8_0(from, blocks, values, scales);
    case 5:
      return q2_k(from, blocks, values, scales, parts);
    case 6:
      return q3_k(from, blocks, values, scales, parts, high);
    case 7:
      return q4_k(from, blocks, values, scales, parts);
    case 8:
      return q5_k(from, blocks, values, scales, parts, high);
    case 9:
      return q6_k(from, blocks, values, scales, parts, high);
    case 10:
      return plain(18, 2, 1, 0, from, blocks, values, scales, high); // IQ4_NL
    default:
      return iq4_xs(from, blocks, values, scales, parts);
  }
}

/** Blocks of 32 weights in nibbles behind `before` bytes, which have the scales and, right before the nibbles, `highBytes` bytes of fifth bits. */
function plain(bytes: u32, before: u32, count: u32, highBytes: u32, from: u32, blocks: u32, values: u32, scales: u32, high: u32): i32 {
  let bad = NONE;
  for (let block: u32 = 0; block < blocks; block++, from += bytes) {
    nibbles16(from + before, values + block * 16);
    if (highBytes !== 0) store<u32>(high + block * 4, load<u32>(from + before - 4));
    let finite = scale(from, scales + block * count * 4);
    if (count === 2) finite = scale(from + 2, scales + block * 8 + 4) && finite;
    if (!finite && bad === NONE) bad = block;
  }
  return bad;
}

function q8_0(from: u32, blocks: u32, values: u32, scales: u32): i32 {
  let bad = NONE;
  for (let block: u32 = 0; block < blocks; block++, from += 34) {
    v128.store(values + block * 32, v128.load(from, 2));
    v128.store(values + block * 32, v128.load(from, 18), 16);
    if (!scale(from, scales + block * 4) && bad === NONE) bad = block;
  }
  return bad;
}

/** Scale and minimum of a block at two places in a row. */
function twoScales(from: u32, to: u32): bool {
  const finite = scale(from, to);
  return scale(from + 2, to + 4) && finite;
}

function q2_k(from: u32, blocks: u32, values: u32, scales: u32, parts: u32): i32 {
  let bad = NONE;
  for (let block: u32 = 0; block < blocks; block++, from += 84) {
    v128.store(parts + block * 16, v128.load(from));
    for (let half: u32 = 0; half < 2; half++) pairs(from + 16 + half * 32, values + block * 64 + half * 32);
    if (!twoScales(from + 80, scales + block * 8) && bad === NONE) bad = block;
  }
  return bad;
}

function q3_k(from: u32, blocks: u32, values: u32, scales: u32, parts: u32, high: u32): i32 {
  let bad = NONE;
  for (let block: u32 = 0; block < blocks; block++, from += 110) {
    bits(from, high + block * 32);
    for (let half: u32 = 0; half < 2; half++) pairs(from + 32 + half * 32, values + block * 64 + half * 32);
    scales16(from + 96, parts + block * 16);
    if (!scale(from + 108, scales + block * 4) && bad === NONE) bad = block;
  }
  return bad;
}

function q4_k(from: u32, blocks: u32, values: u32, scales: u32, parts: u32): i32 {
  let bad = NONE;
  for (let block: u32 = 0; block < blocks; block++, from += 144) {
    scalesAndMinima(from + 4, parts + block * 16);
    for (let part: u32 = 0; part < 4; part++) nibbles(from + 16 + part * 32, 1, values + block * 128 + part * 32);
    if (!twoScales(from, scales + block * 8) && bad === NONE) bad = block;
  }
  return bad;
}

function q5_k(from: u32, blocks: u32, values: u32, scales: u32, parts: u32, high: u32): i32 {
  let bad = NONE;
  for (let block: u32 = 0; block < blocks; block++, from += 176) {
    scalesAndMinima(from + 4, parts + block * 16);
    bits(from + 16, high + block * 32);
    for (let part: u32 = 0; part < 4; part++) nibbles(from + 48 + part * 32, 1, values + block * 128 + part * 32);
    if (!twoScales(from, scales + block * 8) && bad === NONE) bad = block;
  }
  return bad;
}

function q6_k(from: u32, blocks: u32, values: u32, scales: u32, parts: u32, high: u32): i32 {
  let bad = NONE;
  for (let block: u32 = 0; block < blocks; block++, from += 210) {
    for (let half: u32 = 0; half < 2; half++) {
      nibbles(from + half * 64, 2, values + block * 128 + half * 64);
      pairs(from + 128 + half * 32, high + block * 64 + half * 32);
    }
    v128.store(parts + block * 16, v128.load(from, 192));
    if (!scale(from + 208, scales + block * 4) && bad === NONE) bad = block;
  }
  return bad;
}

function iq4_xs(from: u32, blocks: u32, values: u32, scales: u32, parts: u32): i32 {
  let bad = NONE;
  for (let block: u32 = 0; block < blocks; block++, from += 136) {
    scales8(from + 2, parts + block * 8);
    for (let part: u32 = 0; part < 8; part++) nibbles16(from + 8 + part * 16, values + block * 128 + part * 16);
    if (!scale(from, scales + block * 4) && bad === NONE) bad = block;
  }
  return bad;
}

/** Bytes that are looked at together. */
const RUN: u32 = 1024;

/** The first of `count` numbers of a type that is NaN or infinite, or -1. Looks at exponents only. */
export function firstNotFinite(type: u32, at: u32, count: u32): i32 {
  const size: u32 = type === F32 ? 4 : 2;
  const exponent: u32 = type === F32 ? 0x7f800000 : type === F16 ? 0x7c00 : 0x7f80;
  const mask = type === F32 ? i32x4.splat(exponent) : i16x8.splat(<i16>exponent);
  const lowest = type === F32 ? i32x4.splat(0x00800000) : i16x8.splat(type === F16 ? 0x0400 : 0x0080);
  const end = at + count * size;
  let from = at;
  for (; from + RUN <= end; from += RUN) {
    // an exponent of ones carries to the sign's place, all others do not
    let carried = i32x4.splat(0);
    if (type === F32)
      for (let i: u32 = 0; i < RUN; i += 16) carried = v128.or(carried, i32x4.add(v128.and(v128.load(from + i), mask), lowest));
    else for (let i: u32 = 0; i < RUN; i += 16) carried = v128.or(carried, i16x8.add(v128.and(v128.load(from + i), mask), lowest));
    if ((type === F32 ? i32x4.bitmask(carried) : i16x8.bitmask(carried)) !== 0) break;
  }
  for (; from < end; from += size) {
    const word: u32 = type === F32 ? load<u32>(from) : load<u16>(from);
    if ((word & exponent) === exponent) return (from - at) / size;
  }
  return NONE;
}
