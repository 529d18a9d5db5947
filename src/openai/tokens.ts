import type { Tokenizer } from '../text/tokenizer.ts';

/** How tokens are written in an answer's log-probabilities. */
export interface TokenNames {
  /** The token as it reads inside a text; a special token as the vocabulary spells it; undefined without a tokenizer and for unused ids. */
  text(id: number): string | undefined;
  /**
   * The token's own bytes: those of its text in UTF-8. A token that is a part of a code point reads as U+FFFD; where the
   * vocabulary spells its bytes (byte-level and byte-fallback tokenizers) they are given raw. Undefined where there is no text.
   */
  bytes(id: number): readonly number[] | undefined;
}

const known = new WeakMap<Tokenizer, TokenNames>();

/** The names of a tokenizer's tokens; each is decoded once. */
export function tokenNames(tokenizer: Tokenizer | undefined): TokenNames {
  if (tokenizer === undefined) return { text: () => undefined, bytes: () => undefined };
  const before = known.get(tokenizer);
  if (before !== undefined) return before;
  const texts = new Map<number, string | undefined>();
  const text = (id: number): string | undefined => {
    if (!texts.has(id)) texts.set(id, textOf(tokenizer, id));
    return texts.get(id);
  };
  const names = { text, bytes: (id: number) => bytesOf(text(id), tokenizer.token(id)) };
  known.set(tokenizer, names);
  return names;
}

/** `token_id:7`, the name of a token that has no text or shares it with a likelier one. */
export function idName(id: number): string {
  return `token_id:${id}`;
}

function textOf(tokenizer: Tokenizer, id: number): string | undefined {
  const spelling = tokenizer.token(id);
  if (spelling === undefined) return undefined;
  const alone = tokenizer.decode([id]);
  if (alone === '') return spelling;
  // Some decoders drop a space that begins the text: the second of two equal tokens shows what one adds to a text.
  const twice = tokenizer.decode([id, id]);
  return twice.startsWith(alone) && twice.length > alone.length ? twice.slice(alone.length) : alone;
}

function bytesOf(text: string | undefined, spelling: string | undefined): readonly number[] | undefined {
  if (text === undefined) return undefined;
  const raw = text.includes('\ufffd') && spelling !== undefined ? rawBytes(spelling) : undefined;
  return raw ?? [...new TextEncoder().encode(text)];
}

/** Bytes of a spelling like `<0xE2>` or of one in GPT-2's byte alphabet; undefined for any other. */
function rawBytes(spelling: string): readonly number[] | undefined {
  const fallback = /^<0x([0-9A-Fa-f]{2})>$/.exec(spelling)?.[1];
  if (fallback !== undefined) return [Number.parseInt(fallback, 16)];
  const bytes = [...spelling].map((letter) => BYTE_OF_LETTER.get(letter));
  return bytes.every((byte) => byte !== undefined) ? bytes : undefined;
}

/** GPT-2's byte alphabet: printable Latin-1 letters stand for themselves, every other byte for the next letter from U+0100 on. */
const BYTE_OF_LETTER: ReadonlyMap<string, number> = byteAlphabet();

function byteAlphabet(): Map<string, number> {
  const letters = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    letters.set(String.fromCodePoint(printable ? byte : next++), byte);
  }
  return letters;
}
