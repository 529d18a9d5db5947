import { describe, expect, test } from 'vitest';
import { readGgufModel } from '../../src/engine/load-gguf.ts';
import { openModel } from '../../src/engine/load.ts';
import type { EngineOptions } from '../../src/engine/types.ts';
import { planeTypes } from '../../src/model/plane-types.ts';
import type { Tokenizer } from '../../src/text/tokenizer.ts';
import { memoryFolder } from './files.ts';
import { count, floats, ggufBytes, text, texts, VALUE, type Entry, type GgufPart } from './gguf-files.ts';

const GGML_Q8_0 = 8;
const HIDDEN = 32;
const INTERMEDIATE = 64;
const TOKENS = ['a', 'b', 'ab', '<|end|>'];
const f32 = (key: string, value: number): Entry => [key, VALUE.f32, new Uint8Array(Float32Array.of(value).buffer)];

const entries = (architecture: string, tokenizer: readonly Entry[]): Entry[] => [
  text('general.architecture', architecture),
  count(`${architecture}.embedding_length`, HIDDEN),
  count(`${architecture}.block_count`, 1),
  count(`${architecture}.feed_forward_length`, INTERMEDIATE),
  count(`${architecture}.attention.head_count`, 4),
  count(`${architecture}.attention.head_count_kv`, 2),
  count(`${architecture}.context_length`, 64),
  f32(`${architecture}.attention.layer_norm_rms_epsilon`, 1e-5),
  ...tokenizer,
];

const bpe = (pre: string): Entry[] => [
  text('tokenizer.ggml.model', 'gpt2'),
  text('tokenizer.ggml.pre', pre),
  texts('tokenizer.ggml.tokens', TOKENS),
  texts('tokenizer.ggml.merges', ['a b']),
  count('tokenizer.ggml.eos_token_id', 3),
  text('tokenizer.chat_template', "{% for m in messages %}{{ m['content'] }}<|end|>{% endfor %}"),
];
const none: readonly Entry[] = [text('tokenizer.ggml.model', 'none'), count('llama.vocab_size', TOKENS.length)];

/** Matrices of one type; lengths innermost first. */
function parts(type: 'F32' | 'Q8_0'): GgufPart[] {
  const matrix = (name: string, width: number, rows: number): GgufPart =>
    type === 'F32'
      ? floats(name, width, rows)
      : { name, lengths: [width, rows], type: GGML_Q8_0, bytes: new Uint8Array((width / 32) * 34 * rows) };
  return [
    matrix('token_embd.weight', HIDDEN, TOKENS.length),
    floats('output_norm.weight', HIDDEN),
    floats('blk.0.attn_norm.weight', HIDDEN),
    floats('blk.0.ffn_norm.weight', HIDDEN),
    matrix('blk.0.attn_q.weight', HIDDEN, HIDDEN),
    matrix('blk.0.attn_k.weight', HIDDEN, HIDDEN / 2),
    matrix('blk.0.attn_v.weight', HIDDEN, HIDDEN / 2),
    matrix('blk.0.attn_output.weight', HIDDEN, HIDDEN),
    matrix('blk.0.ffn_gate.weight', HIDDEN, INTERMEDIATE),
    matrix('blk.0.ffn_up.weight', HIDDEN, INTERMEDIATE),
    matrix('blk.0.ffn_down.weight', INTERMEDIATE, HIDDEN),
  ];
}

const open = (tokenizer: readonly Entry[], more: Partial<EngineOptions> = {}, type: 'F32' | 'Q8_0' = 'F32') =>
  openModel({ model: { 'tiny.Q8_0.gguf': ggufBytes({ entries: entries('llama', tokenizer), tensors: parts(type) }) }, ...more });

describe('a .gguf as a model', () => {
  test('has its config, tokenizer, template and end from its metadata, and the name of its file', async () => {
    const { config, text: found, endTokens, info, location } = await open(bpe('gpt-2'));
    expect(config).toMatchObject({
      family: 'llama',
      hiddenSize: HIDDEN,
      vocabSize: 4,
      heads: 4,
      kvHeads: 2,
      tiedEmbeddings: true,
      normOffset: 0,
    });
    expect(found.tokenizer!.encode('ab', 'special')).toEqual([2]);
    expect(found.chatTemplate!.render([{ role: 'user', content: 'ab' }])).toBe('ab<|end|>');
    expect([...endTokens]).toEqual([3]);
    expect(info).toMatchObject({ name: 'tiny.Q8_0', serves: { text: true, chat: true } });
    expect(location).toMatch(/\/tiny\.Q8_0\.gguf$/);
  });

  test('is meant where a folder has a config.json and no other weights', async () => {
    const bytes = ggufBytes({ entries: entries('llama', bpe('gpt-2')), tensors: parts('F32') });
    const stub = new TextEncoder().encode('{"model_type":"llama"}');
    expect((await openModel({ model: { 'tiny.gguf': bytes, 'config.json': stub } })).info.name).toBe('tiny');
    const both = openModel({ model: { 'tiny.gguf': bytes, 'config.json': stub, 'model.safetensors': bytes } });
    await expect(both).rejects.toMatchObject({ code: 'file_invalid', message: expect.stringContaining('config.json') });
  });

  test('has its defaults of sampling, as the converter took them from generation_config.json', async () => {
    const sampling = [f32('general.sampling.temp', 0.6), count('general.sampling.top_k', 20), f32('general.sampling.top_p', 0.95)];
    const { defaults, ignoredDefaults } = (await open([...none, ...sampling])).info;
    expect(defaults).toEqual({ temperature: 0.6, topK: 20, topP: 0.95 });
    expect(ignoredDefaults).toEqual([]);
  });

  test('has no more read of factors than rope takes', async () => {
    const factors = (length: number) => floats('rope_freqs.weight', length);
    const reads: number[] = [];
    const opened = (length: number) => {
      const folder = memoryFolder({
        'a.gguf': ggufBytes({ entries: entries('llama', none), tensors: [...parts('F32'), factors(length)] }),
      });
      const read: typeof folder.read = (name, start, end) => (reads.push(end - start), folder.read(name, start, end));
      return readGgufModel({ ...folder, read }, 'a.gguf', {});
    };
    await expect(opened(100_000)).rejects.toMatchObject({ code: 'tensor_shape', message: expect.stringContaining('rope needs 4') });
    expect(reads.at(-1)).toBe(5 * 4);
    await opened(4).catch((error: unknown) => expect(error).toMatchObject({ code: 'file_invalid' })); // a factor of 0
  });

  test('without a tokenizer serves token ids', async () => {
    expect((await open(none)).info.serves).toEqual({ text: false, chat: false });
  });

  test('with a pre-tokenizer that nobody knows is refused, and with a tokenizer of the caller’s own served', async () => {
    await expect(open(bpe('of-tomorrow'))).rejects.toMatchObject({ code: 'tokenizer_unsupported' });
    const tokenizer: Tokenizer = { encode: () => [1], decode: () => 'b', token: () => 'b', id: () => 1 };
    const { text: found, info } = await open(bpe('of-tomorrow'), { tokenizer });
    expect(found.tokenizer).toBe(tokenizer);
    expect(info.serves).toEqual({ text: true, chat: true });
  });

  test('of blocks alone is not quantised again; of floats it is', async () => {
    const error = { code: 'request_invalid', param: 'quantize', message: expect.stringMatching(/q4.*Q8_0.*leave quantize out/s) };
    await expect(open(none, { quantize: 'q4' }, 'Q8_0')).rejects.toMatchObject(error);
    await open(none, { quantize: 'q4' });
  });

  test('keeps the types that it has', async () => {
    const choice = { precision: 'exact', quantize: undefined, halves: 'kept' } as const;
    expect(planeTypes((await open(none, {}, 'Q8_0')).files, choice)).toEqual(['q8']);
  });
});
