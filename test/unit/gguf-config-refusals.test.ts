import { describe, expect, test } from 'vitest';
import { WebLoraError } from '../../src/errors.ts';
import { withRopeFactors } from '../../src/model/gguf-config-rope.ts';
import { ggufArchitectures, ggufTensorNames, permutedRows } from '../../src/model/gguf-config-tensors.ts';
import { configOfGguf } from '../../src/model/gguf-config.ts';
import { below, readJson, repositoryFile, seeded } from './text-files.ts';
import { metadata, config, refusal, plainRope } from './gguf-config-data.ts';

describe('rope', () => {
  test('linear scaling, under its older name too', () => {
    const linear = { rope_type: 'linear', factor: 4, rope_theta: 50_000 };
    expect(config('llama', { 'rope.scaling.type': 'linear', 'rope.scaling.factor': 4 })['rope_parameters']).toEqual(linear);
    expect(config('llama', { 'rope.scale_linear': 4 })['rope_parameters']).toEqual(linear);
    expect(config('qwen2', { 'rope.scaling.factor': 1 })['rope_parameters']).toEqual(plainRope);
    expect(config('qwen2', { 'rope.scaling.type': 'none', 'rope.scaling.factor': 4 })['rope_parameters']).toEqual(plainRope);
  });

  test('Llama 3’s factors come from a tensor, one list for every length', async () => {
    const llama3 = config('llama', {}, ['rope_freqs.weight']);
    const rope = { rope_type: 'longrope', rope_theta: 50_000, original_max_position_embeddings: 8192, attention_factor: 1 };
    expect(llama3['rope_parameters']).toEqual({
      ...rope,
      long_factor_tensor: 'rope_freqs.weight',
      short_factor_tensor: 'rope_freqs.weight',
    });
    const factors = [1, 1, 1, 2, 4, 8, 8, 8];
    const asked: string[] = [];
    const read = (name: string) => Promise.resolve((asked.push(name), factors));
    const filled = await withRopeFactors(llama3, read, 'a.gguf');
    expect(filled['rope_parameters']).toEqual({ ...rope, long_factor: factors, short_factor: factors });
    expect(asked).toEqual(['rope_freqs.weight']);
  });

  test('a part of a head takes as many factors as it has pairs', async () => {
    const rope_parameters = { partial_rotary_factor: 30 / 104, long_factor_tensor: 'l', short_factor_tensor: 's' };
    const filled = await withRopeFactors({ head_dim: 104, rope_parameters }, () => Promise.resolve(new Float32Array(15).fill(1)), 'a.gguf');
    expect(filled['rope_parameters']).toMatchObject({ long_factor: Array.from({ length: 15 }, () => 1) });
  });

  test('without factors nothing is read', async () => {
    const plain = config('llama');
    expect(await withRopeFactors(plain, () => Promise.reject(new Error('read')), 'a.gguf')).toBe(plain);
    const gemma = config('gemma3');
    expect(await withRopeFactors(gemma, () => Promise.reject(new Error('read')), 'a.gguf')).toBe(gemma);
  });

  test.each([
    ['tensor_shape', [1, 1, 1]],
    ['file_invalid', [1, 1, 1, 0, 1, 1, 1, 1]],
    ['file_invalid', [1, 1, 1, NaN, 1, 1, 1, 1]],
    ['file_invalid', [1, 1, 1, Infinity, 1, 1, 1, 1]],
  ])('%s: factors %j', async (code, factors) => {
    const llama3 = config('llama', {}, ['rope_freqs.weight']);
    const failed = withRopeFactors(llama3, () => Promise.resolve(factors), 'a.gguf');
    await expect(failed).rejects.toMatchObject({ code, message: expect.stringContaining('rope_freqs.weight') });
  });
});

describe('special tokens', () => {
  const tokens = ['<unk>', '<s>', '</s>', '<|im_end|>', '<|endoftext|>', '<EOT>', 'a'];
  const types = [2, 3, 3, 3, 3, 1, 1];

  test('all that ends a turn or a text', () => {
    const named = { 'tokenizer.ggml.eos_token_id': 3, 'tokenizer.ggml.bos_token_id': 1, 'tokenizer.ggml.padding_token_id': 0 };
    const listed = config('qwen2', { 'tokenizer.ggml.tokens': tokens, 'tokenizer.ggml.token_type': types, ...named });
    expect(listed).toMatchObject({ bos_token_id: 1, eos_token_id: [3, 2, 4], pad_token_id: 0 });
    expect(config('qwen2', { 'tokenizer.ggml.eot_token_id': 7, 'tokenizer.ggml.eom_token_id': 8 })['eos_token_id']).toEqual([7, 8]);
  });

  test('a fine-tune’s own, whose converter took it for user-defined', () => {
    const own = { 'tokenizer.ggml.tokens': ['a', '<|im_end|>'], 'tokenizer.ggml.token_type': new Int32Array([1, 4]) };
    expect(config('qwen2', own)['eos_token_id']).toEqual([1]);
  });

  test('none, as converters write it: -1 in 32 bits', () => {
    const none = 0xffffffff;
    const files = { 'tokenizer.ggml.bos_token_id': none, 'tokenizer.ggml.eos_token_id': -1, 'tokenizer.ggml.padding_token_id': none };
    expect(config('qwen2', files)).toMatchObject({ bos_token_id: null, eos_token_id: [], pad_token_id: null });
    expect(config('llama', { ...files, 'tokenizer.ggml.model': 'llama' })).toMatchObject({ bos_token_id: 1, eos_token_id: [2] });
    expect(config('qwen2', { 'tokenizer.ggml.padding_token_id': 32_000 })).toMatchObject({ pad_token_id: null });
  });

  test('Gemma’s tag </s>, which is user-defined, ends no text', () => {
    const vocabulary = ['<pad>', '<eos>', '<bos>', '</s>', '<end_of_turn>'];
    const gemma = (types: readonly number[]) =>
      config('gemma3', { 'tokenizer.ggml.tokens': vocabulary, 'tokenizer.ggml.token_type': types })['eos_token_id'];
    expect(gemma([3, 3, 3, 4, 4])).toEqual([1, 4]);
    expect(gemma([3, 3, 3, 3, 4])).toEqual([1, 3, 4]);
  });

  test('the end of a turn, whatever a converter made of it', () => {
    const normal = { 'tokenizer.ggml.tokens': ['<eos>', '<end_of_turn>'], 'tokenizer.ggml.token_type': [3, 1] };
    expect(config('gemma3', normal)['eos_token_id']).toEqual([0, 1]);
  });

  test('SentencePiece’s usual ids where the file names none', () => {
    expect(config('llama', { 'tokenizer.ggml.model': 'llama' })).toMatchObject({ bos_token_id: 1, eos_token_id: [2] });
    expect(config('llama', { 'tokenizer.ggml.model': 'gpt2' })).toMatchObject({ bos_token_id: null, eos_token_id: [] });
  });
});

describe('refusals', () => {
  test.each([
    ['an unknown architecture', 'mamba', {}, [], '"mamba"'],
    ['an adapter', 'llama', { 'general.type': 'adapter' }, [], '"adapter"'],
    ['yarn', 'qwen2', { 'rope.scaling.type': 'yarn', 'rope.scaling.factor': 4, 'rope.scaling.yarn_beta_fast': 32 }, [], '"yarn"'],
    ['an unknown setting', 'llama', { 'attention.q_lora_rank': 7 }, [], 'llama.attention.q_lora_rank is 7'],
    ['a setting of another architecture', 'llama', { attn_logit_softcapping: 50 }, [], 'llama.attn_logit_softcapping'],
    ['a window where none is served', 'qwen2', { 'attention.sliding_window': 4096 }, [], 'qwen2.attention.sliding_window'],
    ['experts', 'llama', { expert_count: 8 }, [], 'llama.expert_count is 8'],
    ['attention both ways', 'gemma3', { 'attention.causal': false }, [], 'gemma3.attention.causal'],
    ['an unknown tensor', 'llama', {}, ['blk.0.attn_q_norm.weight'], 'blk.0.attn_q_norm.weight'],
    ['a tensor of a layer too many', 'llama', {}, ['blk.2.attn_q.weight'], 'blk.2.attn_q.weight'],
    ['biases in part', 'llama', {}, ['blk.0.attn_q.bias'], 'blk.0.attn_q.bias'],
    ['partly rotated heads', 'llama', { 'rope.dimension_count': 8 }, [], 'rope.dimension_count is 8'],
    ['values of another length', 'llama', { 'attention.value_length': 8 }, [], 'value_length is 8'],
    ['layers that differ', 'llama', { 'attention.head_count_kv': [2, 4] }, [], 'head_count_kv'],
    ['too many layers', 'gemma2', { block_count: 2 ** 31 }, [], 'block_count is 2147483648'],
    ['factors for another architecture', 'qwen2', {}, ['rope_freqs.weight'], 'rope_freqs.weight'],
    ['factors twice', 'llama', { 'rope.scaling.factor': 4 }, ['rope_freqs.weight'], 'rope_freqs.weight'],
    ['half of LongRoPE', 'phi3', {}, ['rope_factors_long.weight'], 'rope_factors_long.weight'],
    ['LongRoPE without factors', 'llama', { 'rope.scaling.type': 'longrope' }, [], 'rope_factors_long.weight'],
    ['an attention factor alone', 'llama', { 'rope.scaling.attn_factor': 1.5 }, [], 'attn_factor is 1.5'],
  ])('%s is not served', (_, architecture, settings, tensors, words) => {
    const { code, message } = refusal(architecture, settings, tensors);
    expect(code).toBe('model_unsupported');
    expect(message).toContain(words);
    expect(message).toMatch(/^a\.gguf: /);
  });

  test.each([
    ['general.architecture', { 'general.architecture': 7 }, '7'],
    ['llama.block_count', { block_count: undefined }, 'undefined'],
    ['llama.embedding_length', { embedding_length: -1 }, '-1'],
    ['llama.context_length', { context_length: '8192' }, '"8192"'],
    ['llama.attention.head_count', { 'attention.head_count': [] }, 'a list of 0'],
    ['llama.attention.key_length', { 'attention.head_count': 7 }, 'positive integer'],
    ['llama.attention.layer_norm_rms_epsilon', { 'attention.layer_norm_rms_epsilon': undefined }, 'undefined'],
    ['llama.rope.freq_base', { 'rope.freq_base': NaN }, 'null'],
    ['llama.attention.sliding_window', { 'attention.sliding_window': 0.5 }, '0.5'],
    ['llama.rope.scaling.factor', { 'rope.scaling.factor': -2 }, '-2'],
    ['tokenizer.ggml.eos_token_id', { 'tokenizer.ggml.eos_token_id': 300 }, '300'],
  ])('%s is no valid value', (key, settings, words) => {
    const { code, message } = refusal('llama', settings);
    expect(code).toBe('gguf_metadata');
    expect(message).toContain(key);
    expect(message).toContain(words);
  });

  test('damaged metadata ends in a typed error or in a config', () => {
    const random = seeded(23);
    const odd: readonly unknown[] = [
      undefined,
      null,
      '',
      'x',
      -1,
      0,
      0.5,
      1,
      2 ** 31,
      2 ** 53,
      NaN,
      true,
      [],
      [1, 1],
      new Float32Array(2),
      {},
    ];
    const pick = <T>(list: readonly T[]): T => list[below(random, list.length)]!;
    for (let round = 0; round < 3000; round++) {
      const architecture = pick(ggufArchitectures);
      const entries = metadata(architecture, {
        'attention.sliding_window': architecture.startsWith('qwen') ? 0 : 24,
        'rope.scaling.type': 'linear',
        'rope.scaling.factor': 2,
      });
      entries.set(pick([...entries.keys(), `${architecture}.attention.sliding_window_pattern`]), pick(odd));
      try {
        expect(configOfGguf(entries, [], 'a.gguf')).toHaveProperty('model_type');
      } catch (error) {
        expect(error).toBeInstanceOf(WebLoraError);
      }
    }
  });

  test('a pattern for other layers is no valid value', () => {
    const pattern = { 'attention.sliding_window': 24, 'attention.sliding_window_pattern': [true] };
    expect(refusal('gemma3', pattern)).toMatchObject({ code: 'gguf_metadata', message: expect.stringContaining('sliding_window_pattern') });
  });
});

describe('tensors', () => {
  const names = readJson<Record<string, Record<string, string>>>(repositoryFile('test/fixtures/gguf-text/names.json'));

  test.each(ggufArchitectures)('%s: both names, as gguf-py has them', (architecture) => {
    const ours = ggufTensorNames(architecture).filter(({ name }) => name.endsWith('.weight'));
    const stem = (name: string): string => name.replace('{layer}', '7').replace(/\.weight$/, '');
    expect(Object.fromEntries(ours.map(({ name, gguf }) => [stem(name), stem(gguf)]))).toEqual(names[architecture]);
    const biases = ggufTensorNames(architecture).filter(({ name }) => name.endsWith('.bias'));
    for (const { name, gguf } of biases) {
      expect(names[architecture]![stem(name).replace(/\.bias$/, '')]).toBe(stem(gguf).replace(/\.bias$/, ''));
    }
  });

  test('rows are permuted for llama alone, biases too', () => {
    const permuted = ggufArchitectures.flatMap((each) => ggufTensorNames(each).filter(({ permuted: heads }) => heads !== undefined));
    expect(permuted.map(({ gguf, permuted: heads }) => [gguf, heads])).toEqual([
      ['blk.{layer}.attn_q.weight', 'num_attention_heads'],
      ['blk.{layer}.attn_k.weight', 'num_key_value_heads'],
      ['blk.{layer}.attn_q.bias', 'num_attention_heads'],
      ['blk.{layer}.attn_k.bias', 'num_key_value_heads'],
    ]);
  });

  test('Gemma’s norms hold the one, all of them', () => {
    for (const architecture of ggufArchitectures) {
      const holding = ggufTensorNames(architecture).filter(({ holdsOne }) => holdsOne === true);
      expect(holding).toHaveLength({ gemma2: 5, gemma3: 7 }[architecture as string] ?? 0);
      expect(holding.every(({ name }) => name.endsWith('norm.weight'))).toBe(true);
    }
  });

  test('permuted rows are the converter’s rule, read backwards', () => {
    for (const [heads, headDim] of [
      [1, 2],
      [4, 16],
      [3, 64],
    ] as const) {
      // rows.reshape(heads, 2, headDim / 2).swapaxes(1, 2): what lay at (head, half, i) lies at (head, i, half)
      const half = headDim / 2;
      const stored = new Uint32Array(heads * headDim);
      for (let head = 0; head < heads; head++) {
        for (let side = 0; side < 2; side++) {
          for (let i = 0; i < half; i++) stored[(head * half + i) * 2 + side] = (head * 2 + side) * half + i;
        }
      }
      expect(permutedRows(heads, headDim)).toEqual(stored);
    }
    expect([...permutedRows(2, 6)]).toEqual([0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
    expect(() => permutedRows(2, 7)).toThrow(RangeError);
  });
});
