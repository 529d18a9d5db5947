import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { repackLayout } from '../../src/formats/gguf-repack.ts';
import { GGUF_BLOCKS, isGgufBlockType, type GgufType } from '../../src/formats/gguf-types.ts';
import { floatBytes, type FloatDtype } from '../../src/formats/half.ts';
import { openSliceMemory } from '../../src/formats/slice-memory-open.ts';
import type { SectionPlaces, SliceMemory } from '../../src/formats/slice-memory.ts';
import { plainSliceMemory } from '../../src/formats/slice-memory-plain.ts';
import { SOURCE } from '../../src/formats/slices-wasm.ts';
import { randomNumbers } from './files.ts';

const blockTypes = (Object.keys(GGUF_BLOCKS) as GgufType[]).filter(isGgufBlockType);
const memory = await openSliceMemory();

function randomBytes(length: number, seed: number): Uint8Array<ArrayBuffer> {
  const random = randomNumbers(seed);
  return Uint8Array.from({ length }, () => Math.floor(random() * 256));
}

/** What becomes of blocks that begin at `from`, and which is the first with a bad scale. */
function repacked(into: SliceMemory, type: (typeof blockTypes)[number], blocks: Uint8Array, from: number): readonly [Uint8Array, unknown] {
  const count = blocks.length / GGUF_BLOCKS[type].bytes;
  const layout = repackLayout(type, 1, count * GGUF_BLOCKS[type].weights);
  const behind = Math.ceil((from + blocks.length) / 16) * 16;
  const bytes = into.bytes(behind + layout.bytes + 16);
  bytes.fill(0xab).set(blocks, from);
  const to: Record<string, number> = { values: 0, scales: 0, parts: 0, high: 0 };
  for (const { name, offset } of layout.sections) to[name] = behind + offset;
  const bad = into.repack(type, from, count, to as SectionPlaces);
  // 16 bytes more: nothing is written behind the last section
  return [into.bytes(behind + layout.bytes + 16).slice(behind), bad];
}

/** Not compared as lists: what tells two long ones apart takes minutes. */
function expectSame(type: (typeof blockTypes)[number], blocks: Uint8Array, from: number): void {
  const [found, bad] = repacked(memory, type, blocks, from);
  const [wanted, wantedBad] = repacked(plainSliceMemory(), type, blocks, from);
  expect([found.findIndex((byte, i) => byte !== wanted[i]), found.length, bad]).toEqual([-1, wanted.length, wantedBad]);
}

afterEach(() => vi.unstubAllGlobals());

test('the module is what its source compiles to (else run tools/wasm.mjs)', () => {
  const source = readFileSync(new URL('../../wasm/slices.ts', import.meta.url));
  expect(createHash('sha256').update(source).digest('hex')).toBe(SOURCE);
});

test('it is the module that is compared with JavaScript here', () => {
  expect(memory.bytes(1).buffer.byteLength).toBe(65_536); // a page of WebAssembly's
});

describe.each(blockTypes)('%s', (type) => {
  const { bytes } = GGUF_BLOCKS[type];

  // Random scales are often NaN or infinite: the first such block is compared, too, and NaN's bits.
  test.each([1, 2, 7, 64])('%i blocks become what JavaScript makes of them', (count) => {
    for (const from of [0, 1, 6]) {
      const blocks = randomBytes(count * bytes, count + from);
      expectSame(type, blocks, from);
    }
  });

  test('every scale is widened exactly', () => {
    const blocks = new Uint8Array(65_536 * bytes);
    const at = { Q2_K: 80, Q3_K: 108, Q6_K: 208 }[type as string] ?? 0;
    for (let half = 0; half < 65_536; half++) new DataView(blocks.buffer).setUint16(half * bytes + at, half, true);
    expectSame(type, blocks, 0);
  });
});

describe.each(['F32', 'F16', 'BF16'] as FloatDtype[])('%s', (dtype) => {
  const size = floatBytes(dtype);
  const [infinity, largest] = { F32: [0x7f800000, 0x7f7fffff], F16: [0x7c00, 0x7bff], BF16: [0x7f80, 0x7f7f] }[dtype] as [number, number];
  const count = 3000;

  function first(at: number, place: number | undefined, word: number): readonly (number | undefined)[] {
    return [memory, plainSliceMemory()].map((each) => {
      const view = new DataView(each.bytes(at + count * size).buffer);
      const put = (i: number, bits: number): void =>
        size === 4 ? view.setUint32(at + i * 4, bits, true) : view.setUint16(at + i * 2, bits, true);
      for (let i = 0; i < count; i++) put(i, i % 2 === 0 ? largest : largest + (size === 4 ? 2 ** 31 : 0x8000));
      if (place !== undefined) put(place, word);
      return each.firstNotFinite(dtype, at, count);
    });
  }

  test('the largest numbers are finite, one that is not is found wherever it is', () => {
    for (const at of [0, size, 64 + size]) {
      expect(first(at, undefined, 0)).toEqual([undefined, undefined]);
      for (const place of [0, 1, 7, 255, 256, 511, 512, 1023, 1024, 2047, 2998, 2999]) {
        for (const word of [infinity, infinity + 1]) expect(first(at, place, word)).toEqual([place, place]);
      }
    }
  });
});

test('memory grows and keeps what it held', () => {
  for (const each of [memory, plainSliceMemory()]) {
    each.bytes(8).set([1, 2, 3]);
    const grown = each.bytes(1 << 20);
    expect([grown.length, grown[2], grown[(1 << 20) - 1]]).toEqual([1 << 20, 3, 0]);
  }
});

test.each([undefined, { instantiate: () => Promise.reject(new Error('blocked by a policy')) }])(
  'where there is no WebAssembly, JavaScript serves (%o)',
  async (there) => {
    vi.stubGlobal('WebAssembly', there);
    const plain = await openSliceMemory();
    plain.bytes(4).set([0, 0, 0x80, 0x7f]);
    expect(plain.firstNotFinite('BF16', 0, 2)).toBe(1);
  },
);
