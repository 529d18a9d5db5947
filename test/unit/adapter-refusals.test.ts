import { describe, expect, test } from 'vitest';
import { readAdapter } from '../../src/adapters/adapter.ts';
import { CONFIG, FULL, lora, name, noise, Q, random, read, refused, vector } from './adapter-parts-files.ts';
import { codeOf, memoryFolder, safetensors, tensor } from './files.ts';
import type { TestTensor } from './files.ts';

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
