import { describe, expect, test } from 'vitest';
import { ropeTable } from '../../src/model/activations.ts';

const ROPE = { dimensions: 4, frequencies: [1, 0.25], factor: 1 };
const row = (table: Float32Array, position: number): number[] => [...table.subarray(position * 4, position * 4 + 4)];
const turned = (position: number, frequencies: readonly number[], factor: number): number[] =>
  [Math.cos, Math.sin].flatMap((wave) => frequencies.map((frequency) => Math.fround(factor * wave(position * frequency))));

describe('a table of rope', () => {
  test('has cos, then sin, of every pair at every position', () => {
    const table = ropeTable(ROPE, 9);
    expect(table).toHaveLength(36);
    for (const position of [0, 1, 8]) expect(row(table, position)).toEqual(turned(position, ROPE.frequencies, 1));
  });

  test('is of the long frequencies at every position where the served length is above the original, with the factor in both cases', () => {
    const rope = { ...ROPE, factor: 1.25, long: { original: 8, frequencies: [0.5, 0.125] } };
    expect(row(ropeTable(rope, 8), 3)).toEqual(turned(3, [1, 0.25], 1.25));
    expect(row(ropeTable(rope, 9), 3)).toEqual(turned(3, [0.5, 0.125], 1.25));
  });
});
