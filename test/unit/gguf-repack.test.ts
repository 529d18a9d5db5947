import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { isGgufBlockType, GGUF_BLOCKS } from '../../src/formats/gguf-types.ts';
import type { GgufBlockType, GgufType } from '../../src/formats/gguf-types.ts';
import { firstBadBlock, repackLayout, repackRows, rowsOfPlane } from '../../src/formats/gguf-repack.ts';
import { openGguf } from '../../src/formats/gguf.ts';
import { planeLayout } from '../../src/kernels/libraries.ts';
import { planeOf as kernelPlane, wholeBlocks } from '../../src/engine/kernel-planes.ts';
import { planeType } from '../../src/model/plane-types.ts';
import { dequantize } from '../reference/dequantize.ts';
import { dequantizeGguf } from '../reference/gguf-dequantize.ts';
import { loadEight } from '../reference/gguf-planes.ts';
import { memoryFolder, randomNumbers } from './files.ts';

const path = new URL('../fixtures/gguf/blocks.gguf', import.meta.url);
const fixture = await openGguf(memoryFolder({ 'blocks.gguf': new Uint8Array(readFileSync(path)) }), 'blocks.gguf');
const types = Object.keys(GGUF_BLOCKS) as GgufType[];
const blockTypes = types.filter(isGgufBlockType);

interface Rows {
  readonly rows: number;
  readonly width: number;
  readonly blocks: Uint8Array<ArrayBuffer>;
}

async function rowsOf(type: GgufType): Promise<Rows> {
  const tensor = fixture.tensors.get(`blocks.${type}`)!;
  return { rows: tensor.shape[0]!, width: tensor.shape[1]!, blocks: await fixture.read(tensor) };
}

/** Random bytes; scales finite: none of the bytes that hold an f16's exponent has all its bits set. */
function randomRows(type: GgufBlockType, rows: number, width: number, seed: number): Rows {
  const random = randomNumbers(seed);
  const blocks = new Uint8Array((rows * width * GGUF_BLOCKS[type].bytes) / GGUF_BLOCKS[type].weights);
  for (let i = 0; i < blocks.length; i++) blocks[i] = Math.floor(random() * 256);
  for (let bad = firstBadBlock(type, blocks); bad !== undefined; bad = firstBadBlock(type, blocks)) {
    const { bytes } = GGUF_BLOCKS[type];
    for (let i = 0; i < bytes; i++) blocks[bad * bytes + i] = Math.floor(random() * 256);
  }
  return { rows, width, blocks };
}

/** The plane of these rows, written in slices of so many rows, over memory that was not zero. */
function planeOf(type: GgufBlockType, { rows, width, blocks }: Rows, slice: number): Uint8Array<ArrayBuffer> {
  const layout = repackLayout(type, rows, width);
  const plane = new Uint8Array(layout.bytes).fill(0xab);
  const rowBytes = blocks.length / rows;
  for (let row = 0; row < rows; row += slice) {
    const count = Math.min(slice, rows - row);
    const bytes = blocks.slice(row * rowBytes, (row + count) * rowBytes);
    repackRows(type, bytes, count, width, rowsOfPlane(plane, layout, row, count));
  }
  return plane;
}

const bitsOf = (values: Float32Array<ArrayBuffer>): number[] => [...new Uint32Array(values.buffer)];

function loaded(type: GgufBlockType, plane: Uint8Array<ArrayBuffer>, { rows, width }: Omit<Rows, 'blocks'>): number[] {
  const layout = repackLayout(type, rows, width);
  return bitsOf(Float32Array.from(Array.from({ length: (rows * width) / 8 }, (_, i) => loadEight(plane, type, layout, i)).flat()));
}

describe.each(types)('%s', (type) => {
  test('has the values of gguf-py, bit for bit', async () => {
    const expected = await fixture.read(fixture.tensors.get(`values.${type}`)!);
    expect(bitsOf(dequantizeGguf(type, (await rowsOf(type)).blocks))).toEqual([...new Uint32Array(expected.buffer)]);
  });
});

describe.each(blockTypes)('%s as a plane', (type) => {
  test('has the same values, however it is sliced', async () => {
    const random = randomRows(type, 7, GGUF_BLOCKS[type].weights * 3, 5);
    for (const rows of [await rowsOf(type), random]) {
      const expected = bitsOf(dequantizeGguf(type, rows.blocks));
      const plane = planeOf(type, rows, rows.rows);
      expect(loaded(type, plane, rows)).toEqual(expected);
      for (const slice of [1, 2, 3]) expect(planeOf(type, rows, slice)).toEqual(plane);
    }
  });

  test('takes at most 1.25 times the bytes of the file', () => {
    const { bytes } = repackLayout(type, 4, 1024);
    const ratio = bytes / ((4 * 1024 * GGUF_BLOCKS[type].bytes) / GGUF_BLOCKS[type].weights);
    console.log(`${type}: ${ratio.toFixed(4)} times the bytes of the file`);
    expect(ratio).toBeLessThanOrEqual(type.endsWith('K') || type === 'IQ4_XS' ? 1.06 : 1.25);
  });

  test('has sections of whole words, one behind the other', () => {
    let end = 0;
    for (const width of [1, 2, 3, 7]) {
      const { sections, bytes } = repackLayout(type, 5, width * GGUF_BLOCKS[type].weights);
      end = 0;
      for (const section of sections) {
        expect(section.offset).toBe(end);
        expect([section.rowBytes % 4, section.bytes]).toEqual([0, section.rowBytes * 5]);
        end += section.bytes;
      }
      expect(bytes).toBe(end);
    }
  });

  test('is made from blocks at any byte', async () => {
    const rows = randomRows(type, 1, GGUF_BLOCKS[type].weights * 2, 9);
    const odd = new Uint8Array(rows.blocks.length + 1);
    odd.set(rows.blocks, 1);
    const layout = repackLayout(type, 1, rows.width);
    const plane = new Uint8Array(layout.bytes);
    repackRows(type, odd.subarray(1), 1, rows.width, rowsOfPlane(plane, layout, 0, 1));
    expect(plane).toEqual(planeOf(type, rows, 1));
  });

  test('is not made of other sizes', async () => {
    const { rows, width, blocks } = await rowsOf(type);
    const layout = repackLayout(type, rows, width);
    const plane = new Uint8Array(layout.bytes);
    const into = rowsOfPlane(plane, layout, 0, rows);
    expect(() => repackRows(type, blocks.subarray(2), rows, width, into)).toThrow(RangeError);
    expect(() => repackRows(type, blocks, rows, width, into.slice(1))).toThrow(/Section values/);
    expect(() => repackRows(type, blocks, rows, width, rowsOfPlane(plane, layout, 0, rows - 1))).toThrow(RangeError);
    expect(() => repackLayout(type, 1, width + 8)).toThrow(/multiples of/);
    expect(plane.every((byte) => byte === 0)).toBe(true);
  });

  test('has its NaN and infinite scales found', () => {
    const { blocks } = randomRows(type, 4, GGUF_BLOCKS[type].weights, 3);
    expect(firstBadBlock(type, blocks)).toBeUndefined();
    const values = dequantizeGguf(type, blocks);
    expect(values.every(Number.isFinite)).toBe(true);
    const { bytes, weights } = GGUF_BLOCKS[type];
    let found = 0;
    for (let at = 0; at < bytes; at += 2) {
      for (const half of [0x7c00, 0xfe01]) {
        const changed = blocks.slice();
        new DataView(changed.buffer).setUint16(2 * bytes + at, half, true);
        const isBad = dequantizeGguf(type, changed.subarray(2 * bytes, 3 * bytes)).some((value) => !Number.isFinite(value));
        expect(firstBadBlock(type, changed), `${half} at ${at}`).toBe(isBad ? 2 : undefined);
        found += Number(isBad);
      }
    }
    expect(found).toBe(values.length === 4 * weights ? 2 * SCALES[type] : 0);
  });
});

const SCALES: Readonly<Record<GgufBlockType, 1 | 2>> = {
  Q4_0: 1,
  Q4_1: 2,
  Q5_0: 1,
  Q5_1: 2,
  Q8_0: 1,
  Q2_K: 2,
  Q3_K: 1,
  Q4_K: 2,
  Q5_K: 2,
  Q6_K: 1,
  IQ4_NL: 1,
  IQ4_XS: 1,
};

test.each(blockTypes)('%s lies where the kernels look for it', (type) => {
  const plane = planeType(type, 'layers', { precision: 'half', quantize: undefined, halves: 'widened' });
  for (const [rows, width] of [
    [4, 512],
    [12, 1280],
  ] as const) {
    const { sections, bytes } = repackLayout(type, rows, width);
    const layout = planeLayout(plane, rows, width);
    expect(layout.bytes).toBe(bytes);
    expect(layout.sections).toEqual(sections.map(({ offset, rowBytes }) => ({ offset, rowBytes })));
    const word = plane === 'q8' ? 8 : 4;
    expect(layout.scalesAtWord).toBe(sections.find(({ name }) => name === 'scales')!.offset / word);
  }
});

test.each(blockTypes)('%s: the plane that devices are checked with has the numbers that it says', (type) => {
  const plane = planeType(type, 'layers', { precision: 'half', quantize: undefined, halves: 'widened' });
  const width = wholeBlocks(plane, 300);
  const { words, values } = kernelPlane(plane, 8, width);
  const bytes = new Uint8Array(words.buffer);
  expect(loaded(type, bytes, { rows: 8, width })).toEqual(bitsOf(Float32Array.from(values)));
  expect(new Set(values.subarray(0, 32)).size).toBeGreaterThan(3);
  expect(values.subarray(width, 2 * width)).not.toEqual(values.subarray(0, width));
});

test.each([
  ['Q4_0', 'q4'],
  ['Q4_1', 'q4_1'],
  ['Q8_0', 'q8'],
] as const)('%s lies as the plane %s', async (type, plane) => {
  const rows = randomRows(type, 4, 64, 2);
  const bytes = planeOf(type, rows, 3);
  const layout = planeLayout(plane, 4, 64);
  const { sections } = repackLayout(type, 4, 64);
  expect(bytes.length).toBe(layout.bytes);
  expect(sections.map(({ offset, rowBytes }) => ({ offset, rowBytes }))).toEqual(layout.sections);
  expect(bitsOf(dequantize(plane, new Uint32Array(bytes.buffer), 4, 64))).toEqual(bitsOf(dequantizeGguf(type, rows.blocks)));
});
