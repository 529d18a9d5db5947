import { describe, expect, test } from 'vitest';
import { WebLoraError } from '../../src/errors.ts';
import { createChatTemplate, findChatTemplate } from '../../src/text/chat-template.ts';
import { tokenizerOfGguf } from '../../src/text/gguf-tokenizer.ts';
import { wordSplit } from '../../src/text/gguf-tokenizer-split.ts';
import { createTokenizer, type Tokenizer } from '../../src/text/tokenizer.ts';
import { below, readJson, repositoryFile, seeded } from './text-files.ts';

type Metadata = Readonly<Record<string, unknown>>;

const normal = 1;
const unknown = 2;
const control = 3;
const userDefined = 4;
const unused = 5;
const byte = 6;

function metadata(entries: Metadata): Map<string, unknown> {
  return new Map(
    Object.entries(entries).map(([key, value]) => [/^(general|tokenizer)\./.test(key) ? key : `tokenizer.ggml.${key}`, value]),
  );
}

function build(entries: Metadata): Tokenizer {
  const gguf = tokenizerOfGguf(metadata(entries), 'a.gguf');
  return createTokenizer(gguf.tokenizerJson, gguf.tokenizerConfig, 'a.gguf');
}

/** Pieces with scores in the order given, behind <unk>, <s>, </s> and all bytes. */
function sentencePiece(pieces: readonly string[], more: Metadata = {}): Metadata {
  const bytes = Array.from({ length: 256 }, (_, value) => `<0x${value.toString(16).toUpperCase().padStart(2, '0')}>`);
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...pieces];
  return {
    model: 'llama',
    tokens,
    scores: Float32Array.from(tokens, (_, id) => -id),
    token_type: Int32Array.from(tokens, (_, id) => (id === 0 ? unknown : id < 3 ? control : id < 259 ? byte : normal)),
    ...more,
  };
}

/** Every letter of byte-level BPE is a token; `more` come behind. */
function byteLevel(tokens: readonly string[], merges: readonly string[], more: Metadata = {}): Metadata {
  const printable = (value: number) => (value > 32 && value < 127) || (value > 160 && value !== 173);
  let next = 256;
  const letters = Array.from({ length: 256 }, (_, value) => String.fromCodePoint(printable(value) ? value : next++));
  return { model: 'gpt2', pre: 'gpt-2', tokens: [...letters, ...tokens], merges, ...more };
}

function spelled(tokenizer: Tokenizer, text: string, special: 'special' | 'plain' = 'plain'): (string | undefined)[] {
  return tokenizer.encode(text, special).map((id) => tokenizer.token(id));
}

function refusal(entries: Metadata): { code: string; message: string } {
  try {
    tokenizerOfGguf(metadata(entries), 'a.gguf');
  } catch (error) {
    if (error instanceof WebLoraError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('byte-level BPE', () => {
  interface Splits {
    readonly tokens: readonly string[];
    readonly merges: readonly string[];
    readonly texts: readonly string[];
    readonly splits: readonly { readonly names: readonly string[]; readonly ids: readonly number[][] }[];
  }
  const { tokens, merges, texts, splits } = readJson<Splits>(repositoryFile('test/fixtures/gguf-text/splits.json'));

  test.each(splits.flatMap(({ names, ids }) => names.map((name) => ({ name, ids }))))('$name cuts words as llama.cpp does', (split) => {
    const tokenizer = build({ model: 'gpt2', pre: split.name, tokens, merges, add_bos_token: false });
    expect(texts.map((text) => tokenizer.encode(text, 'special'))).toEqual(split.ids);
    expect(texts.map((text) => tokenizer.decode(tokenizer.encode(text, 'plain')))).toEqual(texts);
  });

  test('a file without the name is cut by default', () => {
    const tokenizer = build({ model: 'gpt2', tokens, merges });
    expect(texts.map((text) => tokenizer.encode(text, 'special'))).toEqual(splits.find(({ names }) => names.includes('default'))!.ids);
  });

  test('words that are tokens stay whole where the name says so', () => {
    const vocabulary = byteLevel(['abc', 'ab'], ['a b'], { bos_token_id: 0 });
    expect(spelled(build({ ...vocabulary, pre: 'llama-bpe' }), 'abc')).toEqual(['abc']);
    expect(spelled(build({ ...vocabulary, pre: 'qwen2' }), 'abc')).toEqual(['ab', 'c']);
  });

  test('Qwen’s texts are composed first', () => {
    expect(spelled(build({ ...byteLevel([], []), pre: 'qwen2' }), 'e\u0301')).toEqual(['Ã', '©']);
    expect(spelled(build({ ...byteLevel([], []), pre: 'gpt-2' }), 'e\u0301')).toHaveLength(3);
  });

  test('control tokens are special, user-defined ones only matched first, unused ones left out', () => {
    const vocabulary = byteLevel(['<|end|>', '<think>', '[PAD258]', ''], []);
    const types = Array.from({ length: 260 }, (_, id) => [control, userDefined, unused][id - 256] ?? normal);
    const tokenizer = build({ ...vocabulary, token_type: types });
    expect(tokenizer.encode('a<think><|end|>', 'plain')).toEqual([97 - 0, 257, 256].map((id, i) => (i === 0 ? tokenizer.id('a')! : id)));
    expect(tokenizer.decode([tokenizer.id('a')!, 257, 256, 258, 259])).toBe('a<think>');
    expect(tokenizer.token(258)).toBeUndefined();
  });

  test('a token that ends turns is special whatever its type; one that only pads is not', () => {
    const vocabulary = byteLevel(['</s>', '<pad>'], []);
    const tokenizer = build({
      ...vocabulary,
      eos_token_id: 256,
      padding_token_id: 257,
      token_type: Array.from({ length: 258 }, () => normal),
    });
    expect(tokenizer.encode('</s>', 'plain')).toEqual([256]);
    expect(tokenizer.decode([256, 257])).toBe('<pad>');
  });

  test('BOS and EOS go where the file says, else where the name says', () => {
    const vocabulary = byteLevel(['<s>', '</s>'], [], { bos_token_id: 256, eos_token_id: 257 });
    expect(spelled(build(vocabulary), 'a', 'special')).toEqual(['a']);
    expect(spelled(build({ ...vocabulary, add_bos_token: true, add_eos_token: true }), 'a', 'special')).toEqual(['<s>', 'a', '</s>']);
    expect(spelled(build({ ...vocabulary, pre: 'llama-bpe' }), 'a', 'special')).toEqual(['<s>', 'a']);
    expect(spelled(build({ ...vocabulary, pre: 'tekken', add_bos_token: false }), 'a', 'special')).toEqual(['a']);
  });

  test('tokens spelled like members of every object are tokens', () => {
    const tokenizer = build(
      byteLevel(['__proto__', 'constructor'], [], { token_type: Array.from({ length: 258 }, (_, id) => (id < 256 ? normal : 4)) }),
    );
    expect(tokenizer.encode('__proto__constructor', 'plain')).toEqual([256, 257]);
  });
});

describe('SentencePiece BPE', () => {
  test('gives what joining the best pair again and again gives', () => {
    const random = seeded(3);
    for (let round = 0; round < 60; round++) {
      const letters = ['ab', 'abc', '\u2581ab', 'aé😀', '\u2581=-'][below(random, 5)]!;
      const { pieces, corpus } = trained(letters, random);
      // Some pieces lose their own letter: it can still be joined.
      const kept = pieces.filter((piece) => [...piece].length > 1 || below(random, 4) > 0);
      const tokenizer = build(sentencePiece(kept, { add_space_prefix: false }));
      const scores = new Map(kept.map((piece, i) => [piece, -i]));
      for (const text of [...corpus, ...corpus.map((each) => each.slice(1) + each)]) {
        const expected = joined(text, scores).flatMap((piece) => (scores.has(piece) ? [piece] : bytesOf(piece)));
        expect(spelled(tokenizer, text.replaceAll('\u2581', ' ')), text).toEqual(expected);
      }
    }
  });

  test('a space goes before the text and behind every special token, unless the file says otherwise', () => {
    const pieces = ['\u2581a', 'a', '\u2581'];
    const tokenizer = build(sentencePiece(pieces));
    expect(spelled(tokenizer, 'a</s>a', 'special')).toEqual(['<s>', '\u2581a', '</s>', '\u2581a']);
    expect(tokenizer.decode(tokenizer.encode(' a', 'special'))).toBe(' a');
    const bare = build(sentencePiece(pieces, { add_space_prefix: false, add_bos_token: false }));
    expect(spelled(bare, 'a a', 'special')).toEqual(['a', '\u2581a']);
    expect(bare.decode(bare.encode(' a', 'plain'))).toBe(' a');
  });

  test('what is no piece falls back to bytes, and comes back', () => {
    const tokenizer = build(sentencePiece(['a'], { add_space_prefix: false }));
    expect(spelled(tokenizer, 'aé')).toEqual(['a', '<0xC3>', '<0xA9>']);
    expect(tokenizer.decode(tokenizer.encode('aé\n', 'plain'))).toBe('aé\n');
  });

  test('a byte’s name written out is no byte', () => {
    const tokenizer = build(sentencePiece(['<0', '<0x', '<0x4', '<0x41', '>'], { add_space_prefix: false }));
    expect(spelled(tokenizer, '<0x41>')).toEqual(['<0x41', '>']);
  });

  test('user-defined pieces stand in the text before anything is merged, the longest first', () => {
    const types = Int32Array.from(
      { length: 263 },
      (_, id) => [unknown, control, control][id] ?? (id < 259 ? byte : id < 261 ? userDefined : normal),
    );
    const tokenizer = build(sentencePiece(['  ', '   ', '\u2581', 'a'], { token_type: types, add_space_prefix: false }));
    expect(spelled(tokenizer, 'a   a    a a')).toEqual(['a', '   ', 'a', '   ', '\u2581', 'a', '\u2581', 'a']);
    expect(tokenizer.decode(tokenizer.encode('a   a', 'plain'))).toBe('a   a');
  });

  test('bytes are known without types too', () => {
    const tokenizer = build(sentencePiece(['a'], { token_type: undefined, add_space_prefix: false }));
    expect(spelled(tokenizer, 'é')).toEqual(['<0xC3>', '<0xA9>']);
  });

  test('Phi-3’s special tokens swallow white space behind them', () => {
    const pieces = ['<|user|>', 'a', '\u2581'];
    const types = Int32Array.from(
      { length: 262 },
      (_, id) => [unknown, control, control][id] ?? (id < 259 ? byte : id === 259 ? control : normal),
    );
    const vocabulary = sentencePiece(pieces, { token_type: types, add_space_prefix: false });
    expect(spelled(build(vocabulary), '<|user|>\na')).toEqual(['<|user|>', '<0x0A>', 'a']);
    for (const sign of [{ 'general.architecture': 'phi3' }, { 'general.name': 'Phi-3 mini' }]) {
      expect(spelled(build({ ...vocabulary, ...sign }), '<|user|>\na<s>\na')).toEqual(['<|user|>', 'a', '<s>', '<0x0A>', 'a']);
    }
  });
});

/** Pieces in the order in which SentencePiece's training would find them, letters last, and the texts it saw. */
function trained(letters: string, random: () => number): { pieces: string[]; corpus: string[] } {
  const alphabet = [...letters];
  const corpus = Array.from({ length: 6 }, () =>
    Array.from({ length: 2 + below(random, 24) }, () => alphabet[below(random, alphabet.length)]!).join(''),
  );
  const runs = corpus.map((text) => [...text]);
  const pieces: string[] = [];
  for (let i = 0; i < 24; i++) {
    const counts = new Map<string, number>();
    for (const run of runs) {
      for (let at = 1; at < run.length; at++) counts.set(run[at - 1]! + run[at]!, (counts.get(run[at - 1]! + run[at]!) ?? 0) + 1);
    }
    const [best] = [...counts].toSorted((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0] ?? [];
    if (best === undefined) break;
    if (!pieces.includes(best)) pieces.push(best);
    for (const run of runs) join(run, (piece) => piece === best);
  }
  return { pieces: [...pieces, ...new Set(alphabet)], corpus };
}

function join(run: string[], wanted: (piece: string) => boolean): void {
  for (let at = 0; at + 1 < run.length; at++) if (wanted(run[at]! + run[at + 1]!)) run.splice(at, 2, run[at]! + run[at + 1]!);
}

/** SentencePiece's rule, as plainly as it can be said. */
function joined(text: string, scores: ReadonlyMap<string, number>): string[] {
  const run = [...text];
  for (;;) {
    let best: { at: number; score: number } | undefined;
    for (let at = 0; at + 1 < run.length; at++) {
      const score = scores.get(run[at]! + run[at + 1]!);
      if (score !== undefined && (best === undefined || score > best.score)) best = { at, score };
    }
    if (best === undefined) return run;
    run.splice(best.at, 2, run[best.at]! + run[best.at + 1]!);
  }
}

function bytesOf(piece: string): string[] {
  return [...new TextEncoder().encode(piece)].map((value) => `<0x${value.toString(16).toUpperCase().padStart(2, '0')}>`);
}

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
