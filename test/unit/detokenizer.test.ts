import { describe, expect, test } from 'vitest';
import { createDetokenizer } from '../../src/text/detokenizer.ts';
import { createTokenizer, type Tokenizer } from '../../src/text/tokenizer.ts';
import { below, frontdeskTokenizer, seeded } from './text-files.ts';

const frontdesk = frontdeskTokenizer();

/** One piece per id, then the flush. */
function pieces(tokenizer: Tokenizer, ids: readonly number[]): string[] {
  const detokenizer = createDetokenizer(tokenizer);
  return [...ids.map((id) => detokenizer.push([id])), detokenizer.flush()];
}

/** A vocabulary of these tokens with byte fallback, whose decoder is given. */
function small(tokens: readonly string[], decoder: unknown): Tokenizer {
  const all = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const vocab = Object.fromEntries([...tokens, 'a', ...all].map((token, id) => [token, id]));
  const added_tokens = [{ id: 1000, content: '<s>', special: true }];
  return createTokenizer({ model: { type: 'BPE', vocab, merges: [], byte_fallback: true }, added_tokens, decoder }, undefined, 'small');
}

/** The byte tokens of a text. */
function bytes(tokenizer: Tokenizer, text: string): number[] {
  return [...new TextEncoder().encode(text)].map((byte) => tokenizer.id(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)!);
}

function llamaWithout(spaces: number): object {
  const strip = { type: 'Strip', content: ' ', start: spaces, stop: 0 };
  const decoders = [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }, strip];
  return { type: 'Sequence', decoders };
}
const llama = llamaWithout(1);
const decoders: readonly (readonly [string, readonly string[], unknown])[] = [
  ['Llama 2', ['▁', '▁▁', '▁He', 'llo', '.', '<0x41>x'], llama],
  ['two leading spaces taken', ['▁', '▁▁', '▁He', 'llo', '.'], llamaWithout(2)],
  ['Metaspace', ['▁', '▁▁', '▁He', 'llo', '.'], { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' }],
  ['WordPiece', ['he', '##llo', '.', "'", 's'], { type: 'WordPiece', prefix: '##', cleanup: true }],
  ['word suffix', ['he</w>', 'llo</w>', 'x'], { type: 'BPEDecoder', suffix: '</w>' }],
  ['no decoder', ['he', 'llo'], null],
];

describe('detokenizer', () => {
  test('never shows half a code point', () => {
    const ids = frontdesk.encode('a😀é한', 'plain');
    expect(ids.length).toBeGreaterThan(6);
    const shown = pieces(frontdesk, ids);
    expect(shown.filter((piece) => piece !== '')).toEqual(['a', '😀', 'é', '한']);
  });

  test('gives bytes that never complete as soon as they prove it', () => {
    const tokenizer = small([], llama);
    const [smile, letter] = [bytes(tokenizer, '😀'), bytes(tokenizer, 'a')];
    // A first byte of four, then a letter: the letter ends the wait.
    expect(pieces(tokenizer, [smile[0]!, ...letter])).toEqual(['', '\uFFFDa', '']);
    // Continuation bytes without a first byte: at most three stay held.
    expect(
      pieces(
        tokenizer,
        [1, 2, 3, 4, 5].map(() => smile[1]!),
      ),
    ).toEqual(['', '', '', '\uFFFD', '\uFFFD', '\uFFFD\uFFFD\uFFFD']);
    // What is held can still become a character.
    expect(pieces(tokenizer, [smile[1]!, smile[1]!, smile[1]!, ...smile]).join('')).toBe('\uFFFD\uFFFD\uFFFD😀');
    expect(pieces(tokenizer, smile.slice(0, 3))).toEqual(['', '', '', '\uFFFD']);
  });

  test('special and unused ids show nothing and change nothing', () => {
    const [hello, world] = [frontdesk.encode('Hello', 'plain'), frontdesk.encode(' world', 'plain')];
    expect(pieces(frontdesk, [1, ...hello, 2, 999_999, ...world, 2]).join('')).toBe('Hello world');
    const tokenizer = small(['▁', '▁He'], llama);
    expect(pieces(tokenizer, [1000, 0, 1, 1000, 1]).join('')).toBe('  He He'.slice(1));
  });

  test.each(decoders)('%s: pieces together equal the decoded whole', (_, tokens, decoder) => {
    const tokenizer = small(tokens, decoder);
    const random = seeded(5);
    for (let round = 0; round < 1000; round++) {
      const ids = Array.from(
        { length: 1 + below(random, 12) },
        () => [below(random, tokens.length), 1000, 5000][Math.min(2, below(random, 8))]!,
      );
      expect({ ids, text: pieces(tokenizer, ids).join('') }).toEqual({ ids, text: tokenizer.decode(ids) });
    }
  });

  test.each([
    ['byte level', frontdesk, Array.from({ length: 256 }, (_, i) => 6 + i)],
    ['byte fallback', small([], llama), Array.from({ length: 257 }, (_, i) => i)],
  ] as const)('%s: any bytes give what decoding them whole gives', (_, tokenizer, alphabet) => {
    const random = seeded(9);
    const broken = alphabet.filter((id) => tokenizer.decode([id]) === '\uFFFD');
    expect(broken.length).toBeGreaterThan(100);
    for (let round = 0; round < 1500; round++) {
      const from = round % 2 === 0 ? alphabet : broken;
      const ids = Array.from({ length: 1 + below(random, 50) }, () => from[below(random, from.length)]!);
      expect({ ids, text: pieces(tokenizer, ids).join('') }).toEqual({ ids, text: tokenizer.decode(ids) });
    }
  });

  test('a decoder that breaks whole runs of bytes until they are complete', () => {
    // As Python's byte fallback does: one U+FFFD for every byte of a run that is not valid as a whole.
    const bytesOf = (text: string): number[] => [...new TextEncoder().encode(text)];
    const strict = new TextDecoder('utf-8', { fatal: true });
    const decode = (ids: readonly number[]): string => {
      try {
        return strict.decode(Uint8Array.from(ids));
      } catch {
        return '\uFFFD'.repeat(ids.length);
      }
    };
    const tokenizer: Tokenizer = { encode: bytesOf, decode, token: String, id: Number };
    const text = '日本語のテキスト😀 and é한글'.repeat(10);
    const shown = pieces(tokenizer, bytesOf(text));
    expect(shown.filter((piece) => piece !== '')).toEqual([...text]);
    // Bytes that never complete come out too.
    expect(pieces(tokenizer, [...bytesOf('é'), 0xff, 0xff, 0xff, 0xff])).toEqual(['', 'é', '', '', '', '\uFFFD', '\uFFFD\uFFFD\uFFFD']);
    expect(pieces(tokenizer, [...bytesOf('é'), 0xe2, 0x82]).join('')).toBe('é\uFFFD\uFFFD');
  });

  test('streams every text of a real vocabulary whole', () => {
    const random = seeded(2);
    const detokenizer = createDetokenizer(frontdesk);
    const ids = Array.from({ length: 3000 }, () => below(random, 4096));
    let text = '';
    for (let at = 0; at < ids.length; at += 7) text += detokenizer.push(ids.slice(at, at + 7));
    expect(text + detokenizer.flush()).toBe(frontdesk.decode(ids));
  });

  test.each([
    ['letters', frontdesk.encode('a', 'plain')[0]!],
    ['end tokens', 2],
    ['broken bytes', frontdesk.encode('😀', 'plain').at(-1)!],
    ['half characters', frontdesk.encode('😀', 'plain')[0]!],
  ])('decodes a bounded window for each token: %s', (_, id) => {
    let decoded = 0;
    const counting: Tokenizer = {
      ...frontdesk,
      decode: (ids) => {
        decoded = Math.max(decoded, ids.length);
        return frontdesk.decode(ids);
      },
    };
    const detokenizer = createDetokenizer(counting);
    for (let i = 0; i < 500; i++) detokenizer.push([id]);
    expect(decoded).toBeLessThanOrEqual(20);
  });
});
