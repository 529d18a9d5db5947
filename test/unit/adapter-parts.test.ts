import { describe, expect, test } from 'vitest';
import type { PackedAdapter, SiteTable } from '../../src/adapters/sites.ts';
import { bytesApart, OUTER } from '../../src/adapters/sites.ts';
import { decodeAdapter, encodeAdapter, storedBytes } from '../../src/adapters/stored-adapter.ts';
import { createSlices } from '../../src/slices.ts';
import { FULL, lora, name, noise, PLAIN, Q, random, read, valuesOf, vector } from './adapter-parts-files.ts';
import { tensor } from './files.ts';
import type { TestTensor } from './files.ts';
import { expected, largestError, numbersOf, product, vectorOf } from './lora-math.ts';

/** That it survives the disk, and that what a damaged header says is believed only where the bytes are there. */
async function expectStored(packed: PackedAdapter, table: SiteTable = FULL): Promise<void> {
  const bytes = await encodeAdapter(packed, createSlices());
  expect(bytes.length).toBe(storedBytes(packed));
  expect(decodeAdapter(bytes, table)).toEqual(packed);
  expect(decodeAdapter(bytes.slice(0, -4), table)).toBeUndefined();
  const header = new DataView(bytes.buffer).getUint32(4, true);
  for (let round = 0; round < 300; round++) {
    const copy = bytes.slice();
    copy[8 + Math.floor(random() * header)]! ^= 1 << Math.floor(random() * 7);
    const found = decodeAdapter(copy, table); // what still reads lies inside of the bytes
    for (const [block, { words, matrices, norms }] of [...(found?.layers ?? []), ...(found ? [found.outer] : [])].entries()) {
      const places = block === table.layers ? { sites: table.outer, norms: [table.finalNorm] } : table;
      for (const { site, offsetMagnitude = 0, offsetBias = 0 } of matrices) {
        expect(Math.max(offsetMagnitude, offsetBias) + places.sites[site]!.outWidth).toBeLessThanOrEqual(words.length);
      }
      for (const { norm, offset } of norms) expect(offset + places.norms[norm]!.width).toBeLessThanOrEqual(words.length);
    }
    for (const { slices } of found?.whole ?? [])
      expect(slices.reduce((sum, { length }) => sum + length, 0)).toBe(table.outer[0].inWidth * 32);
  }
}

describe.each(['exact', 'half'] as const)('in %s precision', (precision) => {
  test('DoRA: magnitudes of every module, as f32', async () => {
    const magnitudes = [0, 1].map((layer) => vector(`${name(layer, 'self_attn.q_proj')}.lora_magnitude_vector`, 8));
    const packed = await read([...Q, ...magnitudes], { use_dora: true }, FULL, precision);
    for (const [l, layer] of packed.layers.entries()) {
      const { offsetMagnitude, offsetBias } = layer.matrices[0]!;
      expect([(offsetMagnitude! * 4) % 256, offsetBias]).toEqual([0, undefined]);
      expect(vectorOf(layer, offsetMagnitude!, 8)).toEqual(valuesOf(magnitudes[l]!));
      expect(largestError(product(layer, 0, FULL, precision), expected(Q.slice(l * 2), 2))).toBeLessThan(1e-3);
    }
    expect(packed.unblendable).toEqual(['DoRA']);
    await expectStored(packed);
  });

  test('biases, of layers with low-rank pairs and of others', async () => {
    const of = (layer: number, base: string) =>
      [0, 1, 2].map((site) =>
        vector(`${name(layer, PLAIN.sites[site]!.module)}${site === 0 ? base : ''}.bias`, PLAIN.sites[site]!.outWidth),
      );
    const biases = [...of(0, '.base_layer'), ...of(1, '')];
    const packed = await read([...biases, ...Q], { bias: 'all' }, FULL, precision);
    for (const [l, layer] of packed.layers.entries()) {
      expect(layer.matrices.map(({ site, rank4, scale }) => [site, rank4, scale === 0])).toEqual([
        [0, 4, false],
        [1, 0, true],
        [2, 0, true],
      ]);
      for (const { site, offsetBias } of layer.matrices) {
        expect(vectorOf(layer, offsetBias!, PLAIN.sites[site]!.outWidth)).toEqual(valuesOf(biases[l * 3 + site]!));
      }
    }
    expect([packed.rank, packed.rank4, packed.unblendable]).toEqual([3, 4, ['trained biases']]);
    await expectStored(packed);
  });

  test('norms, with what the family adds to them', async () => {
    const table: SiteTable = { ...FULL, normOffset: 1, norms: [...FULL.norms, { module: 'self_attn.q_norm', width: 4 }] };
    const saved = [0, 1].flatMap((layer) => [
      vector(`${name(layer, 'input_layernorm')}.weight`, 8),
      vector(`${name(layer, 'self_attn.q_norm')}.weight`, 4),
    ]);
    const last = vector('base_model.model.model.norm.modules_to_save.default.weight', 8);
    const config = { modules_to_save: ['input_layernorm', 'q_norm', 'model.norm'] };
    const packed = await read([...Q, ...saved, last], config, table, precision);
    const plusOne = (of: TestTensor): number[] => valuesOf(of).map((value) => Math.fround(value + 1));
    for (const [l, layer] of packed.layers.entries()) {
      expect(layer.norms.map(({ norm }) => norm)).toEqual([0, 2]);
      for (const [i, { norm, offset }] of layer.norms.entries()) {
        expect(vectorOf(layer, offset, table.norms[norm]!.width)).toEqual(plusOne(saved[l * 2 + i]!));
      }
    }
    expect(packed.outer.norms).toEqual([{ norm: 0, offset: 0 }]);
    expect(vectorOf(packed.outer, 0, 8)).toEqual(plusOne(last));
    expect(packed.unblendable).toEqual(['saved modules']);
    expect(bytesApart(packed)).toBe(32);
    await expectStored(packed, table);
  });

  test('LoRA on the embedding, a row of A for each token, and on the head', async () => {
    const embedding = [
      tensor('base_model.model.model.embed_tokens.lora_embedding_A', [3, 16], noise),
      tensor('base_model.model.model.embed_tokens.lora_embedding_B', [8, 3], noise),
    ];
    const head = lora('base_model.model.lm_head', 8, 16);
    const packed = await read([...embedding, ...head], { target_modules: ['embed_tokens', 'lm_head'] }, FULL, precision);
    const table = { ...FULL, sites: FULL.outer };
    expect(packed.outer.matrices.map(({ site }) => site)).toEqual([OUTER.embedding, OUTER.head]);
    expect(largestError(product(packed.outer, 0, table, precision), expected(embedding, 2))).toBeLessThan(1e-3);
    expect(largestError(product(packed.outer, 1, table, precision), expected(head, 2))).toBeLessThan(1e-3);
    expect([packed.unblendable, bytesApart(packed), packed.bytes]).toEqual([
      [],
      packed.outer.words.byteLength,
      packed.outer.words.byteLength,
    ]);
    await expectStored(packed);
  });

  test('a vocabulary that is no multiple of 4: rows of B end with zeros', async () => {
    const [embedding, head] = FULL.outer;
    const table: SiteTable = {
      ...FULL,
      outer: [
        { ...embedding, inWidth: 17 },
        { ...head, outWidth: 17 },
      ],
    };
    const pairs = [
      tensor('base_model.model.model.embed_tokens.lora_embedding_A', [3, 17], noise),
      tensor('base_model.model.model.embed_tokens.lora_embedding_B', [8, 3], noise),
      ...lora('base_model.model.lm_head', 8, 17),
    ];
    const packed = await read(pairs, { target_modules: ['embed_tokens', 'lm_head'] }, table, precision);
    const sites = { ...table, sites: table.outer };
    expect(largestError(product(packed.outer, 0, sites, precision), expected(pairs, 2))).toBeLessThan(1e-3);
    expect(largestError(product(packed.outer, 1, sites, precision), expected(pairs.slice(2), 2))).toBeLessThan(1e-3);
    const first = packed.outer.matrices[1]!.offsetB * 4;
    const values = numbersOf(packed.outer, precision);
    for (let r = 0; r < 4; r++) expect([...values.subarray(first + r * 20 + 17, first + r * 20 + 20)]).toEqual([0, 0, 0]);
    await expectStored(packed, table);
  });

  test('saved embedding and head, as the file has them', async () => {
    const matrices = ['model.embed_tokens', 'lm_head'].map((module) => tensor(`base_model.model.${module}.weight`, [16, 8], noise));
    const packed = await read([...matrices, ...Q], { modules_to_save: ['lm_head', 'embed_tokens'] }, FULL, precision);
    expect(packed.whole.map(({ sites, rows, width, dtype }) => [sites, rows, width, dtype])).toEqual([
      [[OUTER.embedding], 16, 8, 'F32'],
      [[OUTER.head], 16, 8, 'F32'],
    ]);
    for (const [i, { slices }] of packed.whole.entries()) expect(slices).toEqual([matrices[i]!.bytes]);
    expect([packed.unblendable, bytesApart(packed)]).toEqual([['saved modules'], 1024]);
    await expectStored(packed);
  });
});

test('the digest covers all that an adapter holds, and nothing else', async () => {
  const bias = [0, 1].map((layer) => vector(`${name(layer, 'self_attn.q_proj')}.base_layer.bias`, 8));
  const norm = vector('base_model.model.model.norm.weight', 8);
  const head = tensor('base_model.model.lm_head.weight', [16, 8], noise);
  const all = [...Q, ...bias, norm, head];
  const digest = async (tensors: readonly TestTensor[], table = FULL, config: object = {}, precision: 'exact' | 'half' = 'exact') =>
    (await read(tensors, config, table, precision)).digest;
  const want = await digest(all);
  expect(await digest(all.toReversed(), FULL, { bias: 'lora_only' }, 'half')).toBe(want);
  const others = [Q, all.slice(0, -1), all.filter((of) => of !== norm), all.filter((of) => !bias.includes(of))];
  const changed = [...bias, norm, head].map((of) => all.map((each) => (each === of ? { ...of, bytes: of.bytes.with(1, 77) } : each)));
  const digests = await Promise.all([...others, ...changed].map((tensors) => digest(tensors)));
  const moved = [await digest(all, { ...FULL, normOffset: 1 }), await digest(all, { ...FULL, tied: 'yes' })];
  expect(new Set([want, ...digests, ...moved]).size).toBe(1 + digests.length + moved.length);
});
