import { describe, expect, test } from 'vitest';
import type { SiteTable } from '../../src/adapters/sites.ts';
import { OUTER } from '../../src/adapters/sites.ts';
import { FULL, lora, name, noise, Q, read, refused, vector } from './adapter-parts-files.ts';
import { codeOf, pair, tensor } from './files.ts';
import type { TestTensor } from './files.ts';
import { expected, largestError, product } from './lora-math.ts';

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

describe('names of a model that sees pictures, too', () => {
  const prefixes = ['language_model.model.', 'model.language_model.'];
  const renamed = (tensors: readonly TestTensor[], prefix: string): TestTensor[] =>
    tensors.map((of) => ({ ...of, name: of.name.replace('base_model.model.model.', `base_model.model.${prefix}`) }));
  const norm = vector('base_model.model.model.norm.weight', 8);

  test.each(prefixes)('patterns, targets and saved modules under %s', async (prefix) => {
    const settings = { lora_alpha: 1, r: 8, rank_pattern: { q_proj: 3 } };
    const want = await read([...Q, norm], { ...settings, alpha_pattern: { 'layers.1.self_attn.q_proj': 9 } });
    const whole = (layer: number): string => `${prefix}layers.${layer}.self_attn.q_proj`;
    const config = {
      ...settings,
      rank_pattern: { [whole(0)]: 3, [`${prefix}layers.1.*`]: 3 },
      alpha_pattern: { [whole(1)]: 9 },
      target_modules: [whole(0), whole(1)],
      exclude_modules: [`${prefix}layers.1.self_attn.v_proj`],
      modules_to_save: [`${prefix}norm`],
    };
    expect((await read(renamed([...Q, norm], prefix), config)).digest).toBe(want.digest);
  });

  test('an excluded module by its whole name is refused where it has tensors', () =>
    refused(
      renamed(Q, prefixes[1]!),
      { exclude_modules: [`${prefixes[1]}layers.0.self_attn.q_proj`] },
      /leaves out.*layers\.0\.self_attn\.q_proj/,
    ));
});
