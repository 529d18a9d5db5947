import { describe, expect, test } from 'vitest';
import { readAdapter } from '../../src/adapters/adapter.ts';
import type { PackedAdapter } from '../../src/adapters/sites.ts';
import { TABLE, codeOf, memoryFolder, pair, randomNumbers, safetensors, tensor } from './files.ts';
import type { TestTensor } from './files.ts';

const CONFIG = { peft_type: 'LORA', r: 3, lora_alpha: 6, target_modules: ['q_proj', 'v_proj'] };
const random = randomNumbers(3);
const noise = (): number => random() - 0.5;
const VALID: readonly TestTensor[] = [0, 1].flatMap((layer) =>
  ['self_attn.q_proj', 'self_attn.v_proj'].flatMap((module) => pair(layer, module, 3, noise)),
);
const read = (tensors: readonly TestTensor[], config: object = CONFIG) =>
  readAdapter(memoryFolder({ 'adapter_config.json': config, 'adapter_model.safetensors': safetensors(tensors) }), TABLE, 'exact');

const q0 = 'base_model.model.model.layers.0.self_attn.q_proj';
const without = (name: string) => VALID.filter((entry) => entry.name !== name);
const withBytes = (name: string, change: (values: Float32Array) => void) =>
  VALID.map((entry) => {
    if (entry.name !== name) return entry;
    const bytes = entry.bytes.slice();
    change(new Float32Array(bytes.buffer));
    return { ...entry, bytes };
  });

describe('bad adapters', () => {
  test.each<[string, string, readonly TestTensor[], object, RegExp]>([
    ['no tensors', 'adapter_target', [], CONFIG, /no tensor/],
    ['B lost', 'adapter_target', without(`${q0}.lora_B.weight`), CONFIG, /layers\.0\.self_attn\.q_proj has lora_A but no lora_B/],
    ['A lost', 'adapter_target', without(`${q0}.lora_A.weight`), CONFIG, /lora_B but no lora_A/],
    [
      'a layer too many',
      'adapter_target',
      [...VALID, tensor(q0.replace('.0.', '.2.') + '.lora_A.weight', [3, 8])],
      CONFIG,
      /layers\.2.*2 layers/s,
    ],
    [
      'another model',
      'adapter_target',
      [tensor('base_model.model.transformer.h.0.attn.c_attn.lora_A.weight', [3, 8])],
      CONFIG,
      /c_attn.*q_proj/s,
    ],
    ['a stray tensor', 'adapter_target', [...VALID, tensor(`${q0}.lora_magnitude_vector`, [8])], CONFIG, /magnitude/],
    ['leading zero', 'adapter_target', [...VALID, tensor(q0.replace('.0.', '.01.') + '.lora_A.weight', [3, 8])], CONFIG, /layers\.01/],
    [
      'lm_head',
      'adapter_target',
      [...VALID, tensor('base_model.model.lm_head.lora_A.weight', [3, 8])],
      CONFIG,
      /lm_head has lora_A but no lora_B/,
    ],
    [
      'embeddings',
      'adapter_target',
      [...VALID, tensor('base_model.model.model.embed_tokens.lora_embedding_A', [3, 8])],
      CONFIG,
      /embed_tokens/,
    ],
    ['named twice', 'adapter_target', [...VALID, tensor(`${q0}.lora_A.default.weight`, [3, 8])], CONFIG, /twice/],
    [
      'a module without tensors',
      'adapter_target',
      VALID,
      { ...CONFIG, target_modules: ['q_proj', 'v_proj', 'o_proj'] },
      /part only.*o_proj/,
    ],
    [
      'a path without tensors',
      'adapter_target',
      VALID,
      { ...CONFIG, target_modules: ['model.layers.1.self_attn.o_proj'] },
      /layers\.1.*o_proj/,
    ],
    ['a module left out', 'adapter_target', VALID, { ...CONFIG, target_modules: ['q_proj'] }, /leaves out.*v_proj/],
    ['a module excluded', 'adapter_target', VALID, { ...CONFIG, exclude_modules: ['v_proj'] }, /leaves out.*v_proj/],
    ['a layer left out', 'adapter_target', VALID, { ...CONFIG, layers_to_transform: [1] }, /leaves out.*layers\.0/],
    ['rank 0', 'adapter_rank', [...pair(0, 'self_attn.q_proj', 0)], { ...CONFIG, target_modules: ['q_proj'] }, /rank 0/],
    ['rank against r', 'adapter_rank', VALID, { ...CONFIG, r: 4 }, /rank 3, but adapter_config\.json says 4/],
    ['rank against pattern', 'adapter_rank', VALID, { ...CONFIG, rank_pattern: { 'layers.1.self_attn.v_proj': 2 } }, /layers\.1.*says 2/],
    [
      'A and B disagree',
      'adapter_rank',
      [...without(`${q0}.lora_B.weight`), tensor(`${q0}.lora_B.weight`, [8, 2])],
      CONFIG,
      /\[3,8\].*\[8,2\]/,
    ],
    [
      'A too wide',
      'tensor_shape',
      [...without(`${q0}.lora_A.weight`), tensor(`${q0}.lora_A.weight`, [3, 16])],
      CONFIG,
      /\[3,16\].*\[rank, 8\]/,
    ],
    [
      'B too high',
      'tensor_shape',
      [...without(`${q0}.lora_B.weight`), tensor(`${q0}.lora_B.weight`, [12, 3])],
      CONFIG,
      /\[12,3\].*\[8, rank\]/,
    ],
    ['one dimension', 'tensor_shape', [...without(`${q0}.lora_A.weight`), tensor(`${q0}.lora_A.weight`, [24])], CONFIG, /two dimensions/],
    ['integers', 'tensor_dtype', VALID.map((t) => ({ ...t, dtype: 'I32' })), CONFIG, /I32/],
    [
      'NaN',
      'tensor_not_finite',
      withBytes(`${q0}.lora_B.weight`, (v) => (v[5] = Number.NaN)),
      CONFIG,
      /lora_B\.weight holds NaN at element 5/,
    ],
    ['infinity', 'tensor_not_finite', withBytes(`${q0}.lora_A.weight`, (v) => (v[0] = -Infinity)), CONFIG, /-Infinity at element 0/],
    ['a scale beyond float32', 'adapter_setting', VALID, { ...CONFIG, lora_alpha: 1e200 }, /lora_alpha/],
    ['another type', 'adapter_type', VALID, { ...CONFIG, peft_type: 'IA3' }, /IA3/],
    ['DoRA without magnitudes', 'adapter_target', VALID, { ...CONFIG, use_dora: true }, /no lora_magnitude_vector.*use_dora/],
  ])('%s → %s', async (_, code, tensors, config, message) => {
    await expect(read(tensors, config)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    await expect(read(tensors, config)).rejects.toThrow(/^memory\/adapter_/);
  });

  test('files', async () => {
    const weights = safetensors(VALID);
    const from = (files: Parameters<typeof memoryFolder>[0]) => codeOf(() => readAdapter(memoryFolder(files), TABLE, 'half'));
    expect(await from({ 'adapter_model.safetensors': weights })).toBe('file_missing');
    expect(await from({ 'adapter_config.json': CONFIG })).toBe('file_missing');
    expect(await from({ 'adapter_config.json': CONFIG, 'adapter_model.bin': 'pickle' })).toBe('adapter_format');
    expect(
      await from({ 'adapter_config.json': CONFIG, 'adapter_model.bin': 'pickle', 'adapter_model.safetensors': weights }),
    ).toBeUndefined();
    expect(await from({ 'adapter_config.json': '{"r": NaN}', 'adapter_model.safetensors': weights })).toBe('file_invalid');
    expect(await from({ 'adapter_config.json': CONFIG, 'adapter_model.safetensors': weights.slice(0, -3) })).toBe('file_truncated');
    expect(await from({ 'adapter_config.json': CONFIG, 'adapter_model.safetensors': weights.slice(1) })).toBe('safetensors_header');
  });

  test('many strangers are counted, not listed', async () => {
    const strangers = Array.from({ length: 30 }, (_, i) => tensor(`stranger.${i}.`, [1]));
    await expect(read([...VALID, ...strangers])).rejects.toThrow(/stranger\.7\. and 22 more/);
  });

  test('target_modules that say what PEFT would not have trained here are no fault', async () => {
    for (const changes of [
      { target_modules: ['q_proj', 'v_proj', 'c_attn', 'query_key_value'] },
      { target_modules: 'all-linear' },
      { target_modules: '.*self_attn.*' },
      { target_modules: null },
      { target_modules: ['q_proj', 'v_proj', 'o_proj'], exclude_modules: ['o_proj'] },
      { target_modules: ['q_proj', 'v_proj', 'o_proj'], exclude_modules: '.*o_.*' },
    ]) {
      expect(await codeOf(() => read(VALID, { ...CONFIG, ...changes })), JSON.stringify(changes)).toBeUndefined();
    }
  });
});

test('any damaged adapter ends in a typed error or is whole, quickly', async () => {
  const weights = safetensors(VALID);
  const config = new TextEncoder().encode(
    JSON.stringify({
      ...CONFIG,
      use_rslora: false,
      use_dora: false,
      bias: 'none',
      rank_pattern: { 'layers.[01].self_attn.q_proj': 3 },
      modules_to_save: null,
    }),
  );
  const numbers = randomNumbers(99);
  const damage = (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => {
    const copy = bytes.slice(0, numbers() < 0.15 ? Math.floor(numbers() * bytes.length) : bytes.length);
    const flips = Math.ceil(numbers() * 3);
    for (let flip = 0; flip < flips && copy.length > 0; flip++)
      copy[Math.floor(numbers() * copy.length)]! ^= 1 << Math.floor(numbers() * 8);
    return copy;
  };
  const codes = new Set<string>();
  const start = performance.now();
  for (let round = 0; round < 3000; round++) {
    const files = {
      'adapter_config.json': numbers() < 0.5 ? damage(config) : config,
      'adapter_model.safetensors': numbers() < 0.6 ? damage(weights) : weights,
    };
    let adapter: PackedAdapter | undefined;
    const code = await codeOf(async () => (adapter = await readAdapter(memoryFolder(files), TABLE, 'half')));
    codes.add(code ?? 'whole');
    const isSound = adapter?.layers.every(({ matrices }) => matrices.every(({ scale }) => Number.isFinite(Math.fround(scale))));
    expect(code !== undefined || isSound).toBe(true);
  }
  expect(performance.now() - start).toBeLessThan(20_000);
  for (const code of [
    'whole',
    'file_invalid',
    'file_truncated',
    'safetensors_header',
    'adapter_target',
    'adapter_setting',
    'adapter_rank',
  ]) {
    expect([...codes]).toContain(code);
  }
});
