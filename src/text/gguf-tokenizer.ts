import { mergesOfScores, parseMerges } from './gguf-tokenizer-merges.ts';
import { namedChatTemplates, postProcessor, specialIds, type SpecialIds, specialTexts, templateField } from './gguf-tokenizer-special.ts';
import { wordSplit } from './gguf-tokenizer-split.ts';
import {
  flagOf,
  type GgufMetadata,
  type GgufSource,
  numbersOf,
  shown,
  textOf,
  textsOf,
  unsupported,
  wrong,
} from './gguf-tokenizer-values.ts';
import type { Json } from './json-value.ts';

/** A tokenizer as Hugging Face's files would describe it. */
export interface GgufTokenizer {
  /** For `createTokenizer`, in the place of a parsed tokenizer.json. */
  readonly tokenizerJson: Json;
  /** For `createTokenizer` and `createChatTemplate`, in the place of a parsed tokenizer_config.json. */
  readonly tokenizerConfig: Json;
  /** The template that stands under no name; all of them are in `tokenizerConfig.chat_template`. */
  readonly chatTemplate?: string;
}

/** What `tokenizer.ggml.token_type` says of a token. */
const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 };

/**
 * What begins and ends turns, which no converter means as text. Some made normal tokens of Gemma 3's: text can never be merged into these,
 * and a chat comes out in pieces.
 */
const turnMarks: ReadonlySet<string> = new Set([
  ...['<start_of_turn>', '<end_of_turn>', '<|im_start|>', '<|im_end|>'],
  ...['<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>'],
]);

interface Vocabulary {
  readonly tokens: readonly string[];
  /** One of `tokenType` for each token; special tokens are control or unknown. */
  readonly types: ArrayLike<number>;
  readonly special: SpecialIds;
}

/**
 * Rebuilds a tokenizer from the metadata of a GGUF file: byte-level BPE (`tokenizer.ggml.model` = `gpt2`), whose words are cut as
 * `tokenizer.ggml.pre` says, and SentencePiece BPE (`llama`), whose scores become merges. Control and unknown tokens and those that
 * stand for BOS, EOS and the like become special tokens; user-defined ones are matched in the text before anything else; unused ones are left
 * out. A file without `tokenizer.ggml.pre` is cut as llama.cpp cuts it, by the rule named `default`.
 *
 * Every list is checked before anything is built: lengths, ids, that no two tokens are spelled alike, that merges are made of tokens.
 *
 * @param metadata The file's metadata. @param location What a person would call the file, for messages.
 * @throws WebLoraError `gguf_metadata` for a value that contradicts the format; `tokenizer_unsupported` for another kind of tokenizer or an
 * unknown pre-tokenizer.
 */
export function tokenizerOfGguf(metadata: GgufMetadata, location: string): GgufTokenizer {
  const source: GgufSource = { metadata, location };
  const kind = textOf(source, 'tokenizer.ggml.model');
  if (kind === undefined) throw unsupported(source, 'the file has no tokenizer (tokenizer.ggml.model)');
  if (kind !== 'gpt2' && kind !== 'llama') {
    throw unsupported(source, `tokenizer.ggml.model is ${shown(kind)}; "gpt2" and "llama" are read`);
  }
  const vocabulary = readVocabulary(source, kind);
  const chatTemplate = namedChatTemplates(source).get('default');
  const parts = kind === 'gpt2' ? byteLevel(source, vocabulary) : sentencePiece(source, vocabulary);
  return {
    tokenizerJson: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: addedTokens(source, vocabulary, kind),
      ...parts.json,
      post_processor: postProcessor(source, vocabulary.tokens, vocabulary.special, parts.addsBos),
    },
    tokenizerConfig: configJson(source, vocabulary.tokens, vocabulary.special),
    ...(chatTemplate === undefined ? {} : { chatTemplate }),
  };
}

/**
 * What `tokenizerOfGguf` has for `createChatTemplate`, of a file whose tokenizer another one stands in for: of any kind, with any
 * pre-tokenizer.
 *
 * @throws WebLoraError `gguf_metadata` for a value that contradicts the format.
 */
export function tokenizerConfigOfGguf(metadata: GgufMetadata, location: string): Json {
  const source: GgufSource = { metadata, location };
  const tokens = textsOf(source, 'tokenizer.ggml.tokens') ?? [];
  const kind = textOf(source, 'tokenizer.ggml.model') === 'llama' ? 'llama' : 'gpt2';
  return configJson(source, tokens, specialIds(source, tokens, kind));
}

function configJson(source: GgufSource, tokens: readonly string[], special: SpecialIds): Json {
  const templates = namedChatTemplates(source);
  return { ...specialTexts(tokens, special), ...(templates.size === 0 ? {} : { chat_template: templateField(templates) }) };
}

function readVocabulary(source: GgufSource, kind: 'gpt2' | 'llama'): Vocabulary {
  const key = 'tokenizer.ggml.tokens';
  const tokens = textsOf(source, key);
  if (tokens === undefined || tokens.length === 0) throw wrong(source, key, tokens, 'a list of tokens');
  const types = readTypes(source, tokens, kind);
  const special = specialIds(source, tokens, kind);
  for (const name of ['bos', 'eos', 'eot', 'eom'] as const) {
    const id = special.get(name);
    // A converter may have left the type of a token that ends a turn at normal.
    if (id !== undefined && types[id] !== tokenType.unknown) types[id] = tokenType.control;
  }
  const seen = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    if (types[id] === tokenType.normal && turnMarks.has(token)) types[id] = tokenType.control;
    if (types[id] === tokenType.unused || token === '') continue;
    const first = seen.get(token);
    if (first !== undefined)
      throw wrong(source, `${key}[${id}]`, token, `spelled otherwise than every other token; token ${first} is the same`);
    seen.set(token, id);
  }
  return { tokens, types, special };
}

function readTypes(source: GgufSource, tokens: readonly string[], kind: 'gpt2' | 'llama'): Uint8Array {
  const key = 'tokenizer.ggml.token_type';
  const given = numbersOf(source, key, tokens.length);
  if (given === undefined) return Uint8Array.from(tokens, (token) => guessedType(token, kind));
  const types = Uint8Array.from(given);
  for (let id = 0; id < types.length; id++) {
    if (types[id] !== given[id] || types[id]! > tokenType.byte) throw wrong(source, `${key}[${id}]`, given[id], 'a token type, 0 to 6');
    // 0 says nothing; text is merged into such a token as into any other.
    if (types[id] === 0) types[id] = tokenType.normal;
  }
  return types;
}

function guessedType(token: string, kind: 'gpt2' | 'llama'): number {
  return kind === 'llama' && /^<0x[0-9A-F]{2}>$/.test(token) ? tokenType.byte : tokenType.normal;
}

/** The parts of a tokenizer.json that its kind decides. */
interface KindParts {
  readonly json: Json;
  readonly addsBos: boolean;
}

function byteLevel(source: GgufSource, vocabulary: Vocabulary): KindParts {
  const name = textOf(source, 'tokenizer.ggml.pre') ?? 'default';
  const split = wordSplit(name);
  if (split === undefined) throw unsupported(source, `tokenizer.ggml.pre is ${shown(name)}, a pre-tokenizer that WebLoRA does not know`);
  const lines = textsOf(source, 'tokenizer.ggml.merges');
  if (lines === undefined) throw wrong(source, 'tokenizer.ggml.merges', lines, 'a list of merges');
  const ids = idsOf(vocabulary);
  return {
    json: {
      normalizer: split.normalizer,
      pre_tokenizer: split.preTokenizer,
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: split.ignoreMerges,
        vocab: Object.fromEntries(ids),
        merges: parseMerges(source, lines, (token) => ids.has(token)),
      },
    },
    addsBos: split.addsBos,
  };
}

function sentencePiece(source: GgufSource, vocabulary: Vocabulary): KindParts {
  const { tokens, types, special } = vocabulary;
  const scores = numbersOf(source, 'tokenizer.ggml.scores', tokens.length);
  if (scores === undefined) throw wrong(source, 'tokenizer.ggml.scores', scores, 'a list of scores, which order the merges');
  const pieces = tokens.flatMap((text, id) => (types[id] === tokenType.normal && text !== '' ? [{ text, id, score: scores[id]! }] : []));
  const unknown = special.get('unknown');
  const prefix = flagOf(source, 'tokenizer.ggml.add_space_prefix', true);
  return {
    json: {
      normalizer: {
        type: 'Sequence',
        normalizers: [...(prefix ? [{ type: 'Prepend', prepend: '\u2581' }] : []), replacement(' ', '\u2581')],
      },
      pre_tokenizer: null,
      decoder: {
        type: 'Sequence',
        decoders: [
          replacement('\u2581', ' '),
          { type: 'ByteFallback' },
          { type: 'Fuse' },
          ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
        ],
      },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: unknown === undefined ? null : tokens[unknown],
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: true,
        byte_fallback: true,
        ignore_merges: false,
        vocab: Object.fromEntries(idsOf(vocabulary)),
        merges: mergesOfScores(source, pieces),
      },
    },
    addsBos: true,
  };
}

function replacement(from: string, to: string): Json {
  return { type: 'Replace', pattern: { String: from }, content: to };
}

function idsOf({ tokens, types }: Vocabulary): Map<string, number> {
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) if (types[id] !== tokenType.unused && token !== '') ids.set(token, id);
  return ids;
}

function addedTokens(source: GgufSource, { tokens, types }: Vocabulary, kind: 'gpt2' | 'llama'): readonly Json[] {
  const swallows = kind === 'llama' && isPhi3(source) ? (token: string) => !phi3Keeps.has(token) : () => false;
  return tokens.flatMap((content, id) => {
    const type = types[id];
    const special = type === tokenType.control || type === tokenType.unknown;
    if (content === '' || (!special && type !== tokenType.userDefined)) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: swallows(content), normalized: false, special }];
  });
}

const phi3Keeps: ReadonlySet<string> = new Set(['<unk>', '<s>', '<|endoftext|>']);

/** Phi-3's special tokens swallow the white space behind them. GGUF has no field for it; llama.cpp goes by the model's name. */
function isPhi3(source: GgufSource): boolean {
  const name = textOf(source, 'general.name') ?? '';
  return textOf(source, 'general.architecture') === 'phi3' || /phi-?3/i.test(name);
}
