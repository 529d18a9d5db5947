import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { describe, expect, test } from 'vitest';
import { WebLoraError } from '../../src/errors.ts';
import { fromTransformers } from '../../src/text/from-transformers.ts';
import { createTokenizer } from '../../src/text/tokenizer.ts';
import { prepareTokenizerJson } from '../../src/text/tokenizer-json.ts';
import { frontdesk, frontdeskTokenizer, readJson, repositoryFile } from './text-files.ts';

const json = readJson<Record<string, unknown>>(`${frontdesk}tokenizer.json`);
const tokenizer = frontdeskTokenizer();
const tiny = { model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'] } };

function caught(action: () => unknown): WebLoraError {
  try {
    action();
  } catch (error) {
    if (error instanceof WebLoraError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('tokenizer', () => {
  test('decodes the answers of the small model as transformers does', () => {
    const references = readJson<{ tokens: number[]; text: string }[]>(repositoryFile('test/fixtures/frontdesk/reference.json'));
    expect(references.length).toBeGreaterThan(100);
    for (const { tokens, text } of references) expect(tokenizer.decode(tokens)).toBe(text);
  });

  test('special tokens written in a text become their ids and are left out of decoded text', () => {
    expect(tokenizer.encode('<|user|>\nHi<|end|>', 'plain')).toEqual([3, 204, 353, 2]);
    expect(tokenizer.decode([3, 204, 353, 2])).toBe('\nHi');
    expect(tokenizer.decode([1, 2])).toBe('');
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.decode([353, 999_999, -1])).toBe('Hi');
  });

  test('names tokens and ids', () => {
    expect(tokenizer.id('<|end|>')).toBe(2);
    expect(tokenizer.token(2)).toBe('<|end|>');
    expect(tokenizer.id('no such token')).toBeUndefined();
    expect(tokenizer.token(999_999)).toBeUndefined();
  });

  test('Unicode digits and spaces split as in Python', () => {
    // Ids of tokenizers 0.23.3: U+2187 is a number, U+FEFF no space, U+0085 a space.
    expect(tokenizer.encode("x\uFEFF's", 'plain')).toEqual([93, 177, 125, 129, 12, 88]);
    expect(tokenizer.encode(' word \u2187', 'plain')).toEqual([279, 1131, 226, 164, 234, 235]);
    expect(tokenizer.encode(' \u0085\u0301', 'plain')).toEqual([226, 132, 233, 142, 229]);
  });

  test('the post-processor adds its tokens for "special" alone', () => {
    const post_processor = {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: 'BEGIN', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { BEGIN: { id: 'BEGIN', ids: [1, 3], tokens: ['<|bos|>', '<|user|>'] } },
    };
    const withBos = createTokenizer({ ...json, post_processor }, undefined, 'x');
    expect(withBos.encode('Hi', 'special')).toEqual([1, 3, 353]);
    expect(withBos.encode('Hi', 'plain')).toEqual([353]);
  });

  test('tokens of tokenizer_config.json join the vocabulary, its flags win', () => {
    const config = { added_tokens_decoder: { 2: { content: '<|end|>', special: false }, 5000: { content: '<|new|>', special: true } } };
    const more = createTokenizer(json, config, 'x');
    expect(more.encode('Hi<|new|>', 'plain')).toEqual([353, 5000]);
    expect(more.decode([353, 5000, 2])).toBe('Hi<|end|>');
  });

  test('byte tokens keep a byte order mark', () => {
    const vocab = { a: 0, '<0xEF>': 1, '<0xBB>': 2, '<0xBF>': 3 };
    const decoder = { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, { type: 'Fuse' }] };
    const bytes = createTokenizer({ model: { type: 'BPE', vocab, merges: [], byte_fallback: true }, decoder }, undefined, 'x');
    expect(bytes.decode(bytes.encode('a\uFEFFa', 'plain'))).toBe('a\uFEFFa');
  });

  test('a long text without the pattern of a merged split costs linear time', () => {
    const pre_tokenizer = { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false };
    const gemma = createTokenizer({ ...tiny, pre_tokenizer }, undefined, 'x');
    const start = performance.now();
    expect(gemma.encode('ab'.repeat(100_000), 'plain').length).toBe(100_000);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe('pre-tokenizers cut as in Python', () => {
  const fixture = readJson<{ texts: string[]; cases: { name: string; pre_tokenizer: object; pieces: string[][] }[] }>(
    repositoryFile('test/fixtures/text/pieces.json'),
  );

  test.each(fixture.cases.map((c) => [c.name, c] as const))('%s', (_, { pre_tokenizer, pieces }) => {
    const library = new LibraryTokenizer(prepareTokenizerJson({ ...tiny, pre_tokenizer }, undefined, 'x'), {});
    const cut = library.pre_tokenizer as unknown as (text: string, options: { section_index: number }) => string[];
    expect(fixture.texts.map((text) => cut(text, { section_index: 0 }))).toEqual(pieces);
  });
});

describe('bad tokenizer files', () => {
  const cases: readonly (readonly [string, unknown, string, string])[] = [
    ['no object', [], 'file_invalid', 'JSON object'],
    ['no model', {}, 'file_invalid', '"model"'],
    ['no vocabulary', { model: { type: 'BPE', merges: [] } }, 'file_invalid', 'model.vocab'],
    ['a huge id', { model: { ...tiny.model, vocab: { a: 4e12 } } }, 'file_invalid', '4000000000000'],
    ['an id that is text', { model: { ...tiny.model, vocab: { a: '1' } } }, 'file_invalid', 'token "a"'],
    ['a merge of one token', { model: { ...tiny.model, merges: ['a b', 'ab'] } }, 'file_invalid', 'merges[1]'],
    ['mixed merges', { model: { ...tiny.model, merges: [['a', 'b'], 'a b'] } }, 'file_invalid', 'merges[1]'],
    ['an added token without id', { ...tiny, added_tokens: [{ content: 'x' }] }, 'file_invalid', 'added_tokens'],
    ['a whole-word token', { ...tiny, added_tokens: [{ id: 3, content: 'x', single_word: true }] }, 'tokenizer_unsupported', 'single_word'],
    ['an unknown model', { model: { type: 'WordLevel', vocab: {} } }, 'tokenizer_unsupported', 'WordLevel'],
    ['random merges', { model: { ...tiny.model, dropout: 0.1 } }, 'tokenizer_unsupported', 'dropout'],
    ['an unknown normalizer', { ...tiny, normalizer: { type: 'Nmt' } }, 'tokenizer_unsupported', 'Nmt'],
    ['an unknown pre-tokenizer', { ...tiny, pre_tokenizer: { type: 'UnicodeScripts' } }, 'tokenizer_unsupported', 'UnicodeScripts'],
    ['a split by nothing', { ...tiny, pre_tokenizer: { type: 'Split', pattern: {}, behavior: 'Isolated' } }, 'file_invalid', 'pattern'],
    [
      'a broken pattern',
      { ...tiny, pre_tokenizer: { type: 'Split', pattern: { Regex: '[a' }, behavior: 'Isolated' } },
      'tokenizer_unsupported',
      'class',
    ],
    ['an unknown decoder', { ...tiny, decoder: { type: 'Magic' } }, 'tokenizer_unsupported', 'Magic'],
    [
      'a post-processor of unknown tokens',
      { ...tiny, post_processor: { type: 'BertProcessing', cls: ['[CLS]', 9], sep: ['[SEP]', 8] } },
      'file_invalid',
      '[CLS]',
    ],
    [
      'a template of unnamed tokens',
      { ...tiny, post_processor: { type: 'TemplateProcessing', single: [{ SpecialToken: { id: 'X' } }], special_tokens: {} } },
      'file_invalid',
      '"X"',
    ],
  ];

  test.each(cases)('%s', (_, file, code, words) => {
    const error = caught(() => createTokenizer(file, undefined, 'models/x'));
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(words);
    expect(error.message).toContain('models/x');
  });
});

describe('a tokenizer of transformers.js', () => {
  const library = new LibraryTokenizer(json, {});
  const common = {
    encode: (text: string, options: { add_special_tokens: boolean }) => library.encode(text, options).ids,
    decode: (ids: number[], options: object) => library.decode(ids, options),
  };

  test.each([
    ['version 4', { ...common, get_vocab: () => library.get_vocab() }],
    ['version 3', { ...common, model: library.model }],
  ])('%s is wrapped', (_, theirs) => {
    const wrapped = fromTransformers(theirs);
    const ids = tokenizer.encode('<|user|>\nHi there.', 'plain');
    expect(wrapped.encode('<|user|>\nHi there.', 'plain')).toEqual(ids);
    expect(wrapped.decode([...ids, 999_999])).toBe('\nHi there.');
    expect(wrapped.decode([])).toBe('');
    expect(wrapped.token(2)).toBe('<|end|>');
    expect(wrapped.id('<|end|>')).toBe(2);
  });

  test('anything else is refused', () => {
    expect(() => fromTransformers(common)).toThrow(TypeError);
  });
});
