import { describe, expect, test } from 'vitest';
import type { QuantizedType } from '../../src/kernels/libraries.ts';
import { LARGEST_QUANTIZED, quantizeRows } from '../../src/model/quantize.ts';
import { dequantize } from '../reference/dequantize.ts';
import { randomNumbers } from './files.ts';

const TYPES: readonly QuantizedType[] = ['q8', 'q4', 'q4_1'];

interface Held {
  /** (rows, width rounded up to 32) */
  readonly numbers: Float32Array;
  /** One a block. */
  readonly scales: readonly number[];
}

/** What a type makes of numbers, by the definition of its layout. */
function roundTrip(type: QuantizedType, numbers: Float32Array, rows: number, width: number): Held {
  const { values, scales } = quantizeRows(type, numbers, rows, width);
  const bytes = new Uint8Array(values.length + scales.length);
  bytes.set(values);
  bytes.set(scales, values.length);
  const floats = new Float32Array(scales.buffer);
  return {
    numbers: dequantize(type, new Uint32Array(bytes.buffer), rows, Math.ceil(width / 32) * 32),
    scales: [...floats].filter((_, i) => type !== 'q4_1' || i % 2 === 0),
  };
}

/** About a normal distribution, some numbers far out. */
function weights(seed: number, count: number, size: number): Float32Array<ArrayBuffer> {
  const random = randomNumbers(seed);
  return Float32Array.from({ length: count }, () => {
    const normal = random() + random() + random() + random() - 2;
    return normal * size * (random() < 0.02 ? 5 : 1);
  });
}

const squares = (numbers: Iterable<number>): number => [...numbers].reduce((sum, number) => sum + number * number, 0);

/** Squared error of a block. */
const errorOf = (found: Float32Array, numbers: Float32Array): number => squares(numbers.map((number, i) => number - found[i]!));

/** Numbers that a block of this scale can hold. */
function grid(type: QuantizedType, scale: number, minimum: number): number[] {
  if (type === 'q8') return Array.from({ length: 255 }, (_, i) => (i - 127) * scale);
  return Array.from({ length: 16 }, (_, level) => (type === 'q4' ? (level - 8) * scale : level * scale + minimum));
}

describe.each(TYPES)('%s', (type) => {
  test.each([1e-30, 1e-6, 0.05, 1, 1e30])('each of many numbers of size %f becomes the nearest that its block can hold', (size) => {
    const rows = 5;
    const width = 96;
    const numbers = weights(7, rows * width, size);
    const held = roundTrip(type, numbers, rows, width).numbers;
    const { scales } = quantizeRows(type, numbers, rows, width);
    const floats = new Float32Array(scales.buffer);
    for (const [i, number] of numbers.entries()) {
      const block = Math.floor(i / 32);
      const [scale, minimum] = type === 'q4_1' ? [floats[2 * block]!, floats[2 * block + 1]!] : [floats[block]!, 0];
      const nearest = grid(type, scale, minimum).reduce((best, one) => (Math.abs(one - number) < Math.abs(best - number) ? one : best));
      const slack = 1e-6 * Math.max(Math.abs(scale), Math.abs(number));
      expect(Math.abs(held[i]! - number)).toBeLessThanOrEqual(Math.abs(nearest - number) + slack);
    }
  });

  test('zeros stay zeros, with scale 0', () => {
    const { numbers, scales } = roundTrip(type, new Float32Array(64), 2, 32);
    expect(numbers.every((number) => number === 0)).toBe(true);
    expect(scales).toEqual([0, 0]);
  });

  test('what fills up the last block of a row is exactly zero', () => {
    const width = 40;
    const { numbers } = roundTrip(
      type,
      weights(3, 3 * width, 1).map((number) => number + 4),
      3,
      width,
    );
    for (let row = 0; row < 3; row++) {
      expect([...numbers.subarray(row * 64 + width, (row + 1) * 64)].map(Math.abs)).toEqual(Array.from({ length: 24 }, () => 0));
      const worst = Math.max(...numbers.subarray(row * 64, row * 64 + width).map((number) => Math.abs(number)));
      expect(worst).toBeGreaterThan(3);
    }
  });

  test('rows of any number, each block for itself', () => {
    const numbers = weights(11, 7 * 64, 1);
    const all = roundTrip(type, numbers, 7, 64);
    for (let row = 0; row < 7; row++) {
      expect(roundTrip(type, numbers.slice(row * 64, (row + 1) * 64), 1, 64).numbers).toEqual(all.numbers.slice(row * 64, (row + 1) * 64));
    }
  });

  test('subnormal numbers and a lone huge one do no harm', () => {
    const tiny = new Float32Array(64).fill(1e-45);
    tiny.set([LARGEST_QUANTIZED, -LARGEST_QUANTIZED], 32);
    const { numbers, scales } = roundTrip(type, tiny, 1, 64);
    expect(numbers.subarray(0, 32).every((number) => Math.abs(number) <= 2 ** -101)).toBe(true);
    expect(numbers.every((number) => Number.isFinite(number))).toBe(true);
    expect(Math.abs(numbers[32]! / LARGEST_QUANTIZED - 1)).toBeLessThan(0.2);
    for (const scale of scales) expect(scale === 0 || Math.abs(scale) >= 2 ** -100).toBe(true);
  });
});

test('q8: off by half a scale at most, which is a 127th of the largest', () => {
  const numbers = weights(5, 64 * 32, 0.02);
  const { numbers: found, scales } = roundTrip('q8', numbers, 64, 32);
  for (let block = 0; block < 64; block++) {
    const own = numbers.slice(block * 32, block * 32 + 32);
    expect(scales[block]).toBe(Math.fround(Math.max(...own.map(Math.abs)) / 127));
    for (const [i, number] of own.entries()) {
      expect(Math.abs(found[block * 32 + i]! - number)).toBeLessThanOrEqual((scales[block]! / 2) * (1 + 1e-6));
    }
  }
});

test('halves are rounded upwards', () => {
  const numbers = new Float32Array(32);
  numbers.set([127, 0.5, 1.5, -0.5, -1.5, -2.5]);
  expect([...roundTrip('q8', numbers, 1, 32).numbers.subarray(0, 6)]).toEqual([127, 1, 2, 0, -1, -2]);
});

test('the order of nibbles is that of the row, the lower half of a byte first', () => {
  const numbers = Float32Array.from({ length: 32 }, (_, i) => i % 16);
  const { values, scales } = quantizeRows('q4_1', numbers, 1, 32);
  expect([...new Float32Array(scales.buffer)]).toEqual([1, 0]);
  expect([...values.subarray(0, 4)]).toEqual([0x10, 0x32, 0x54, 0x76]);
});

/** Root of the mean squared error as a share of the numbers' own size. */
function loss(type: QuantizedType, numbers: Float32Array): number {
  const width = 32;
  return Math.sqrt(errorOf(roundTrip(type, numbers, numbers.length / width, width).numbers, numbers) / squares(numbers));
}

test('4 bits: less is lost than with the scale that just covers the block', () => {
  const numbers = weights(9, 32 * 400, 0.02);
  const covered = numbers.slice();
  for (let at = 0; at < numbers.length; at += 32) {
    const block = numbers.subarray(at, at + 32);
    const extreme = block.reduce((most, number) => (Math.abs(number) > Math.abs(most) ? number : most));
    const scale = extreme / -8;
    covered.set(
      block.map((number) => Math.max(-8, Math.min(7, Math.round(number / scale))) * scale),
      at,
    );
  }
  const plain = Math.sqrt(errorOf(covered, numbers) / squares(numbers));
  const [q8, q4, q4_1] = [loss('q8', numbers), loss('q4', numbers), loss('q4_1', numbers)];
  expect(q4).toBeLessThan(0.98 * plain);
  expect(q4_1).toBeLessThan(0.92 * q4);
  expect(q8).toBeLessThan(0.1 * q4);
});

test('a scale of 4 bits has 20 significant bits: times a level it is exact, so a fused sum changes nothing', () => {
  const numbers = weights(13, 32 * 200, 0.3);
  for (const type of ['q4', 'q4_1'] as const) {
    for (const scale of roundTrip(type, numbers, 200, 32).scales) {
      for (let level = 0; level < 16; level++) expect(Math.fround(level * scale)).toBe(level * scale);
    }
  }
});
