import { describe, expect, test } from 'vitest';
import { readAdapter } from '../../src/adapters/adapter.ts';
import type { StoredNumbers } from '../../src/adapters/numbers.ts';
import { packLayer } from '../../src/adapters/pack.ts';
import { quadWidth } from '../../src/adapters/sites.ts';
import { toF16, toF32 } from '../../src/formats/half.ts';
import { createSlices } from '../../src/slices.ts';
import { TABLE, memoryFolder, pair, randomNumbers, safetensors, tensor } from './files.ts';
import type { TestTensor } from './files.ts';
import { expected, largestError, numbersOf, product } from './lora-math.ts';

const CONFIG = { peft_type: 'LORA', r: 3, lora_alpha: 6, target_modules: ['q_proj', 'v_proj'] };
const random = randomNumbers(3);
const noise = (): number => random() - 0.5;
const VALID: readonly TestTensor[] = [0, 1].flatMap((layer) =>
  ['self_attn.q_proj', 'self_attn.v_proj'].flatMap((module) => pair(layer, module, 3, noise)),
);
const read = (tensors: readonly TestTensor[], config: object = CONFIG, precision: 'exact' | 'half' = 'exact') =>
  readAdapter(memoryFolder({ 'adapter_config.json': config, 'adapter_model.safetensors': safetensors(tensors) }), TABLE, precision);
const stored = (bytes: Uint8Array<ArrayBuffer>): StoredNumbers => ({ bytes, dtype: 'F32' });
const pack = (a: StoredNumbers, b: StoredNumbers, scale: number, precision: 'exact' | 'half', rank = 3) =>
  packLayer(
    { sites: [{ site: 0, pair: { rank, scale, a, b }, magnitude: undefined, bias: undefined }], norms: [] },
    precision,
    createSlices(),
  );

describe('packing', () => {
  test.each(['exact', 'half'] as const)('%s holds scale · B·A, aligned and padded with zeros', async (precision) => {
    const adapter = await read(VALID, CONFIG, precision);
    expect(adapter).toMatchObject({ precision, rank: 3, rank4: 4, digest: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(adapter.bytes).toBe(adapter.layers.reduce((sum, { words }) => sum + words.byteLength, 0));
    const quad = precision === 'exact' ? 16 : 8;
    for (const [l, layer] of adapter.layers.entries()) {
      expect(layer.matrices.map(({ site }) => site)).toEqual([0, 1]);
      for (const [m, { offsetA, offsetB }] of layer.matrices.entries()) {
        expect([(offsetA * quad) % 256, (offsetB * quad) % 256]).toEqual([0, 0]);
        const error = largestError(product(layer, m, TABLE, precision), expected(VALID.slice(l * 4 + m * 2), 2));
        expect(error).toBeLessThan(precision === 'exact' ? 1e-15 : 1e-3);
        const values = numbersOf(layer, precision);
        const { outWidth } = TABLE.sites[m]!;
        for (let column = 0; column < 8; column++) expect(values[offsetA * 4 + column * 4 + 3]).toBe(0);
        for (let row = 0; row < outWidth; row++) expect(values[offsetB * 4 + 3 * outWidth + row]).toBe(0);
      }
    }
  });

  test.each([
    ['ordinary', 1, 1],
    ['tiny A', 1e-9, 1],
    ['tiny B', 1, 3e-12],
    ['large', 3e5, 70_000],
    ['subnormal as f16', 1e-7, 1e-7],
    ['powers of two', 2 ** -20, 2 ** 13],
    ['subnormal as f32', 1e-41, 1e38],
  ])('half keeps its precision: %s', async (_, sizeA, sizeB) => {
    const [a, b] = [tensor('a', [3, 8], () => noise() * sizeA), tensor('b', [8, 3], () => noise() * sizeB)];
    const layer = await pack(stored(a.bytes), stored(b.bytes), 0.5, 'half');
    const values = numbersOf(layer, 'half');
    const firstOfB = layer.matrices[0]!.offsetB * 4;
    for (const matrix of [values.subarray(0, firstOfB), values.subarray(firstOfB)]) {
      const largest = matrix.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(largest).toBeGreaterThanOrEqual(2 ** 13);
      expect(largest).toBeLessThanOrEqual(2 ** 14);
    }
    expect(largestError(product(layer, 0, TABLE, 'half'), expected([a, b], 0.5))).toBeLessThan(1e-3);
  });

  test('scales stay normal float32 numbers, or the adapter is refused', async () => {
    const flat = (value: number) => stored(new Uint8Array(new Float32Array(24).fill(value).buffer));
    const scaleFor = async (valueA: number, valueB: number, scale: number) =>
      (await pack(flat(valueA), flat(valueB), scale, 'half')).matrices[0]!.scale;
    for (const [valueA, valueB, scale] of [
      [1e-30, 1e-30, 1],
      [1e-44, 1e-40, 1e-30],
      [1e30, 1e-30, 1],
      [0, 1, 2],
      [0, 0, 2],
    ] as const) {
      const folded = await scaleFor(valueA, valueB, scale);
      expect(folded).toBeGreaterThanOrEqual(2 ** -126);
      expect(folded).toBeLessThan(2 ** 127);
    }
    expect(await scaleFor(0, 1, 2)).toBe(2 * 2 ** -13);
    expect(await scaleFor(1, 1, 0)).toBe(0);
    await expect(scaleFor(1e38, 1e38, 1)).rejects.toThrow(expect.objectContaining({ code: 'adapter_setting' }));
  });

  test('a layer without matrices is empty; ranks may differ', async () => {
    const config = { ...CONFIG, target_modules: ['q_proj', 'o_proj'], layers_to_transform: [1], rank_pattern: { o_proj: 5 } };
    const adapter = await read([...pair(1, 'self_attn.o_proj', 5, noise), ...pair(1, 'self_attn.q_proj', 3, noise)], config);
    expect(adapter.layers[0]).toEqual({ words: new Uint32Array(0), matrices: [], norms: [] });
    expect(adapter.layers[1]!.matrices.map(({ site, rank4, scale }) => [site, rank4, scale])).toEqual([
      [0, 4, 2],
      [2, 8, 6 / 5],
    ]);
    expect([adapter.rank, adapter.rank4]).toEqual([5, 8]);
  });

  test('types, older names, and tensors apart in the file are read alike', async () => {
    const wanted = (await read(VALID)).layers;
    const older = VALID.map((entry) => ({ ...entry, name: entry.name.replace('.weight', '.default.weight') }));
    expect((await read(older)).layers).toEqual(wanted);
    expect((await read([...VALID].sort((a, b) => (a.name.at(-8)! < b.name.at(-8)! ? -1 : 1)))).layers).toEqual(wanted);
    const sharded = memoryFolder({
      'adapter_config.json': CONFIG,
      'adapter_model.safetensors.index.json': {
        weight_map: Object.fromEntries(VALID.map(({ name }, i) => [name, i % 2 ? 'x.safetensors' : 'y.safetensors'])),
      },
      'x.safetensors': safetensors(VALID.filter((_, i) => i % 2 === 1)),
      'y.safetensors': safetensors(VALID.filter((_, i) => i % 2 === 0)),
    });
    expect((await readAdapter(sharded, TABLE, 'exact')).layers).toEqual(wanted);
    const bf16 = VALID.map((entry) => {
      const words = new Uint16Array(entry.bytes.buffer);
      return { ...entry, dtype: 'BF16', bytes: new Uint8Array(words.filter((_, i) => i % 2 === 1).buffer) };
    });
    const [truncated, exact] = [(await read(bf16)).layers[0]!, wanted[0]!];
    expect(largestError([...numbersOf(truncated, 'exact')], [...numbersOf(exact, 'exact')])).toBeLessThan(2 ** -7);
  });

  test.each([
    ['F32', 'exact'],
    ['F32', 'half'],
    ['BF16', 'exact'],
    ['F16', 'half'],
  ] as const)('a matrix of many pieces, at any place in a file: %s, %s', async (dtype, precision) => {
    const [rank, inWidth, outWidth] = [67, 999, 131];
    const bytes = dtype === 'F32' ? 4 : 2;
    const matrix = (count: number, shift: number): StoredNumbers => {
      const file = new Uint8Array(count * bytes + shift);
      for (let i = 0; i < count; i++) {
        // Numbers of magnitude 1 to 2 in any of the types, both signs.
        const word =
          dtype === 'F32'
            ? 0x3f800000 | (random() * 0x800000)
            : dtype === 'BF16'
              ? 0x3f80 | (random() * 0x80)
              : 0x3c00 | (random() * 0x400);
        const signed = random() < 0.5 ? word : word + 2 ** (8 * bytes - 1);
        for (let byte = 0; byte < bytes; byte++) file[shift + i * bytes + byte] = (signed / 256 ** byte) % 256;
      }
      return { bytes: file.subarray(shift), dtype };
    };
    const [a, b] = [matrix(rank * inWidth, 1), matrix(outWidth * rank, 8)];
    const layer = await pack(a, b, 1, precision, rank);
    const { offsetA, offsetB, rank4, scale } = layer.matrices[0]!;
    expect([offsetA, rank4, scale]).toEqual([0, 68, precision === 'exact' ? 1 : 2 ** -26]);
    const wanted = (numbers: StoredNumbers): Float32Array<ArrayBuffer> => {
      const values = toF32(numbers.bytes, dtype);
      return precision === 'exact' ? values : toF32(new Uint8Array(toF16(values.map((value) => value * 2 ** 13)).buffer), 'F16');
    };
    const [valuesA, valuesB, packed] = [wanted(a), wanted(b), numbersOf(layer, precision)];
    const quad = 4;
    let wrong = packed.length - offsetB * quad - rank4 * quadWidth(outWidth); // nothing lies behind B
    for (let column = 0; column < inWidth; column++) {
      for (let r = 0; r < rank4; r++) if (packed[column * rank4 + r] !== (r < rank ? valuesA[r * inWidth + column] : 0)) wrong++;
    }
    for (let r = 0; r < rank4; r++) {
      for (let row = 0; row < quadWidth(outWidth); row++) {
        const want = r < rank && row < outWidth ? valuesB[row * rank + r] : 0;
        if (packed[offsetB * quad + r * quadWidth(outWidth) + row] !== want) wrong++;
      }
    }
    expect(wrong).toBe(0);
  });
});
