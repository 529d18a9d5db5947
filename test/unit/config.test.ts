import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseModelConfig, type Rope } from '../../src/model/config.ts';
import { llamaConfig, ropeFrequencies } from '../suites/llama-config.ts';
import { parseGenerationConfig } from '../../src/model/generation-config.ts';

const SHARED = new URL('../../../shared/', import.meta.url);
const shared = (path: string): unknown => JSON.parse(readFileSync(new URL(path, SHARED), 'utf8'));
const SMALL = {
  model_type: 'llama',
  vocab_size: 512,
  hidden_size: 64,
  intermediate_size: 160,
  num_hidden_layers: 2,
  num_attention_heads: 4,
};

/** As on the hub. */
const SMOLLM2 = {
  architectures: ['LlamaForCausalLM'],
  attention_bias: false,
  attention_dropout: 0.0,
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: 'silu',
  hidden_size: 576,
  initializer_range: 0.041666666666666664,
  intermediate_size: 1536,
  is_llama_config: true,
  max_position_embeddings: 8192,
  mlp_bias: false,
  model_type: 'llama',
  num_attention_heads: 9,
  num_hidden_layers: 30,
  num_key_value_heads: 3,
  pad_token_id: 2,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_interleaved: false,
  rope_scaling: null,
  rope_theta: 100000,
  tie_word_embeddings: true,
  torch_dtype: 'bfloat16',
  'transformers.js_config': { kv_cache_dtype: { q4f16: 'float16', fp16: 'float16' } },
  transformers_version: '4.42.3',
  use_cache: true,
  vocab_size: 49152,
};
const TINYLLAMA = {
  architectures: ['LlamaForCausalLM'],
  attention_bias: false,
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: 'silu',
  hidden_size: 2048,
  initializer_range: 0.02,
  intermediate_size: 5632,
  max_position_embeddings: 2048,
  model_type: 'llama',
  num_attention_heads: 32,
  num_hidden_layers: 22,
  num_key_value_heads: 4,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_scaling: null,
  rope_theta: 10000.0,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.35.0',
  use_cache: true,
  vocab_size: 32000,
};
const LLAMA2 = {
  _name_or_path: 'meta-llama/Llama-2-7b-chat-hf',
  architectures: ['LlamaForCausalLM'],
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: 'silu',
  hidden_size: 4096,
  initializer_range: 0.02,
  intermediate_size: 11008,
  max_position_embeddings: 4096,
  model_type: 'llama',
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 32,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_scaling: null,
  tie_word_embeddings: false,
  torch_dtype: 'float16',
  transformers_version: '4.32.0.dev0',
  use_cache: true,
  vocab_size: 32000,
};
const LLAMA3 = {
  architectures: ['LlamaForCausalLM'],
  attention_bias: false,
  attention_dropout: 0.0,
  bos_token_id: 128000,
  eos_token_id: 128009,
  hidden_act: 'silu',
  hidden_size: 4096,
  initializer_range: 0.02,
  intermediate_size: 14336,
  max_position_embeddings: 8192,
  model_type: 'llama',
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_scaling: null,
  rope_theta: 500000.0,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.40.0.dev0',
  use_cache: true,
  vocab_size: 128256,
};

const plain = (theta: number, dimensions: number): Rope => ({ dimensions, frequencies: ropeFrequencies(theta, dimensions), factor: 1 });

describe('config.json', () => {
  test.each([
    [
      'SmolLM2',
      SMOLLM2,
      { headDim: 64, kvHeads: 3, ropes: [plain(100000, 64)], tiedEmbeddings: true, contextLength: 8192, endTokens: [2] },
    ],
    ['TinyLlama', TINYLLAMA, { headDim: 64, kvHeads: 4, ropes: [plain(10000, 64)], tiedEmbeddings: false, normEpsilon: 1e-5 }],
    ['Llama 2', LLAMA2, { headDim: 128, kvHeads: 32, ropes: [plain(10000, 128)], intermediateSize: 11008 }],
    [
      'Llama 3',
      LLAMA3,
      { headDim: 128, kvHeads: 8, ropes: [plain(500000, 128)], bosToken: 128000, endTokens: [128009], vocabSize: 128256 },
    ],
  ])('of %s is read', (_, config, expected) => {
    expect(parseModelConfig(config, 'config.json')).toMatchObject(expected);
  });

  test("absent keys have transformers' defaults", () => {
    expect(parseModelConfig(SMALL, 'config.json')).toEqual(
      llamaConfig({
        vocabSize: 512,
        hiddenSize: 64,
        intermediateSize: 160,
        layers: 2,
        heads: 4,
        headDim: 16,
        normEpsilon: 1e-6,
        contextLength: 2048,
        bosToken: 1,
        endTokens: [2],
      }),
    );
  });

  test('older and newer spelling mean the same', () => {
    const older = parseModelConfig({ ...SMALL, rope_theta: 5e5, rope_scaling: null, torch_dtype: 'float16' }, 'c');
    expect(older.ropes).toEqual([plain(5e5, 16)]);
    expect(parseModelConfig({ ...SMALL, rope_parameters: { rope_theta: 5e5, rope_type: 'default' }, dtype: 'float16' }, 'c')).toEqual(
      older,
    );
    expect(parseModelConfig({ ...SMALL, rope_theta: 5e5, rope_scaling: { type: 'default' } }, 'c')).toEqual(older);
  });

  test('end tokens: a number, a list, none', () => {
    expect(parseModelConfig({ ...SMALL, eos_token_id: [2, 9, 2] }, 'c').endTokens).toEqual([2, 9]);
    expect(parseModelConfig({ ...SMALL, eos_token_id: null, bos_token_id: null }, 'c')).toMatchObject({
      endTokens: [],
      bosToken: undefined,
    });
  });

  test.each<[string, unknown]>([
    ['model_type', 'mixtral'],
    ['architectures', ['LlamaForSequenceClassification']],
    ['hidden_act', 'gelu'],
    ['hidden_activation', 'silu'],
    ['qkv_bias', true],
    ['lm_head_bias', true],
    ['rope_scaling', { type: 'dynamic', factor: 4 }],
    ['rope_scaling', { type: 'su', factor: 4 }],
    ['rope_scaling', { type: 'linear', factor: 4, low_freq_factor: 1 }],
    ['rope_scaling', { rope_type: 'default', mrope_section: [16, 24, 24] }],
    ['rope_parameters', { rope_type: 'yarn', rope_theta: 1e4 }],
    ['rope_parameters', { rope_theta: 1e4, factor: 2 }],
    ['rope_interleaved', true],
    ['sliding_window', 4096],
    ['partial_rotary_factor', 0.5],
    ['final_logit_softcapping', 30],
    ['quantization_config', { quant_method: 'awq' }],
    ['layer_types', ['full_attention', 'sliding_attention']],
    ['layer_types', ['full_attention', 'chunked_attention']],
    ['auto_map', { A: 'b' }],
    ['auto_map', { AutoModelForCausalLM: 'modeling_own.OwnForCausalLM' }],
    ['query_pre_attn_scalar', 16],
    ['use_bidirectional_attention', true],
    ['frobnicate', 2],
    ['head_dim', 20],
    ['num_key_value_heads', 3],
    ['num_attention_heads', 5],
    ['intermediate_size', 162],
    ['hidden_size', 1 << 20],
    ['num_hidden_layers', 1e6],
    ['rope_theta', 0.1],
    ['rms_norm_eps', 0],
  ])('%s = %j → model_unsupported by name', (key, value) => {
    const name = key === 'num_attention_heads' ? 'hidden_size' : key;
    expect(() => parseModelConfig({ ...SMALL, [key]: value }, 'config.json')).toThrow(
      expect.objectContaining({ code: 'model_unsupported', message: expect.stringContaining(name) }),
    );
  });

  test.each<[string, unknown]>([
    ['model_type', undefined],
    ['hidden_size', undefined],
    ['hidden_size', '64'],
    ['hidden_size', 0],
    ['vocab_size', -1],
    ['num_hidden_layers', 1.5],
    ['rms_norm_eps', 'small'],
    ['rope_theta', Infinity],
    ['tie_word_embeddings', 1],
    ['eos_token_id', '2'],
    ['eos_token_id', [2, -1]],
    ['bos_token_id', 0.5],
    ['rope_parameters', 7],
    ['rope_scaling', { type: 'linear' }],
    ['rope_scaling', { type: 'linear', factor: -4 }],
    ['rope_scaling', { rope_type: 'llama3', factor: 8 }],
    ['rope_scaling', { rope_type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 4 }],
    ['rope_scaling', { rope_type: 'longrope', short_factor: [1], long_factor: [1] }],
    ['attention_bias', 'yes'],
    ['layer_types', ['full_attention']],
    ['architectures', 'LlamaForCausalLM'],
  ])('%s = %j → file_invalid by name', (key, value) => {
    expect(() => parseModelConfig({ ...SMALL, [key]: value }, 'config.json')).toThrow(
      expect.objectContaining({ code: 'file_invalid', message: expect.stringContaining(key) }),
    );
  });

  test('no object → file_invalid; keys that say nothing are let through', () => {
    for (const json of [null, [], 'llama', 3])
      expect(() => parseModelConfig(json, 'c')).toThrow(expect.objectContaining({ code: 'file_invalid' }));
    expect(parseModelConfig({ ...SMALL, frobnicate: null, shiny: false, other: {} }, 'c').layers).toBe(2);
  });

  test.skipIf(!existsSync(SHARED))('the reference models are read', () => {
    for (const name of ['references/arch/llama/base', 'references/arch/llama-tied/base', 'models/frontdesk/base']) {
      expect(parseModelConfig(shared(`${name}/config.json`), name).vocabSize).toBeGreaterThan(0);
      expect(parseGenerationConfig(shared(`${name}/generation_config.json`), name)).toEqual({ endTokens: [2], defaults: {}, ignored: [] });
    }
  });
});

describe('generation_config.json', () => {
  test('serves what vLLM takes from it, and names the rest', () => {
    const llama3 = {
      bos_token_id: 128000,
      eos_token_id: [128001, 128009],
      do_sample: true,
      temperature: 0.6,
      max_length: 4096,
      top_p: 0.9,
    };
    expect(parseGenerationConfig(llama3, 'g')).toEqual({
      endTokens: [128001, 128009],
      defaults: { temperature: 0.6, topP: 0.9 },
      ignored: [],
    });
    const qwen3 = { temperature: 0.6, top_k: 20, top_p: 0.95, min_p: 0, repetition_penalty: 1.05, do_sample: true };
    expect(parseGenerationConfig(qwen3, 'g').defaults).toEqual({
      temperature: 0.6,
      topK: 20,
      topP: 0.95,
      minP: 0,
      repetitionPenalty: 1.05,
    });
    const neutral = { top_p: null, typical_p: 1, frequency_penalty: 0, num_beams: 1, bad_words_ids: null, suppress_tokens: [] };
    expect(parseGenerationConfig(neutral, 'g')).toEqual({ endTokens: [], defaults: {}, ignored: [] });
    expect(
      parseGenerationConfig({ typical_p: 0.9, presence_penalty: 1, max_new_tokens: 256, stop_strings: ['x'], new_knob: 3 }, 'g').ignored,
    ).toEqual(['typical_p=0.9', 'presence_penalty=1', 'max_new_tokens=256', 'stop_strings=["x"]', 'new_knob=3']);
  });

  test.each([
    { temperature: -1 },
    { temperature: '0.6' },
    { temperature: Infinity },
    { top_k: 1.5 },
    { top_k: -2 },
    { top_p: 0 },
    { top_p: 1.1 },
    { min_p: -0.1 },
    { repetition_penalty: 0 },
    { repetition_penalty: true },
    { eos_token_id: 'x' },
    [],
  ])('%j → file_invalid', (json) => {
    expect(() => parseGenerationConfig(json, 'g')).toThrow(expect.objectContaining({ code: 'file_invalid' }));
  });
});
