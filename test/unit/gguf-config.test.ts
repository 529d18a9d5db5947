import { describe, expect, test } from 'vitest';
import { llamaConfig, ropeFrequencies } from '../suites/llama-config.ts';
import { parseModelConfig } from '../../src/model/config.ts';
import { withRopeFactors } from '../../src/model/gguf-config-rope.ts';
import { ggufTensorNames } from '../../src/model/gguf-config-tensors.ts';
import { configOfGguf } from '../../src/model/gguf-config.ts';
import { readJson, repositoryFile } from './text-files.ts';
import { config, sizes, plainRope, type Settings } from './gguf-config-data.ts';

describe('families', () => {
  test('SmolLM2’s own metadata', () => {
    const { metadata: stored, tokens } = readJson<{ metadata: Settings; tokens: [number, string, number][] }>(
      repositoryFile('test/fixtures/gguf-text/smollm2.json'),
    );
    const whole = new Map(Object.entries(stored));
    whole.set('tokenizer.ggml.tokens', Array.from({ length: 49_152 }, (_, id) => `[PAD${id}]`).with(0, tokens[0]![1]));
    whole.set('tokenizer.ggml.token_type', new Int32Array(49_152).fill(5).with(0, tokens[0]![2]));
    const names = ggufTensorNames('llama').flatMap(({ gguf }) =>
      Array.from({ length: 30 }, (_, layer) => gguf.replace('{layer}', String(layer))),
    );
    const tensors = names.filter((name) => name.endsWith('.weight') && name !== 'output.weight');
    expect(parseModelConfig(configOfGguf(whole, tensors, 'smollm2.gguf'), 'smollm2.gguf')).toEqual(
      llamaConfig({
        vocabSize: 49_152,
        hiddenSize: 576,
        intermediateSize: 1536,
        layers: 30,
        heads: 9,
        kvHeads: 3,
        headDim: 64,
        normEpsilon: Math.fround(1e-5),
        ropes: [{ dimensions: 64, frequencies: ropeFrequencies(100_000, 64), factor: 1 }],
        tiedEmbeddings: true,
        contextLength: 8192,
        bosToken: 1,
        // <|im_end|> by the file, and <|endoftext|>
        endTokens: [2, 0],
      }),
    );
  });

  test('llama', () => {
    expect(config('llama', { vocab_size: 300, 'rope.dimension_count': 16 })).toEqual({
      ...sizes,
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      hidden_act: 'silu',
      tie_word_embeddings: false,
      attention_bias: false,
      mlp_bias: false,
      rope_parameters: plainRope,
    });
    expect(config('llama', {}, [])['tie_word_embeddings']).toBe(true);
    const biases = ['q', 'k', 'v', 'output'].flatMap((name) => [0, 1].map((layer) => `blk.${layer}.attn_${name}.bias`));
    expect(config('llama', {}, biases)).toMatchObject({ attention_bias: true, mlp_bias: false });
    expect(config('llama', { 'attention.head_count_kv': undefined })['num_key_value_heads']).toBe(4);
    expect(config('llama', { 'attention.head_count': new Int32Array([4, 4]) })['num_attention_heads']).toBe(4);
    expect(config('llama', { 'tokenizer.ggml.tokens': undefined, vocab_size: 7 })['vocab_size']).toBe(7);
    expect(config('llama', { 'rope.freq_base': undefined })['rope_parameters']).toEqual({ rope_type: 'default', rope_theta: 10_000 });
  });

  test('a llama with a window is Mistral', () => {
    const windowed = config('llama', { 'attention.sliding_window': 24 });
    expect(windowed).toMatchObject({ model_type: 'mistral', architectures: ['MistralForCausalLM'], sliding_window: 24 });
    expect('attention_bias' in windowed).toBe(false);
    expect(config('llama', { 'attention.sliding_window': 8192 })).toMatchObject({ model_type: 'llama' });
    expect(config('llama', { 'attention.sliding_window': 0 })).toMatchObject({ model_type: 'llama' });
  });

  test('qwen2 and qwen3', () => {
    const windows = { use_sliding_window: false, sliding_window: null, hidden_act: 'silu' };
    expect(config('qwen2')).toEqual({
      ...sizes,
      ...windows,
      architectures: ['Qwen2ForCausalLM'],
      model_type: 'qwen2',
      tie_word_embeddings: false,
      rope_parameters: plainRope,
    });
    expect(config('qwen3', { 'attention.key_length': 32, 'attention.value_length': 32 })).toEqual({
      ...sizes,
      ...windows,
      head_dim: 32,
      attention_bias: false,
      architectures: ['Qwen3ForCausalLM'],
      model_type: 'qwen3',
      tie_word_embeddings: false,
      rope_parameters: plainRope,
    });
  });

  test('gemma2: windows in turn, caps, all from llama.cpp where the file is silent', () => {
    const gemma = {
      ...sizes,
      architectures: ['Gemma2ForCausalLM'],
      model_type: 'gemma2',
      hidden_activation: 'gelu_pytorch_tanh',
      attention_bias: false,
      tie_word_embeddings: true,
      rope_parameters: plainRope,
      query_pre_attn_scalar: 16,
      sliding_window: 4096,
      layer_types: ['sliding_attention', 'full_attention'],
      attn_logit_softcapping: 50,
      final_logit_softcapping: 30,
    };
    expect(config('gemma2', {}, [])).toEqual(gemma);
    const said = { 'attention.sliding_window': 24, attn_logit_softcapping: 5, final_logit_softcapping: 0 };
    expect(config('gemma2', said, [])).toEqual({
      ...gemma,
      sliding_window: 24,
      attn_logit_softcapping: 5,
      final_logit_softcapping: null,
    });
  });

  test('gemma3: every sixth layer sees all, and rotates otherwise', () => {
    const gemma = config(
      'gemma3',
      { block_count: 8, 'attention.sliding_window': 512, 'rope.scaling.type': 'linear', 'rope.scaling.factor': 8 },
      [],
    );
    const windowed = Array.from({ length: 5 }, () => 'sliding_attention');
    expect(gemma).toEqual({
      ...sizes,
      num_hidden_layers: 8,
      architectures: ['Gemma3ForCausalLM'],
      model_type: 'gemma3_text',
      hidden_activation: 'gelu_pytorch_tanh',
      attention_bias: false,
      tie_word_embeddings: true,
      query_pre_attn_scalar: 16,
      sliding_window: 512,
      layer_types: [...windowed, 'full_attention', 'sliding_attention', 'sliding_attention'],
      attn_logit_softcapping: null,
      final_logit_softcapping: null,
      rope_parameters: {
        full_attention: { rope_type: 'linear', factor: 8, rope_theta: 50_000 },
        sliding_attention: { rope_type: 'default', rope_theta: 10_000 },
      },
    });
    const said = config(
      'gemma3',
      { 'attention.sliding_window': 24, 'attention.sliding_window_pattern': 2, 'rope.freq_base_swa': 7000 },
      [],
    );
    expect(said).toMatchObject({ layer_types: ['sliding_attention', 'full_attention'] });
    expect(said).toMatchObject({ rope_parameters: { sliding_attention: { rope_theta: 7000 } } });
    const listed = config('gemma3', { 'attention.sliding_window': 24, 'attention.sliding_window_pattern': [false, true] }, []);
    expect(listed['layer_types']).toEqual(['full_attention', 'sliding_attention']);
    expect(config('gemma3', {}, [])['layer_types']).toEqual(['full_attention', 'full_attention']);
    expect(config('gemma3', { final_logit_softcapping: 30 }, [])['final_logit_softcapping']).toBe(30);
  });

  test('the attention scale of the largest Gemmas is another', () => {
    const large = { embedding_length: 4608, 'attention.head_count': 32, 'attention.key_length': 128, 'attention.value_length': 128 };
    expect(config('gemma2', { ...large, block_count: 46 }, [])['query_pre_attn_scalar']).toBe(144);
    expect(config('gemma2', { ...large, block_count: 42 }, [])['query_pre_attn_scalar']).toBe(128);
    expect(config('gemma3', { ...large, embedding_length: 5376, block_count: 62 }, [])['query_pre_attn_scalar']).toBe(168);
    expect(config('gemma3', { ...large, block_count: 46 }, [])['query_pre_attn_scalar']).toBe(128);
  });

  test('phi3: partial rotary, window, long and short factors', async () => {
    const phi = {
      ...sizes,
      architectures: ['Phi3ForCausalLM'],
      model_type: 'phi3',
      hidden_act: 'silu',
      tie_word_embeddings: true,
      sliding_window: null,
    };
    expect(config('phi3', { 'attention.sliding_window': 0 }, [])).toEqual({
      ...phi,
      rope_parameters: { ...plainRope, partial_rotary_factor: 1 },
    });
    expect(config('phi3', { 'attention.sliding_window': 2047 }, [])['sliding_window']).toBe(2047);
    const long = config(
      'phi3',
      { 'rope.dimension_count': 12, 'rope.scaling.original_context_length': 64, 'rope.scaling.attn_factor': 1.25 },
      ['rope_factors_long.weight', 'rope_factors_short.weight'],
    );
    const rope = {
      rope_type: 'longrope',
      rope_theta: 50_000,
      partial_rotary_factor: 0.75,
      original_max_position_embeddings: 64,
      attention_factor: 1.25,
    };
    expect(long).toEqual({
      ...phi,
      original_max_position_embeddings: 64,
      rope_parameters: { ...rope, long_factor_tensor: 'rope_factors_long.weight', short_factor_tensor: 'rope_factors_short.weight' },
    });
    const read = (name: string) => Promise.resolve(new Float32Array(6).fill(name.includes('long') ? 8 : 1));
    const filled = await withRopeFactors(long, read, 'a.gguf');
    expect(filled['rope_parameters']).toEqual({ ...rope, long_factor: [8, 8, 8, 8, 8, 8], short_factor: [1, 1, 1, 1, 1, 1] });
  });
});
