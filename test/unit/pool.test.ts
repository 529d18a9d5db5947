import { describe, expect, test } from 'vitest';
import { createAdapterPool, pagesFor } from '../../src/adapters/pool.ts';
import { emptyLayer, type PackedAdapter } from '../../src/adapters/sites.ts';
import type { PoolMemory } from '../../src/gpu/pool-memory.ts';
import { tableOf } from './files.ts';

const PAGE_BYTES = 512;
const TABLE = tableOf([
  { module: 'self_attn.q_proj', inWidth: 8, outWidth: 8, outStart: 0 },
  { module: 'self_attn.k_proj', inWidth: 8, outWidth: 4, outStart: 8 },
]);

/** An adapter of `words` words in its first layer and none in its second, with one matrix pair on the second site. */
function adapter(words: number, precision: 'exact' | 'half'): PackedAdapter {
  const matrices = [{ site: 1, offsetA: 0, offsetB: 16, rank4: 4, scale: 0.5 }];
  const layers = [{ words: new Uint32Array(words).fill(7), matrices, norms: [] }, emptyLayer()];
  const rest = { outer: emptyLayer(), whole: [], unblendable: [] };
  return { digest: '0', precision, rank4: 4, rank: 3, bytes: words * 4, layers, ...rest };
}

/** A pool over a memory that takes notes; its clock goes on by `msPerWrite` with each write. */
function record(pages = 64, msPerWrite = 0) {
  let now = 0;
  const writes: [layer: number, byteOffset: number, words: number][] = [];
  const rows = new Map<string, Uint32Array>();
  const memory: PoolMemory = {
    layers: [],
    pages,
    pageBytes: PAGE_BYTES,
    outerPageBytes: PAGE_BYTES,
    descriptors: undefined as never,
    descriptorLayerBytes: 256,
    slots: 4,
    outer: () => undefined,
    reserveOuter: async () => undefined,
    write: (layer, byteOffset, words) => {
      now += msPerWrite;
      writes.push([layer, byteOffset, words.length]);
    },
    describe: (layer, slot, words) => void rows.set(`${layer}/${slot}`, words),
  };
  return { pool: createAdapterPool(memory, TABLE, { clock: () => now }), writes, rows };
}

describe('the pool of adapters', () => {
  test('the widest layer decides how many pages an adapter takes', () => {
    const { pool } = record();
    expect([0, 1, 128, 129].map((words) => pool.pagesOf(adapter(words, 'half')))).toEqual([1, 1, 1, 2]);
  });

  test('what lies in buffers beside the pool counts as pages of all layers', () => {
    const shape = { pageBytes: 100, outerPageBytes: 400, layers: 8 };
    const pages = (widest: number, outer: number, whole: number): number => pagesFor(shape, { widest, outer, whole });
    expect([pages(0, 0, 801), pages(250, 0, 1600), pages(250, 800, 0), pages(250, 800, 801)]).toEqual([2, 5, 4, 6]);
    // its place beside the pool has the length of its run, however little lies in the layers
    expect([pages(0, 1600, 0), pages(0, 1600, 1600)]).toEqual([4, 4]);
  });

  test.each(['exact', 'half'] as const)('writes to the run and the slot it is given: %s', (precision) => {
    const { pool, writes, rows } = record();
    pool.write({ slot: 3, firstPage: 5, pages: 2 }, adapter(200, precision));
    expect(writes).toEqual([[0, 5 * PAGE_BYTES, 200]]);
    expect([...rows.keys()]).toEqual(['0/3', '1/3', '2/3']);
    const base = (5 * PAGE_BYTES) / (precision === 'exact' ? 16 : 8);
    const half = new Uint32Array(new Float32Array([0.5]).buffer)[0]!;
    expect([...rows.get('0/3')!]).toEqual([...new Array(8).fill(0), base, base + 16, 4, half, 8, 4, 0, 0, ...new Array(8).fill(0)]);
    expect([...rows.get('1/3')!]).toEqual(new Array(24).fill(0)); // what an earlier adapter left there is gone
  });

  test.each(['exact', 'half'] as const)('names vectors in sixteens of bytes from the start, one more than lie before: %s', (precision) => {
    const { pool, writes, rows } = record();
    const plain = adapter(200, precision);
    const matrix = { ...plain.layers[0]!.matrices[0]!, offsetMagnitude: 64, offsetBias: 128 };
    const layers = [{ ...plain.layers[0]!, matrices: [matrix], norms: [{ norm: 1, offset: 192 }] }, plain.layers[1]!];
    const head = { site: 1, offsetA: 0, offsetB: 32, rank4: 8, scale: 2 };
    const outer = { words: new Uint32Array(300), matrices: [head], norms: [{ norm: 0, offset: 256 }] };
    expect(pool.pagesOf({ ...plain, layers, outer })).toBe(4); // two in the widest layer, and three of two layers hold what lies outside
    pool.write({ slot: 3, firstPage: 5, pages: 4 }, { ...plain, layers, outer });
    expect(writes.at(-1)).toEqual([2, 5 * PAGE_BYTES, 300]);
    const vector = (5 * PAGE_BYTES) / 16 + 1;
    expect([...rows.get('0/3')!.subarray(14)]).toEqual([vector + 16, vector + 32, 0, vector + 48, 0, 0, 0, 0, 0, 0]);
    const base = (5 * PAGE_BYTES) / (precision === 'exact' ? 16 : 8);
    const two = new Uint32Array(new Float32Array([2]).buffer)[0]!;
    const vectors = [vector + 64, 0, 0, 0, 0, 0, 0, 0];
    expect([...rows.get('2/3')!]).toEqual([...new Array(8).fill(0), base, base + 32, 8, two, 0, TABLE.outer[1].outWidth, 0, 0, ...vectors]);
  });

  test('writes nothing beyond its run', () => {
    const { pool, writes, rows } = record();
    expect(() => pool.write({ slot: 1, firstPage: 0, pages: 1 }, adapter(129, 'half'))).toThrow(RangeError);
    expect([writes.length, rows.size]).toEqual([0, 0]);
  });

  describe('in steps', () => {
    const part = 1 << 20;
    const words = (count: number) => ({ words: new Uint32Array(count), matrices: [], norms: [] });
    const wide = (first: number, second: number): PackedAdapter => ({ ...adapter(0, 'half'), layers: [words(first), words(second)] });
    const place = { slot: 2, firstPage: 1, pages: 20_000 };

    test('a step ends with the part after which its time is over; descriptors come last, of all layers at once', () => {
      const { pool, writes, rows } = record(30_000, 1);
      const upload = pool.begin(place, wide(2 * part + 5, 3));
      expect([writes.length, rows.size]).toEqual([0, 0]);
      expect(upload.step(0)).toBe('more');
      expect(writes).toEqual([[0, PAGE_BYTES, part]]);
      expect(upload.step(2)).toBe('more');
      expect(writes.slice(1)).toEqual([
        [0, PAGE_BYTES + 4 * part, part],
        [0, PAGE_BYTES + 8 * part, 5],
      ]);
      expect(upload.step(0.5)).toBe('more');
      expect(writes.slice(3)).toEqual([[1, PAGE_BYTES, 3]]);
      expect(rows.size).toBe(0);
      expect(upload.step(1)).toBe('done');
      expect([writes.length, [...rows.keys()]]).toEqual([4, ['0/2', '1/2', '2/2']]);
    });

    test('after the last nothing is written', () => {
      const { pool, writes, rows } = record();
      const upload = pool.begin({ ...place, pages: 1 }, adapter(9, 'half'));
      expect(upload.step(1)).toBe('done');
      rows.clear();
      expect([upload.step(1), writes.length, rows.size]).toEqual(['done', 1, 0]);
    });

    test('what does not fit is refused before the first', () => {
      expect(() => record().pool.begin({ ...place, pages: 1 }, adapter(129, 'half'))).toThrow(RangeError);
    });
  });
});
