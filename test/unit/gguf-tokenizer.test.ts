import { describe, expect, test } from 'vitest';
import { below, readJson, repositoryFile, seeded } from './text-files.ts';
import { normal, unknown, control, userDefined, unused, byte, build, sentencePiece, byteLevel, spelled } from './gguf-tokenizer-data.ts';

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

  test('ids that stand for none are none', () => {
    const none = { eos_token_id: 0xffffffff, seperator_token_id: 0xffffffff, padding_token_id: -1, mask_token_id: 300 };
    const tokenizer = build({ ...byteLevel(['<s>'], []), ...none, bos_token_id: 256, add_bos_token: true });
    expect(spelled(tokenizer, 'a', 'special')).toEqual(['<s>', 'a']);
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
  test('marks of turns are special, whatever a converter made of them', () => {
    const tokenizer = build(sentencePiece(['<start_of_turn>', 'a'], { add_space_prefix: false }));
    expect(spelled(tokenizer, '<start_of_turn>a')).toEqual(['<start_of_turn>', 'a']);
    expect(tokenizer.decode(tokenizer.encode('<start_of_turn>a', 'plain'))).toBe('a');
  });

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
