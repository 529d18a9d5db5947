import { describe, expect, test } from 'vitest';
import { firstNotFinite, toF16, toF32 } from '../../src/formats/half.ts';

const ALL = Uint16Array.from({ length: 0x10000 }, (_, i) => i);
const bytesOf = (values: Uint16Array<ArrayBuffer> | Float32Array<ArrayBuffer>) => new Uint8Array(values.buffer);

/** The definition of f16, in double arithmetic. */
function valueOf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(half >> 10) & 0x1f, half & 0x3ff];
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

describe('f16', () => {
  test('widens every value exactly', () => {
    const wide = toF32(bytesOf(ALL), 'F16');
    expect(ALL.filter((half) => !Object.is(wide[half], valueOf(half)))).toEqual(new Uint16Array(0));
  });

  test('narrows every f16 to itself', () => {
    const again = toF16(toF32(bytesOf(ALL), 'F16'));
    const same = (half: number, other: number) => (Number.isNaN(valueOf(half)) ? Number.isNaN(valueOf(other)) : half === other);
    expect(ALL.filter((half) => !same(half, again[half]!))).toEqual(new Uint16Array(0));
  });

  test('rounds to nearest, ties to even, next to every middle of two neighbours', () => {
    const wrong: number[] = [];
    for (let half = 0; half < 0x7bff; half++) {
      const middle = (valueOf(half) + valueOf(half + 1)) / 2;
      const bits = new Uint32Array(Float32Array.of(middle).buffer)[0]!;
      const around = new Float32Array(Uint32Array.of(bits - 1, bits, bits + 1).buffer);
      const [below, tie, above] = toF16(around);
      if (below !== half || tie !== half + (half & 1) || above !== half + 1) wrong.push(half);
    }
    expect(wrong).toEqual([]);
  });

  test('clamps what is finite, keeps what is not', () => {
    const max = 0x7bff;
    expect([...toF16(Float32Array.of(65504, 65519, 65520, 1e30, -1e30, Infinity, -Infinity))]).toEqual([
      max,
      max,
      max,
      max,
      max | 0x8000,
      0x7c00,
      0xfc00,
    ]);
  });
});

test('bf16 is the upper half of f32', () => {
  expect([...toF32(bytesOf(Uint16Array.of(0x3f80, 0xc000, 0x0001)), 'BF16')]).toEqual([1, -2, 2 ** -133]);
});

test('bytes that lie at an odd place are read', () => {
  const shifted = new Uint8Array(9);
  shifted.set(bytesOf(Float32Array.of(1.5, -3)), 1);
  expect([...toF32(shifted.subarray(1), 'F32')]).toEqual([1.5, -3]);
  expect(() => toF32(shifted, 'F32')).toThrow(RangeError);
});

describe('firstNotFinite', () => {
  test('finds NaN and infinity of either sign, and nothing else', () => {
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      expect(firstNotFinite(bytesOf(Float32Array.of(0, 3.4e38, -1e-45, bad, bad)), 'F32')).toBe(3);
    }
    expect(firstNotFinite(bytesOf(Float32Array.of(3.4e38, -3.4e38, 0)), 'F32')).toBeUndefined();
    const found = (half: number, dtype: 'F16' | 'BF16') => firstNotFinite(bytesOf(Uint16Array.of(half)), dtype) === 0;
    const wide = toF32(bytesOf(ALL), 'BF16');
    expect(ALL.filter((half) => found(half, 'F16') === Number.isFinite(valueOf(half)))).toEqual(new Uint16Array(0));
    expect(ALL.filter((half) => found(half, 'BF16') === Number.isFinite(wide[half]))).toEqual(new Uint16Array(0));
  });
});
