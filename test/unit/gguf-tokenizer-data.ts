import { WebLoraError } from '../../src/errors.ts';
import { tokenizerOfGguf } from '../../src/text/gguf-tokenizer.ts';
import { createTokenizer, type Tokenizer } from '../../src/text/tokenizer.ts';

export type Metadata = Readonly<Record<string, unknown>>;

export const normal = 1;
export const unknown = 2;
export const control = 3;
export const userDefined = 4;
export const unused = 5;
export const byte = 6;

export function metadata(entries: Metadata): Map<string, unknown> {
  return new Map(
    Object.entries(entries).map(([key, value]) => [/^(general|tokenizer)\./.test(key) ? key : `tokenizer.ggml.${key}`, value]),
  );
}

export function build(entries: Metadata): Tokenizer {
  const gguf = tokenizerOfGguf(metadata(entries), 'a.gguf');
  return createTokenizer(gguf.tokenizerJson, gguf.tokenizerConfig, 'a.gguf');
}

/** Pieces with scores in the order given, behind <unk>, <s>, </s> and all bytes. */
export function sentencePiece(pieces: readonly string[], more: Metadata = {}): Metadata {
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
export function byteLevel(tokens: readonly string[], merges: readonly string[], more: Metadata = {}): Metadata {
  const printable = (value: number) => (value > 32 && value < 127) || (value > 160 && value !== 173);
  let next = 256;
  const letters = Array.from({ length: 256 }, (_, value) => String.fromCodePoint(printable(value) ? value : next++));
  return { model: 'gpt2', pre: 'gpt-2', tokens: [...letters, ...tokens], merges, ...more };
}

export function spelled(tokenizer: Tokenizer, text: string, special: 'special' | 'plain' = 'plain'): (string | undefined)[] {
  return tokenizer.encode(text, special).map((id) => tokenizer.token(id));
}

export function refusal(entries: Metadata): { code: string; message: string } {
  try {
    tokenizerOfGguf(metadata(entries), 'a.gguf');
  } catch (error) {
    if (error instanceof WebLoraError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('nothing was refused');
}
