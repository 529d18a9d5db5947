import { ByteFallbackDecoder, Tokenizer as LibraryTokenizer, SequenceDecoder } from '@huggingface/tokenizers';
import { WebLoraError } from '../errors.ts';
import type { Json } from './json-value.ts';
import { prepareTokenizerJson } from './tokenizer-json.ts';

/** Text to token ids and back. `fromTransformers` wraps a tokenizer of transformers.js into this shape. */
export interface Tokenizer {
  /** Ids of a text. `special` adds what the tokenizer's post-processor adds (BOS); special tokens written in the text become their ids either way. */
  encode(text: string, special: 'special' | 'plain'): number[];
  /**
   * Text of ids, special tokens and unused ids left out, as the reference library decodes it. Bytes that make no character become
   * U+FFFD as in every TextDecoder: one for each broken character, where Python's byte fallback has one for each byte.
   */
  decode(ids: readonly number[]): string;
  /** The token as the vocabulary spells it, or undefined for an unused id. */
  token(id: number): string | undefined;
  /** The id of a token as the vocabulary spells it, special tokens included. */
  id(token: string): number | undefined;
}

/**
 * Reads a tokenizer as Hugging Face's tokenizer.json describes it. Ids and text are those of Python's `tokenizers`, which means that
 * `clean_up_tokenization_spaces` of tokenizer_config.json has no effect on decoding.
 *
 * @param tokenizerJson The parsed tokenizer.json.
 * @param tokenizerConfig The parsed tokenizer_config.json, or undefined where there is none.
 * @param location What a person would call the folder, for messages.
 * @throws WebLoraError `file_invalid` if the file is malformed, `tokenizer_unsupported` if a part of it is not known.
 */
export function createTokenizer(tokenizerJson: unknown, tokenizerConfig: unknown, location: string): Tokenizer {
  const json = prepareTokenizerJson(tokenizerJson, tokenizerConfig, location);
  const library = build(json, location);
  const silent = new Set(
    (json['added_tokens'] as readonly Json[]).filter((token) => token['special'] === true).map((token) => token['id']),
  );
  return {
    encode: (text, special) => encode(library, text, special, location),
    decode: (ids) => {
      const visible = ids.filter((id) => !silent.has(id) && library.id_to_token(id) !== undefined);
      if (visible.length === 0) return '';
      return library.decode(visible, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
    },
    token: (id) => library.id_to_token(id),
    id: (token) => library.token_to_id(token),
  };
}

function build(json: Json, location: string): LibraryTokenizer {
  try {
    // The empty config keeps the library from adding to what tokenizer.json says.
    const library = new LibraryTokenizer(json, {});
    keepByteOrderMarks(library.decoder);
    // A first text meets everything that the constructor leaves unchecked, the post-processor's tokens among them.
    encode(library, 'a', 'special', location);
    return library;
  } catch (cause) {
    if (cause instanceof WebLoraError) throw cause;
    const words = cause instanceof Error ? cause.message : String(cause);
    const unsupported = cause instanceof SyntaxError || /^(Unknown|Unsupported)\b/.test(words);
    throw new WebLoraError(
      unsupported ? 'tokenizer_unsupported' : 'file_invalid',
      `tokenizer.json of ${location} cannot be used: ${words}`,
      { cause },
    );
  }
}

function encode(library: LibraryTokenizer, text: string, special: 'special' | 'plain', location: string): number[] {
  const { ids, tokens } = library.encode(text, { add_special_tokens: special === 'special' });
  const missing = ids.findIndex((id) => id === undefined);
  if (missing >= 0) {
    throw new WebLoraError(
      'file_invalid',
      `tokenizer.json of ${location} has no id for ${JSON.stringify(tokens[missing])} and no token for the unknown`,
    );
  }
  return ids;
}

// TextDecoder swallows U+FEFF at the start of its input, which here is the start of any run of byte tokens.
function keepByteOrderMarks(decoder: unknown): void {
  if (decoder instanceof SequenceDecoder) decoder.decoders.forEach(keepByteOrderMarks);
  else if (decoder instanceof ByteFallbackDecoder) decoder.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
}
