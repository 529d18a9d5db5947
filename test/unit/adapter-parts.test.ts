import { describe, expect, test } from 'vitest';
import { readAdapter } from '../../src/adapters/adapter.ts';
import type { PackedAdapter, SiteTable } from '../../src/adapters/sites.ts';
import { bytesApart, OUTER } from '../../src/adapters/sites.ts';
import { decodeAdapter, encodeAdapter, storedBytes } from '../../src/adapters/stored-adapter.ts';
import { toF32 } from '../../src/formats/half.ts';
import { createSlices } from '../../src/slices.ts';
import { codeOf, memoryFolder, pair, randomNumbers, safetensors, tableOf, tensor } from './files.ts';
import type { TestTensor } from './files.ts';
import { expected, largestError, numbersOf, product, vectorOf } from './lora-math.ts';

const random = randomNumbers(17);
const noise = (): number => random() - 0.5;

/** A model of two layers and a vocabulary of 16 with biases of q, k, v, all linear layers 8 wide but k and v, which are 4. */
const PLAIN = tableOf([
  { module: 'self_attn.q_proj', inWidth: 8, outWidth: 8, outStart: 0 },
  { module: 'self_attn.k_proj', inWidth: 8, outWidth: 4, outStart: 8 },
  { module: 'self_attn.v_proj', inWidth: 8, outWidth: 4, outStart: 12 },
  { module: 'self_attn.o_proj', inWidth: 8, outWidth: 8, outStart: 0 },
  { module: 'mlp.gate_proj', inWidth: 8, outWidth: 12, outStart: 0 },
  { module: 'mlp.up_proj', inWidth: 8, outWidth: 12, outStart: 12 },
]);
const FULL: SiteTable = { ...PLAIN, sites: PLAIN.sites.map((site, i) => ({ ...site, bias: i < 3 ? 'yes' : 'no' })) };
const CONFIG = { peft_type: 'LORA', r: 3, lora_alpha: 6, target_modules: ['q_proj'] };

const name = (layer: number, module: string): string => `base_model.model.model.layers.${layer}.${module}`;
const vector = (of: string, width: number): TestTensor => tensor(of, [width], () => 1 + noise());
const lora = (of: string, inWidth: number, outWidth: number, rank = 3): TestTensor[] => [
  tensor(`${of}.lora_A.weight`, [rank, inWidth], noise),
  tensor(`${of}.lora_B.weight`, [outWidth, rank], noise),
];
const Q = [0, 1].flatMap((layer) => pair(layer, 'self_attn.q_proj', 3, noise));
const valuesOf = ({ bytes }: TestTensor): number[] => [...toF32(bytes, 'F32')];

function read(
  tensors: readonly TestTensor[],
  config: object,
  table: SiteTable = FULL,
  precision: 'exact' | 'half' = 'exact',
): Promise<PackedAdapter> {
  const files = { 'adapter_config.json': { ...CONFIG, ...config }, 'adapter_model.safetensors': safetensors(tensors) };
  return readAdapter(memoryFolder(files), table, precision);
}

const refused = (tensors: readonly TestTensor[], config: object, message: RegExp, table?: SiteTable) =>
  expect(read(tensors, config, table)).rejects.toMatchObject({
    code: expect.stringMatching(/^(adapter_target|tensor_shape)$/),
    message: expect.stringMatching(message),
  });

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

describe('fused and unfused names', () => {
  const split = (of: TestTensor, first: number, rows: number, to: string): TestTensor => {
    const rowBytes = of.bytes.length / of.shape[0]!;
    return { name: to, shape: [rows, ...of.shape.slice(1)], bytes: of.bytes.slice(first * rowBytes, (first + rows) * rowBytes) };
  };
  const fused = [0, 1].flatMap((layer) => [
    ...lora(name(layer, 'self_attn.qkv_proj'), 8, 16),
    ...lora(name(layer, 'mlp.gate_up_proj'), 8, 24),
    ...lora(name(layer, 'self_attn.o_proj'), 8, 8),
  ]);
  const magnitudes = [0, 1].flatMap((layer) =>
    (['self_attn.qkv_proj', 'mlp.gate_up_proj', 'self_attn.o_proj'] as const).map((module) =>
      vector(
        `${name(layer, module)}.lora_magnitude_vector`,
        { 'self_attn.qkv_proj': 16, 'mlp.gate_up_proj': 24, 'self_attn.o_proj': 8 }[module],
      ),
    ),
  );
  const parts: readonly (readonly [string, readonly (readonly [string, number, number])[]])[] = [
    [
      'self_attn.qkv_proj',
      [
        ['self_attn.q_proj', 0, 8],
        ['self_attn.k_proj', 8, 4],
        ['self_attn.v_proj', 12, 4],
      ],
    ],
    [
      'mlp.gate_up_proj',
      [
        ['mlp.gate_proj', 0, 12],
        ['mlp.up_proj', 12, 12],
      ],
    ],
  ];
  const unfuse = (tensors: readonly TestTensor[]): TestTensor[] =>
    tensors.flatMap((of) => {
      const [module, pieces] = parts.find(([fusedName]) => of.name.includes(fusedName)) ?? [];
      if (!module) return [of];
      return pieces!.map(([to, first, rows]) => {
        const renamed = of.name.replace(module, to);
        return of.name.includes('lora_A') ? { ...of, name: renamed } : split(of, first, rows, renamed);
      });
    });
  const targets = { fused: ['qkv_proj', 'gate_up_proj', 'o_proj'], own: ['q_proj', 'k_proj', 'v_proj', 'gate_proj', 'up_proj', 'o_proj'] };

  test.each([
    ['plain', {}, fused],
    ['DoRA', { use_dora: true }, [...fused, ...magnitudes]],
  ] as const)('%s: one is the other, over either base', async (_, config, tensors) => {
    const want = await read(unfuse(tensors), { ...config, target_modules: targets.own });
    for (const fusedBase of ['no', 'yes'] as const) {
      const table = { ...FULL, fused: fusedBase };
      expect(await read(tensors, { ...config, target_modules: targets.fused }, table)).toEqual(want);
      expect(await read(unfuse(tensors), { ...config, target_modules: targets.own }, table)).toEqual(want);
    }
    expect(want.layers[1]!.matrices.map(({ site }) => site)).toEqual([0, 1, 2, 3, 4, 5]);
    const own = unfuse(tensors).filter((of) => of.name.includes('layers.1.mlp.up_proj') && of.name.includes('.weight'));
    expect(largestError(product(want.layers[1]!, 5, FULL, 'exact'), expected(own, 2))).toBeLessThan(1e-12);
  });

  test('biases are cut, too', async () => {
    const bias = [0, 1].map((layer) => vector(`${name(layer, 'self_attn.qkv_proj')}.bias`, 16));
    const cut = bias.flatMap((of) => unfuse([of]));
    expect(await read([...Q, ...bias], { bias: 'all' })).toEqual(await read([...Q, ...cut], { bias: 'all' }));
  });

  test('one module both ways is refused', () =>
    refused([...fused, ...Q], { target_modules: [...targets.fused, 'q_proj'] }, /q_proj\.lora_B.*qkv_proj\.lora_B.*both change/));

  test('names that the base has not need no tensors', async () => {
    expect(await codeOf(() => read(Q, { target_modules: ['q_proj', 'qkv_proj', 'gate_up_proj'] }))).toBeUndefined();
    const o = [0, 1].flatMap((layer) => pair(layer, 'self_attn.o_proj', 3, noise));
    expect(await codeOf(() => read(o, { target_modules: ['q_proj', 'o_proj'] }, { ...FULL, fused: 'yes' }))).toBeUndefined();
  });
});

describe('tied embeddings', () => {
  const tied: SiteTable = { ...FULL, tied: 'yes' };
  const embedding = tensor('base_model.model.model.embed_tokens.weight', [16, 8], noise);
  const sitesOf = async (tensors: readonly TestTensor[], config: object): Promise<readonly (readonly number[])[]> =>
    (await read([...Q, ...tensors], config, tied)).whole.map(({ sites }) => sites);

  test('a saved embedding leaves the head at the base, unless the adapter ties it', async () => {
    expect(await sitesOf([embedding], { modules_to_save: ['embed_tokens'] })).toEqual([[OUTER.embedding]]);
    expect(await sitesOf([embedding], { modules_to_save: ['embed_tokens'], ensure_weight_tying: true })).toEqual([[0, 1]]);
  });

  test('what was saved with the base is for both', async () => {
    expect(await sitesOf([embedding], {})).toEqual([[0, 1]]);
    const head = { ...embedding, name: 'base_model.model.lm_head.weight' };
    expect(await sitesOf([embedding, head], {})).toEqual([[0], [1]]);
  });

  test('LoRA on the embedding that is tied is LoRA on the head, turned', async () => {
    const low = [
      tensor('base_model.model.model.embed_tokens.lora_embedding_A', [3, 16], noise),
      tensor('base_model.model.model.embed_tokens.lora_embedding_B', [8, 3], noise),
    ];
    const config = { target_modules: ['embed_tokens'], ensure_weight_tying: true };
    const { outer } = await read(low, config, tied);
    const table = { ...FULL, sites: FULL.outer };
    const [first, second] = [product(outer, 0, table, 'exact'), product(outer, 1, table, 'exact')];
    for (let row = 0; row < 8; row++)
      for (let token = 0; token < 16; token++) expect(second[token * 8 + row]).toBeCloseTo(first[row * 16 + token]!, 12);
    expect((await read(low, config, FULL)).outer.matrices.length).toBe(1);
    expect((await read(low, { ...config, ensure_weight_tying: false }, tied)).outer.matrices.length).toBe(1);
  });
});

describe('refused by name', () => {
  const magnitude = vector(`${name(0, 'self_attn.q_proj')}.lora_magnitude_vector`, 8);
  test.each<[string, readonly TestTensor[], object, RegExp]>([
    ['magnitudes without use_dora', [...Q, magnitude], {}, /q_proj has a lora_magnitude_vector, but use_dora is not set/],
    ['one magnitude missing', [...Q, magnitude], { use_dora: true }, /layers\.1.*no lora_magnitude_vector/],
    [
      'a magnitude alone',
      [...Q, vector(`${name(1, 'self_attn.o_proj')}.lora_magnitude_vector`, 8)],
      { use_dora: true },
      /no lora_A|no lora_magnitude/,
    ],
    [
      'magnitudes of another width',
      [...Q, ...[0, 1].map((layer) => vector(`${name(layer, 'self_attn.q_proj')}.lora_magnitude_vector`, 4))],
      { use_dora: true },
      /\[4\].*\[8\]/,
    ],
    [
      'DoRA on the head',
      [...lora('base_model.model.lm_head', 8, 16), vector('base_model.model.lm_head.lora_magnitude_vector', 16)],
      { use_dora: true, target_modules: ['lm_head'] },
      /DoRA on lm_head/,
    ],
    ['a saved linear layer', Q, { modules_to_save: ['o_proj'] }, /modules_to_save names .*o_proj, which is not served/],
    ['a saved classifier', Q, { modules_to_save: ['score'] }, /modules_to_save names score/],
    ['a saved module without tensors', Q, { modules_to_save: ['lm_head'] }, /in part only.*lm_head/],
    [
      'norms of one layer alone',
      [...Q, vector(`${name(0, 'input_layernorm')}.weight`, 8)],
      { modules_to_save: ['input_layernorm'] },
      /in part only.*layers\.1\.input_layernorm/,
    ],
    ['weights of a linear layer', [...Q, tensor(`${name(0, 'self_attn.o_proj')}.weight`, [8, 8])], {}, /match nothing.*o_proj\.weight/],
    ['another vocabulary', [...Q, tensor('base_model.model.lm_head.weight', [17, 8])], {}, /\[17,8\].*\[16,8\]/],
    ['a norm of another width', [...Q, vector('base_model.model.model.norm.weight', 4)], {}, /\[4\].*\[8\]/],
    [
      'weights twice',
      [...Q, ...['weight', 'base_layer.weight'].map((end) => tensor(`base_model.model.lm_head.${end}`, [16, 8]))],
      {},
      /both the weights of lm_head/,
    ],
    ['a bias that the base has not', [...Q, vector(`${name(0, 'self_attn.o_proj')}.bias`, 8)], {}, /o_proj, which has none/],
    ['a bias of another width', [...Q, vector(`${name(0, 'self_attn.k_proj')}.bias`, 8)], {}, /\[8\].*\[4\]/],
    ['biases that are not there', Q, { bias: 'lora_only' }, /in part only: bias is "lora_only".*q_proj/],
    [
      'one bias of all missing',
      [...Q, vector(`${name(0, 'self_attn.q_proj')}.base_layer.bias`, 8)],
      { bias: 'all' },
      /in part only.*layers\.0\.self_attn\.k_proj/,
    ],
    [
      'a pair of the embedding under a linear name',
      [...Q, ...lora('base_model.model.model.embed_tokens', 16, 8)],
      {},
      /match nothing.*embed_tokens\.lora_A/,
    ],
    ['lm_head among the targets without tensors', Q, { target_modules: ['q_proj', 'lm_head'] }, /in part only.*lm_head/],
    ['the head where the targets leave it out', [...Q, ...lora('base_model.model.lm_head', 8, 16)], {}, /leaves out.*lm_head/],
  ])('%s', (_, tensors, config, message) => refused(tensors, config, message));

  test('NaN in a saved matrix', async () => {
    const matrix = tensor('base_model.model.lm_head.weight', [16, 8], (i) => (i === 77 ? NaN : 0));
    await expect(read([...Q, matrix], {})).rejects.toThrow(/NaN at element 77/);
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

test('any damaged adapter ends in a typed error or is whole, quickly', async () => {
  const all = [
    ...Q,
    ...[0, 1].flatMap((layer) => [
      vector(`${name(layer, 'self_attn.q_proj')}.lora_magnitude_vector`, 8),
      vector(`${name(layer, 'self_attn.q_proj')}.base_layer.bias`, 8),
      vector(`${name(layer, 'input_layernorm')}.weight`, 8),
    ]),
    tensor('base_model.model.lm_head.weight', [16, 8], noise),
  ];
  const config = {
    ...CONFIG,
    use_dora: true,
    bias: 'lora_only',
    modules_to_save: ['input_layernorm', 'lm_head'],
    ensure_weight_tying: true,
  };
  const whole = { 'adapter_config.json': new TextEncoder().encode(JSON.stringify(config)), 'adapter_model.safetensors': safetensors(all) };
  const damage = (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => {
    const copy = bytes.slice(0, random() < 0.1 ? Math.floor(random() * bytes.length) : bytes.length);
    const end = random() < 0.7 ? Math.min(copy.length, 2600) : copy.length; // most in the header
    for (let flip = 0; flip < 2 && copy.length > 0; flip++) copy[Math.floor(random() * end)]! ^= 1 << Math.floor(random() * 8);
    return copy;
  };
  const codes = new Set<string>();
  for (let round = 0; round < 1500; round++) {
    const files = {
      'adapter_config.json': random() < 0.5 ? damage(whole['adapter_config.json']) : whole['adapter_config.json'],
      'adapter_model.safetensors': random() < 0.6 ? damage(whole['adapter_model.safetensors']) : whole['adapter_model.safetensors'],
    };
    const table = random() < 0.5 ? FULL : { ...FULL, tied: 'yes' as const };
    codes.add((await codeOf(() => readAdapter(memoryFolder(files), table, 'half'))) ?? 'whole');
  }
  for (const code of ['whole', 'file_invalid', 'file_truncated', 'safetensors_header', 'adapter_target']) {
    expect([...codes]).toContain(code);
  }
});
