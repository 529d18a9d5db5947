import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseModelConfig, ropeFrequencies, windowOf, type ModelConfig } from '../../src/model/config.ts';
import { ropeFrequencies as plain } from '../suites/llama-config.ts';
import * as hub from './config-families-data.ts';
import { small } from './config-families-data.ts';
import { repositoryFile } from './text-files.ts';

type Json = Readonly<Record<string, unknown>>;

const parse = (json: Json): ModelConfig => parseModelConfig(json, 'config.json');
const reference = (name: string, file = 'config.json'): Json =>
  JSON.parse(readFileSync(repositoryFile(`test/fixtures/arch/${name}/base/${file}`), 'utf8')) as Json;
const windows = (config: ModelConfig): number[] => config.layerKinds.map(({ window }) => window);

const PHI4 = { type: 'longrope', short_factor: [1, 1, 1, 1, 1, 1, 1, 1], long_factor: [1, 2, 3, 4, 5, 6, 7, 8] };

describe('families', () => {
  test.each(['gemma2', 'gemma3', 'phi3-fused', 'phi4-longrope', 'phi4-shortrope', 'qwen3-qknorm'])(
    '%s: config.json of before transformers 5 says the same',
    (name) => {
      expect(existsSync(repositoryFile(`test/fixtures/arch/${name}/base/config.older.json`))).toBe(true);
      expect(parse(reference(name, 'config.older.json'))).toEqual(parse(reference(name)));
    },
  );

  test.each<[string, Partial<ModelConfig>]>([
    ['llama-linear', { ropes: [{ dimensions: 16, frequencies: plain(10_000, 16).map((each) => each / 4), factor: 1 }] }],
    ['mistral-window', { family: 'mistral', layerKinds: [24, 24].map((window) => ({ window, rope: 0 })) }],
    ['qwen2-bias', { biases: { qkv: true, o: false, mlp: false }, queryKeyNorm: 'no', tiedEmbeddings: true }],
    ['qwen3-qknorm', { biases: { qkv: false, o: false, mlp: false }, queryKeyNorm: 'each head', headDim: 32, norms: 'before' }],
    ['phi3-fused', { fused: true, normEpsilon: 1e-5, ropes: [{ dimensions: 16, frequencies: plain(10_000, 16), factor: 1 }] }],
    [
      'gemma2',
      {
        activation: 'gelu-tanh',
        embeddingScale: 8,
        attentionScale: 0.25,
        attentionCap: 50,
        logitCap: 30,
        norms: 'around',
        normOffset: 1,
        queryKeyNorm: 'no',
        layerKinds: [24, Infinity].map((window) => ({ window, rope: 0 })),
      },
    ],
    [
      'gemma3',
      {
        attentionCap: 0,
        logitCap: 0,
        norms: 'around',
        normOffset: 1,
        queryKeyNorm: 'each head',
        layerKinds: [
          { window: 24, rope: 0 },
          { window: Infinity, rope: 1 },
        ],
        ropes: [
          { dimensions: 16, frequencies: plain(10_000, 16), factor: 1 },
          { dimensions: 16, frequencies: plain(1_000_000, 16).map((each) => each / 8), factor: 1 },
        ],
      },
    ],
  ])('%s', (name, expected) => {
    expect(parse(reference(name))).toMatchObject(expected);
  });

  test('hidden_act is Gemma’s activation, too', () => {
    expect(parse(small('gemma2', { hidden_act: 'gelu_pytorch_tanh' })).activation).toBe('gelu-tanh');
  });

  test.each<[string, Json, Partial<ModelConfig>]>([
    ['Llama 3.2 1B', hub.LLAMA_32_1B, { headDim: 64, contextLength: 131_072, endTokens: [128001, 128008, 128009] }],
    ['Mistral 7B v0.1', hub.MISTRAL_01, { headDim: 128, kvHeads: 8 }],
    ['Qwen2.5 0.5B', hub.QWEN_25_05B, { headDim: 64, kvHeads: 2, biases: { qkv: true, o: false, mlp: false } }],
    ['Gemma 2 9B', hub.GEMMA_2_9B, { embeddingScale: Math.sqrt(3584), layers: 42, endTokens: [1] }],
    ['Gemma 2 2B', hub.GEMMA_2_2B, { embeddingScale: 48, attentionScale: 1 / 16, tiedEmbeddings: true, endTokens: [1, 107] }],
    [
      'Gemma 3 4B, which sees pictures',
      hub.GEMMA_3_4B,
      {
        family: 'gemma3_text',
        vocabSize: 262_208,
        hiddenSize: 2560,
        heads: 8,
        kvHeads: 4,
        headDim: 256,
        tiedEmbeddings: true,
        bosToken: 2,
        endTokens: [1, 106],
      },
    ],
    ['Phi-3 mini 4k', hub.PHI_3_MINI_4K, { headDim: 96, fused: true, endTokens: [32_000] }],
    ['Phi-4 mini', hub.PHI_4_MINI, { headDim: 128, fused: true, kvHeads: 8 }],
  ])('%s as on the hub', (_, json, expected) => {
    expect(parse(json)).toMatchObject(expected);
  });

  test.each<[string, Json, string]>([
    ['gemma3_text', { attn_logit_softcapping: 50 }, 'attn_logit_softcapping'],
    ['gemma3_text', { rope_parameters: { rope_theta: 1e6, rope_type: 'default' } }, 'rope_parameters has rope_theta'],
    ['gemma3_text', { rope_local_base_freq: 1e4, rope_parameters: { sliding_attention: { rope_theta: 2e4 } } }, 'rope_local_base_freq'],
    ['gemma2', { hidden_activation: 'gelu' }, 'hidden_activation'],
    ['gemma2', { use_bidirectional_attention: true }, 'use_bidirectional_attention'],
    ['gemma2', { sliding_window: null }, 'sliding_window'],
    ['mistral', { attention_bias: true }, 'attention_bias'],
    ['mistral', { layer_types: Array.from({ length: 4 }, () => 'full_attention') }, 'layer_types'],
    ['mistral', { attn_logit_softcapping: 50 }, 'attn_logit_softcapping'],
    ['qwen2', { layer_types: Array.from({ length: 4 }, () => 'sliding_attention') }, 'use_sliding_window'],
    ['qwen2', { rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 32768 } }, 'yarn'],
    ['qwen3', { num_experts: 8 }, 'num_experts'],
    ['phi3', { hidden_act: 'gelu_pytorch_tanh' }, 'hidden_act'],
    ['phi3', { partial_rotary_factor: 0.7 }, 'partial_rotary_factor'],
    ['phi3', { partial_rotary_factor: 0.75, rope_parameters: { partial_rotary_factor: 0.5 } }, 'partial_rotary_factor'],
    ['phi3', { original_max_position_embeddings: 4, rope_scaling: { ...PHI4, original_max_position_embeddings: 8 } }, 'original_max'],
    ['llama', { rope_scaling: { type: 'linear', factor: 2 }, rope_parameters: { rope_type: 'linear', factor: 4 } }, 'rope_scaling'],
  ])('%s with %j → model_unsupported by name', (type, more, name) => {
    expect(() => parse(small(type, more))).toThrow(
      expect.objectContaining({ code: 'model_unsupported', message: expect.stringContaining(name) }),
    );
  });

  test.each<[string, Json, string]>([
    ['mistral', { sliding_window: 0 }, 'sliding_window'],
    ['mistral', { sliding_window: 1.5 }, 'sliding_window'],
    ['gemma2', { attn_logit_softcapping: -1 }, 'attn_logit_softcapping'],
    ['gemma2', { query_pre_attn_scalar: 0 }, 'query_pre_attn_scalar'],
    ['gemma3_text', { layer_types: ['full_attention'] }, 'layer_types'],
    ['gemma3_text', { sliding_window_pattern: -1 }, 'sliding_window_pattern'],
    ['qwen3', { use_sliding_window: 'no' }, 'use_sliding_window'],
    ['gemma3', { text_config: 3 }, 'text_config'],
    ['gemma3', {}, 'text_config'],
  ])('%s with %j → file_invalid by name', (type, more, name) => {
    expect(() => parse(small(type, more))).toThrow(
      expect.objectContaining({ code: 'file_invalid', message: expect.stringContaining(name) }),
    );
  });

  test('a setting that counts is refused around the text of a Gemma 3, inside it, and for another text', () => {
    for (const [json, name] of [
      [{ ...hub.GEMMA_3_4B, quantization_config: { bits: 4 } }, 'quantization_config'],
      [{ ...hub.GEMMA_3_4B, text_config: { frobnicate: 3 } }, 'frobnicate'],
      [{ ...hub.GEMMA_3_4B, text_config: { model_type: 'llama' } }, 'model_type'],
      [{ ...hub.GEMMA_3_4B, architectures: ['Gemma3ForCausalLM'] }, 'architectures'],
    ] as const) {
      expect(() => parse(json)).toThrow(expect.objectContaining({ code: 'model_unsupported', message: expect.stringContaining(name) }));
    }
  });
});

describe('windows', () => {
  test('of all layers: Mistral, Phi-3', () => {
    expect(windowOf(parse(hub.MISTRAL_01))).toBe(4096);
    expect(windows(parse(hub.PHI_3_MINI_4K))).toEqual(Array.from({ length: 32 }, () => 2047));
    expect(windows(parse(small('mistral')))).toEqual([4096, 4096, 4096, 4096]);
    expect(windowOf(parse(small('mistral', { sliding_window: null })))).toBe(Infinity);
    expect(windowOf(parse(small('phi3')))).toBe(Infinity);
  });

  test('a window that no text leaves is none', () => {
    expect(windowOf(parse(hub.PHI_4_MINI))).toBe(Infinity);
    expect(windowOf(parse(small('mistral', { max_position_embeddings: 24, sliding_window: 24 })))).toBe(Infinity);
    expect(windowOf(parse(small('mistral', { max_position_embeddings: 24, sliding_window: 23 })))).toBe(23);
  });

  test('of upper layers: Qwen', () => {
    expect(windowOf(parse(hub.QWEN_25_05B))).toBe(Infinity);
    const upper = { use_sliding_window: true, sliding_window: 32, max_window_layers: 3 };
    expect(windows(parse(small('qwen2', upper)))).toEqual([Infinity, Infinity, Infinity, 32]);
    expect(windows(parse(small('qwen3', { ...upper, max_window_layers: 0 })))).toEqual([32, 32, 32, 32]);
    const listed = ['sliding_attention', 'full_attention', 'full_attention', 'full_attention'];
    expect(windows(parse(small('qwen3', { ...upper, layer_types: listed })))).toEqual([32, Infinity, Infinity, Infinity]);
  });

  test('by a pattern: Gemma', () => {
    expect(windows(parse(small('gemma2')))).toEqual([4096, Infinity, 4096, Infinity]);
    expect(windowOf(parse(small('gemma2')))).toBe(Infinity);
    const gemma3 = (more: Json): number[] => parse(small('gemma3_text', more)).layerKinds.map(({ window }) => window);
    expect(gemma3({})).toEqual([4096, 4096, 4096, 4096]);
    expect(gemma3({ sliding_window_pattern: 3 })).toEqual([4096, 4096, Infinity, 4096]);
    expect(gemma3({ _sliding_window_pattern: 3 })).toEqual([4096, 4096, Infinity, 4096]);
    const listed = ['full_attention', 'full_attention', 'sliding_attention', 'full_attention'];
    expect(gemma3({ sliding_window_pattern: 3, layer_types: listed })).toEqual([Infinity, Infinity, 4096, Infinity]);
  });

  test('Gemma 3’s local rope is no more scaled than its window is short', () => {
    const { ropes, layerKinds } = parse(hub.GEMMA_3_4B);
    expect(layerKinds.slice(0, 6).map(({ window }) => window)).toEqual([1024, 1024, 1024, 1024, 1024, Infinity]);
    expect(ropes[layerKinds[0]!.rope]!.frequencies).toEqual(plain(10_000, 256));
    expect(ropes[layerKinds[5]!.rope]!.frequencies).toEqual(plain(1_000_000, 256).map((each) => each / 8));
    // all windows longer than any text: the local rope is still theirs
    const short = parse(small('gemma3_text', { max_position_embeddings: 512 }));
    expect(short.ropes).toEqual([{ dimensions: 256, frequencies: plain(10_000, 256), factor: 1 }]);
  });
});

describe('rope', () => {
  test('llama3: short waves stay, long ones are stretched, those between are blended', () => {
    const { frequencies, factor, dimensions } = parse(hub.LLAMA_32_1B).ropes[0]!;
    const unscaled = plain(500_000, 64);
    const expected = unscaled.map((frequency) => {
      const wavelength = (2 * Math.PI) / frequency;
      if (wavelength < 8192 / 4) return frequency;
      if (wavelength > 8192) return frequency / 32;
      const smooth = (8192 / wavelength - 1) / 3;
      return ((1 - smooth) * frequency) / 32 + smooth * frequency;
    });
    expect([dimensions, factor]).toEqual([64, 1]);
    frequencies.forEach((frequency, pair) => expect(frequency).toBeCloseTo(expected[pair]!, 14));
    const ratios = frequencies.map((frequency, pair) => unscaled[pair]! / frequency);
    expect(ratios.filter((ratio) => ratio === 1).length).toBe(15);
    expect(ratios.filter((ratio) => ratio > 1 && ratio < 31.999).length).toBe(3);
  });

  test('the original length: inside, around, by the family', () => {
    const llama3 = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
    const of = (more: Json): readonly number[] => parse(small('llama', { max_position_embeddings: 64, ...more })).ropes[0]!.frequencies;
    expect(of({ rope_scaling: llama3 })).toEqual(of({ rope_scaling: { ...llama3, original_max_position_embeddings: 64 } }));
    const phi = (more: Json): number => parse(small('phi3', more)).ropes[0]!.long!.original;
    expect(phi({ rope_scaling: PHI4 })).toBe(4096);
    expect(phi({ rope_scaling: PHI4, original_max_position_embeddings: 64 })).toBe(64);
    expect(phi({ rope_scaling: { ...PHI4, original_max_position_embeddings: 64 } })).toBe(64);
  });

  test('LongRoPE: which factors serve is decided by the served length, the attention factor is that of both', () => {
    const rope = parse(reference('phi4-longrope')).ropes[0]!;
    const factors = reference('phi4-longrope')['rope_parameters'] as { short_factor: number[]; long_factor: number[] };
    const divided = (by: readonly number[]): number[] => plain(10_000, 12).map((frequency, pair) => frequency / by[pair]!);
    expect(rope.dimensions).toBe(12);
    expect(ropeFrequencies(rope, 64)).toEqual(divided(factors.short_factor));
    expect(ropeFrequencies(rope, 65)).toEqual(divided(factors.long_factor));
    expect(rope.factor).toBe(Math.sqrt(1 + Math.log(8) / Math.log(64)));
    const [short] = parse(reference('phi4-shortrope')).ropes;
    expect(short).toMatchObject({ factor: 1, dimensions: 12 });
    expect(ropeFrequencies(short!, 512)).toEqual(divided(factors.short_factor));
  });

  test('LongRoPE’s attention factor: of Phi-4 mini, as said, by the factor that is said', () => {
    expect(parse(hub.PHI_4_MINI).ropes[0]).toMatchObject({ dimensions: 96, factor: 1.1902380714238083 });
    const of = (more: Json): number => parse(small('phi3', { rope_scaling: { ...PHI4, ...more } })).ropes[0]!.factor;
    expect(of({ attention_factor: 1.5 })).toBe(1.5);
    expect(of({ factor: 32 })).toBeCloseTo(1.1902380714238083, 15);
    expect(of({ factor: 0.5 })).toBe(1);
    expect(of({})).toBe(1);
  });

  test('older names of LongRoPE are Phi-3’s alone', () => {
    const older = parse(small('phi3', { rope_scaling: { ...PHI4, type: 'su' } }));
    expect(older).toEqual(parse(small('phi3', { rope_scaling: PHI4 })));
    expect(() => parse(small('llama', { rope_scaling: { ...PHI4, type: 'su' } }))).toThrow(
      expect.objectContaining({ code: 'model_unsupported', message: expect.stringContaining('su') }),
    );
  });

  test('the same rope said twice is one', () => {
    const twice = small('llama', { rope_scaling: { type: 'linear', factor: 4 }, rope_parameters: { rope_type: 'linear', factor: 4 } });
    expect(parse(twice)).toEqual(parse(small('llama', { rope_scaling: { type: 'linear', factor: 4 } })));
  });
});
