import { describe, expect, test } from 'vitest';
import { modulePattern } from '../../src/adapters/module-pattern.ts';
import { parsePeftConfig, rankOf, scaleOf } from '../../src/adapters/peft-config.ts';

const LORA = { peft_type: 'LORA', r: 8, lora_alpha: 16, target_modules: ['q_proj'] };
const Q0 = 'model.layers.0.self_attn.q_proj';
const NAMES = [Q0, 'model.layers.1.mlp.down_proj', 'model.layers.11.self_attn.v_proj', 'model.layers.21.mlp.up_proj', 'q_proj', 'lm_head'];

/** Which of NAMES match, as Python's `re.match(rf"(.*\.)?({key})$", name)` answers (3.11). */
const TABLE: readonly [string, string][] = [
  ['q_proj', '100010'],
  ['layers.1.mlp.down_proj', '010000'],
  ['roj', '000000'],
  ['self_attn.q_proj', '100000'],
  ['.q_proj', '000000'],
  ['model.layers.0.self_attn.q_proj', '100000'],
  ['^model.layers.0.self_attn.q_proj', '100000'],
  ['^q_proj', '000010'],
  ['^layers.1.mlp.down_proj', '000000'],
  ['model.layers.1.self_attn.v_proj', '000000'],
  [String.raw`model\.layers\.1\.mlp\.down_proj`, '010000'],
  [String.raw`layers\.\d+\.self_attn\.(q_proj|v_proj)`, '101000'],
  [String.raw`layers\.(?:0|1|2)\..*`, '110000'],
  ['(q|v)_proj$', '101010'],
  [String.raw`.*\.mlp\..*`, '010100'],
  [String.raw`layers\.[0-9]\..*`, '110000'],
  [String.raw`layers\.[12][0-9]\.(self_attn|mlp)\.\w+`, '001100'],
  [String.raw`layers\.[^0]+\.mlp\.up_proj`, '000100'],
  ['q_proj|v_proj', '101010'],
  ['.*q_proj', '100010'],
  ['.+q_proj', '100000'],
  ['m?lp.(up|down)_proj', '010100'],
  [String.raw`\d+.*?proj`, '111100'],
  ['layers.1+.self_attn.v_proj', '001000'],
  ['(.*)*proj', '111110'],
  ['(a|a)*q_proj', '100010'],
  ['model.*', '111100'],
  ['lm_head', '000001'],
  [String.raw`\w+`, '111111'],
  [String.raw`\W\w+`, '000000'],
  [String.raw`[a-z_.]+\D*_proj`, '111110'],
  [String.raw`(self_attn|mlp)\.(q_proj|(up|down)_proj)`, '110100'],
  ['layers.1.', '000000'],
  ['q_proj$$', '100010'],
  ['(q_proj$)|x', '100010'],
  [String.raw`l.yers\.2?1\.mlp.*_pro[j-k]`, '010100'],
];

describe('patterns', () => {
  test.each(TABLE)('%s matches as in Python', (key, expected) => {
    const matches = modulePattern(key)!;
    expect(NAMES.map((name) => (matches(name) ? '1' : '0')).join('')).toBe(expected);
  });

  test.each([
    String.raw`a{2}`,
    '(?i)q_proj',
    '(?=q)',
    '(?<!q)',
    String.raw`(q)\1`,
    String.raw`\bq`,
    String.raw`\x41`,
    'q**',
    'q*+',
    '*q',
    'a)|(b',
    '(a',
    'a)',
    '[a',
    '[z-a]',
    '[[:alpha:]]',
    '[a&&b]',
    '',
    'a|',
    '^*',
    'q\\',
    ']',
    '()',
  ])('%s is refused', (key) => {
    expect(modulePattern(key)).toBeUndefined();
    expect(() => parsePeftConfig({ ...LORA, rank_pattern: { [key]: 4 } }, 'c')).toThrow(
      expect.objectContaining({ code: 'adapter_setting', message: expect.stringContaining('rank_pattern') }),
    );
  });

  test('no pattern takes long', () => {
    const start = performance.now();
    for (const key of ['(.*)*(.*)*(.*)*x', '((a|a|.)*)*z', '(.?.?.?.?.?.?.?.?)*y', '.*.*.*.*.*.*.*.*.*.*q', '(((.+)+)+)+!']) {
      expect(modulePattern(key)!('model.layers.1000.self_attn.'.repeat(4))).toBe(false);
    }
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test('too long or too many are refused', () => {
    const many = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`m${i}`, 4]));
    const long = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`(m${i})${'.*'.repeat(40)}`, 4]));
    for (const rank_pattern of [many, long, { [`(${'a'.repeat(600)})`]: 4 }]) {
      expect(() => parsePeftConfig({ ...LORA, rank_pattern }, 'c')).toThrow(expect.objectContaining({ code: 'adapter_setting' }));
    }
  });
});

describe('adapter_config.json', () => {
  test('rank and scale: the first pattern that matches wins', () => {
    const config = parsePeftConfig(
      { ...LORA, rank_pattern: { 'layers.0.self_attn.q_proj': 2, q_proj: 4 }, alpha_pattern: { 'self_attn.*': 32, q_proj: 1 } },
      'c',
    );
    expect([rankOf(config, Q0), scaleOf(config, Q0)]).toEqual([2, 16]);
    expect(rankOf(config, 'model.layers.1.self_attn.q_proj')).toBe(4);
    expect([rankOf(config, NAMES[1]!), scaleOf(config, NAMES[1]!)]).toEqual([8, 2]);
  });

  test('rsLoRA divides by the root of the rank; absent keys have the defaults of PEFT', () => {
    expect(scaleOf(parsePeftConfig({ ...LORA, r: 16, use_rslora: true }, 'c'), Q0)).toBe(4);
    const config = parsePeftConfig({ peft_type: 'LORA' }, 'c');
    expect([rankOf(config, Q0), scaleOf(config, Q0)]).toEqual([8, 1]);
    expect(config.targetModules).toBeUndefined();
  });

  test('what changes nothing is accepted', () => {
    const inert = {
      base_model_name_or_path: 'x',
      revision: null,
      task_type: 'CAUSAL_LM',
      inference_mode: true,
      peft_version: '0.21.0',
      lora_dropout: 0.1,
      auto_mapping: { a: 'b' },
      megatron_core: 'megatron.core',
      megatron_config: null,
      qalora_group_size: 16,
      use_qalora: false,
      use_dora: false,
      loftq_config: {},
      eva_config: { rho: 2 },
      modules_to_save: [],
      bias: 'none',
      fan_in_fan_out: false,
      layer_replication: null,
      lora_bias: false,
      enable_lora: null,
      merge_weights: false,
      layers_pattern: 'layers',
      some_new_key: null,
      another: false,
    };
    expect(parsePeftConfig({ ...LORA, ...inert }, 'c').rank).toBe(8);
    for (const init_lora_weights of [true, false, 'gaussian', 'Gaussian', 'orthogonal', 'eva'])
      parsePeftConfig({ ...LORA, init_lora_weights }, 'c');
  });

  test.each<[string, unknown]>([
    ['lora_bias', true],
    ['fan_in_fan_out', true],
    ['layer_replication', [[0, 4]]],
    ['trainable_token_indices', [1]],
    ['target_parameters', ['w']],
    ['alora_invocation_tokens', [5]],
    ['use_qalora', true],
    ['use_bdlora', { nblocks: 2 }],
    ['arrow_config', { top_k: 2 }],
    ['kasa_config', { beta: 1 }],
    ['monteclora_config', { num_samples: 8 }],
    ['velora_config', { num_groups: 2 }],
    ['megatron_config', { a: 1 }],
    ['enable_lora', [true, false]],
    ['init_lora_weights', 'pissa'],
    ['init_lora_weights', 'pissa_niter_16'],
    ['init_lora_weights', 'olora'],
    ['init_lora_weights', 'loftq'],
    ['init_lora_weights', 'corda'],
    ['init_lora_weights', 'lora_ga'],
    ['init_lora_weights', 'mica'],
    ['some_new_key', 1],
  ])('%s = %j → adapter_setting by name', (key, value) => {
    expect(() => parsePeftConfig({ ...LORA, [key]: value }, 'adapter_config.json')).toThrow(
      expect.objectContaining({ code: 'adapter_setting', message: expect.stringMatching(new RegExp(`adapter_config.json: ${key}`)) }),
    );
  });

  test.each<[string, string, unknown]>([
    ['adapter_type', 'peft_type', 'IA3'],
    ['adapter_type', 'peft_type', 'ADALORA'],
    ['file_invalid', 'peft_type', undefined],
    ['adapter_rank', 'r', 0],
    ['adapter_rank', 'r', -4],
    ['adapter_rank', 'r', 2.5],
    ['adapter_rank', 'rank_pattern', { q_proj: 0 }],
    ['file_invalid', 'r', '8'],
    ['file_invalid', 'lora_alpha', Infinity],
    ['file_invalid', 'lora_alpha', '16'],
    ['file_invalid', 'use_rslora', 1],
    ['file_invalid', 'alpha_pattern', { q_proj: 'x' }],
    ['file_invalid', 'rank_pattern', [4]],
    ['file_invalid', 'target_modules', [1]],
    ['file_invalid', 'layers_to_transform', ['0']],
    ['file_invalid', 'init_lora_weights', 3],
  ])('%s: %s = %j', (code, key, value) => {
    expect(() => parsePeftConfig({ ...LORA, [key]: value }, 'c')).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(key) }),
    );
  });
});
