import { describe, expect, test } from 'vitest';
import { WebLoraError } from '../../src/errors.ts';
import { createChatTemplate, findChatTemplate } from '../../src/text/chat-template.ts';
import { tokenizerOfGguf } from '../../src/text/gguf-tokenizer.ts';
import { wordSplit } from '../../src/text/gguf-tokenizer-split.ts';
import { createTokenizer } from '../../src/text/tokenizer.ts';
import { below, seeded } from './text-files.ts';
import { metadata, sentencePiece, byteLevel, refusal, type Metadata } from './gguf-tokenizer-data.ts';

describe('chat templates', () => {
  const vocabulary = byteLevel(['<s>', '</s>'], [], { bos_token_id: 256, eos_token_id: 257 });

  test('the unnamed one, with the special tokens', () => {
    const gguf = tokenizerOfGguf(metadata({ ...vocabulary, 'tokenizer.chat_template': '{{ bos_token }}x{{ eos_token }}' }), 'a.gguf');
    const template = findChatTemplate(undefined, gguf.tokenizerConfig)!;
    expect(template).toBe(gguf.chatTemplate);
    expect(createChatTemplate({ template, tokenizerConfig: gguf.tokenizerConfig }).render([])).toBe('<s>x</s>');
  });

  test('named ones beside it', () => {
    const gguf = tokenizerOfGguf(
      metadata({
        ...vocabulary,
        'tokenizer.chat_templates': ['default', 'tool_use'],
        'tokenizer.chat_template': 'a',
        'tokenizer.chat_template.tool_use': 'b',
      }),
      'a.gguf',
    );
    expect(gguf.tokenizerConfig['chat_template']).toEqual([
      { name: 'default', template: 'a' },
      { name: 'tool_use', template: 'b' },
    ]);
    expect(findChatTemplate(undefined, gguf.tokenizerConfig)).toBe('a');
  });

  test('none', () => {
    const gguf = tokenizerOfGguf(metadata(vocabulary), 'a.gguf');
    expect('chatTemplate' in gguf).toBe(false);
    expect(findChatTemplate(undefined, gguf.tokenizerConfig)).toBeUndefined();
  });
});

describe('refusals', () => {
  const bpe = byteLevel(['ab'], ['a b']);
  const spm = sentencePiece(['ab', 'abc', 'a']);

  test.each([
    ['no tokenizer', { model: undefined }, 'tokenizer.ggml.model'],
    ['WordPiece', { model: 'bert' }, '"bert"'],
    ['T5', { model: 't5' }, '"t5"'],
    ['RWKV', { model: 'rwkv' }, '"rwkv"'],
    ['PLaMo', { model: 'plamo2' }, '"plamo2"'],
    ['an unknown pre-tokenizer', { pre: 'kimi-k2' }, '"kimi-k2"'],
    ['a separator', { add_sep_token: true }, 'add_sep_token'],
  ])('%s is not supported, and a tokenizer may be passed', (_, change, words) => {
    const { code, message } = refusal({ ...bpe, ...change });
    expect(code).toBe('tokenizer_unsupported');
    expect(message).toContain(words);
    expect(message).toContain('a.gguf');
    expect(message).toContain('pass a tokenizer');
  });

  test('scores that order nothing are not supported', () => {
    const { code, message } = refusal({ ...spm, scores: new Float32Array(262).fill(-1000) });
    expect(code).toBe('tokenizer_unsupported');
    expect(message).toContain('-1000');
  });

  test('a piece too long to cut everywhere is not supported', () => {
    expect(refusal(sentencePiece(['ab', 'x'.repeat(257)])).message).toContain('tokens[260] has 257 characters');
  });

  test.each([
    ['the tokenizer’s kind', bpe, { model: 7 }, 'tokenizer.ggml.model is 7'],
    ['no tokens', bpe, { tokens: undefined }, 'tokenizer.ggml.tokens'],
    ['an empty list', bpe, { tokens: [] }, 'tokenizer.ggml.tokens'],
    ['a token that is no text', bpe, { tokens: ['a', 7] }, 'tokens[1] is 7'],
    ['two tokens alike', bpe, { tokens: ['a', 'b', 'ab', 'a'] }, 'tokens[3] is "a"'],
    ['too few types', bpe, { token_type: [1, 1] }, 'token_type is a list of 2'],
    ['a type beyond all types', bpe, { token_type: Array.from({ length: 257 }, () => 259) }, 'token_type[0] is 259'],
    ['a type that is no number', bpe, { token_type: Array.from({ length: 257 }, () => 'x') }, 'token_type[0] is "x"'],
    ['no merges', bpe, { merges: undefined }, 'tokenizer.ggml.merges'],
    ['a merge of one', bpe, { merges: ['ab'] }, 'merges[0] is "ab"'],
    ['a merge of nothing', bpe, { merges: ['a '] }, 'merges[0] is "a "'],
    ['a merge of three', bpe, { merges: ['a b', 'a b a'] }, 'merges[1] is "a b a"'],
    ['a merge of three that are tokens', byteLevel(['ab', 'b a', 'ab a'], []), { merges: ['a b a'] }, 'merges[0] is "a b a"'],
    ['a merge of what is no token', bpe, { merges: ['a b', 'ab zz'] }, 'lacks "zz"'],
    ['a merge that makes no token', bpe, { merges: ['b a'] }, 'lacks "ba"'],
    ['an id outside', bpe, { eos_token_id: 257 }, 'eos_token_id is 257'],
    ['an id that is no integer', bpe, { bos_token_id: 0.5 }, 'bos_token_id is 0.5'],
    ['BOS added and not named', bpe, { add_bos_token: true }, 'bos_token_id'],
    ['a flag that is no flag', bpe, { bos_token_id: 0, add_bos_token: 1 }, 'add_bos_token is 1'],
    ['no scores', spm, { scores: undefined }, 'tokenizer.ggml.scores'],
    ['too many scores', spm, { scores: new Float32Array(263) }, 'scores is a list of 263'],
    ['a score that is none', spm, { scores: Float32Array.from({ length: 262 }, (_, i) => (i === 5 ? NaN : i)) }, 'scores[5]'],
    ['a template that is no text', bpe, { 'tokenizer.chat_template': 7 }, 'tokenizer.chat_template is 7'],
    ['a named template that is missing', bpe, { 'tokenizer.chat_templates': ['rag'] }, 'tokenizer.chat_template.rag'],
  ] as const)('%s is no valid file', (_, base: Metadata, change: Metadata, words) => {
    const { code, message } = refusal({ ...base, ...change });
    expect(code).toBe('gguf_metadata');
    expect(message).toContain(words);
    expect(message).toMatch(/^a\.gguf: /);
  });

  test('pieces that are made to be cut in any number of ways are refused before they fill the memory', () => {
    const text = Array.from({ length: 220 }, (_, i) => String.fromCodePoint(0x4e00 + i)).join('');
    const pieces = Array.from(text, (_, at) => Array.from({ length: 100 }, (_, length) => text.slice(at, at + length + 2))).flat();
    const { code, message } = refusal(sentencePiece([...new Set(pieces)]));
    expect(code).toBe('tokenizer_unsupported');
    expect(message).toContain('can be cut in more than');
    const long = Array.from({ length: 40_000 }, (_, i) => `${i}`.padEnd(250, '-'));
    const began = performance.now();
    expect(refusal(sentencePiece(long)).message).toContain('8000000 places');
    expect(performance.now() - began).toBeLessThan(2000);
  });

  test('names of pre-tokenizers are no members of every object', () => {
    expect(wordSplit('constructor')).toBeUndefined();
  });

  test('damaged metadata ends in a typed error or in a tokenizer that works', () => {
    const random = seeded(17);
    const odd: readonly unknown[] = [
      undefined,
      null,
      '',
      'x y',
      -1,
      0.5,
      2 ** 40,
      NaN,
      true,
      [],
      ['a', 3],
      new Float32Array(3),
      { length: 3 },
    ];
    const pick = <T>(list: readonly T[]): T => list[below(random, list.length)]!;
    let built = 0;
    for (let round = 0; round < 3000; round++) {
      const entries = metadata({ ...(round % 2 === 0 ? bpe : spm), bos_token_id: 1, 'tokenizer.chat_template': 'x' });
      const key = pick([...entries.keys(), 'tokenizer.ggml.eos_token_id', 'tokenizer.ggml.add_eos_token']);
      const list = entries.get(key);
      if (Array.isArray(list) && below(random, 3) > 0) {
        entries.set(key, list.with(below(random, list.length), pick([...odd, list[0]])));
      } else entries.set(key, pick(odd));
      try {
        const gguf = tokenizerOfGguf(entries, 'a.gguf');
        const tokenizer = createTokenizer(gguf.tokenizerJson, gguf.tokenizerConfig, 'a.gguf');
        expect(tokenizer.encode('ab abc é', 'special').every(Number.isInteger)).toBe(true);
        built++;
      } catch (error) {
        expect(error).toBeInstanceOf(WebLoraError);
      }
    }
    expect(built).toBeGreaterThan(300);
  });
});
