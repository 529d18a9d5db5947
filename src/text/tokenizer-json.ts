import { WebLoraError } from '../errors.ts';
import { isObject, type Json } from './json-value.ts';

const largestId = 2 ** 31;

// What Python's tokenizers call punctuation: ASCII punctuation and every character of Unicode's category P.
const punctuation = '[\\p{P}\\x21-\\x2F\\x3A-\\x40\\x5B-\\x60\\x7B-\\x7E]';
const byteLevelWords = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * Checks a parsed tokenizer.json and rewrites what the JavaScript library computes differently from Python's tokenizers
 * into parts that both compute alike. The input is not changed.
 *
 * @param json The parsed tokenizer.json.
 * @param config The parsed tokenizer_config.json, if there is one; its `added_tokens_decoder` adds to the vocabulary as in transformers.
 * @param location What a person would call the folder, for messages.
 * @throws WebLoraError `file_invalid` for a field of the wrong type, `tokenizer_unsupported` for a setting that would give other ids.
 */
export function prepareTokenizerJson(json: unknown, config: unknown, location: string): Json {
  const fail: Fail = (code, what) => {
    throw new WebLoraError(code, `tokenizer.json of ${location}: ${what}`);
  };
  if (!isObject(json)) return fail('file_invalid', 'expected a JSON object; is the file a tokenizer.json of Hugging Face?');
  const model = prepareModel(json['model'], fail);
  return {
    ...json,
    model,
    added_tokens: prepareAddedTokens(json['added_tokens'], model['vocab'], config, fail),
    normalizer: json['normalizer'] ?? null,
    pre_tokenizer: optional(json['pre_tokenizer'], (part) => preparePreTokenizer(part, fail)),
    post_processor: optional(json['post_processor'], (part) => preparePostProcessor(part, fail)),
    decoder: optional(json['decoder'], (part) => prepareDecoder(part, fail)),
  };
}

/** A part that a file may leave out or set to null; the library wants the null. */
function optional(part: unknown, prepare: (part: unknown) => Json): Json | null {
  return part === undefined || part === null ? null : prepare(part);
}

type Fail = (code: 'file_invalid' | 'tokenizer_unsupported', what: string) => never;

function prepareModel(model: unknown, fail: Fail): Json {
  if (!isObject(model)) return fail('file_invalid', '"model" is missing or no object');
  const type = model['type'] ?? (Array.isArray(model['merges']) ? 'BPE' : Array.isArray(model['vocab']) ? 'Unigram' : undefined);
  if (type === 'BPE') checkBpe(model, fail);
  else if (type === 'Unigram') checkUnigram(model['vocab'], fail);
  else if (type === 'WordPiece') checkVocabulary(model['vocab'], fail);
  else fail('tokenizer_unsupported', `model type ${JSON.stringify(type)} is not supported (BPE, Unigram and WordPiece are)`);
  return { ...model, type };
}

function checkBpe(model: Json, fail: Fail): void {
  checkVocabulary(model['vocab'], fail);
  const merges = model['merges'];
  if (!Array.isArray(merges)) return fail('file_invalid', '"model.merges" is no list');
  const pairs = Array.isArray(merges[0]);
  for (let i = 0; i < merges.length; i++) {
    const merge: unknown = merges[i];
    const valid = pairs
      ? Array.isArray(merge) && merge.length === 2 && typeof merge[0] === 'string' && typeof merge[1] === 'string'
      : typeof merge === 'string' && merge.includes(' ');
    if (!valid) fail('file_invalid', `"model.merges[${i}]" is ${show(merge)}, expected two tokens like ${show(merges[0])}`);
  }
  const dropout = model['dropout'];
  if (typeof dropout === 'number' && dropout > 0) fail('tokenizer_unsupported', `BPE dropout (${dropout}) makes ids random`);
  if (model['continuing_subword_prefix']) {
    fail('tokenizer_unsupported', `BPE with "continuing_subword_prefix" ${show(model['continuing_subword_prefix'])} is not supported`);
  }
}

function checkVocabulary(vocabulary: unknown, fail: Fail): void {
  if (!isObject(vocabulary)) return fail('file_invalid', '"model.vocab" is missing or no object');
  for (const token in vocabulary) {
    if (!isId(vocabulary[token])) fail('file_invalid', `the id of token ${show(token)} is ${show(vocabulary[token])}, expected an integer`);
  }
}

function checkUnigram(vocabulary: unknown, fail: Fail): void {
  if (!Array.isArray(vocabulary) || vocabulary.length === 0) return fail('file_invalid', '"model.vocab" is missing or no list');
  for (let i = 0; i < vocabulary.length; i++) {
    const entry: unknown = vocabulary[i];
    if (!Array.isArray(entry) || typeof entry[0] !== 'string' || !Number.isFinite(entry[1])) {
      fail('file_invalid', `"model.vocab[${i}]" is ${show(entry)}, expected [token, score]`);
    }
  }
}

// transformers adds what tokenizer_config.json lists in `added_tokens_decoder`, and its flags win over those of tokenizer.json.
function prepareAddedTokens(own: unknown, vocabulary: unknown, config: unknown, fail: Fail): readonly Json[] {
  if (own !== undefined && own !== null && !Array.isArray(own)) return fail('file_invalid', '"added_tokens" is no list');
  const tokens = new Map<string, Json>();
  for (const token of own ?? []) {
    if (!isObject(token) || typeof token['content'] !== 'string' || !isId(token['id'])) {
      return fail('file_invalid', `"added_tokens" holds ${show(token)}, expected { id, content, … }`);
    }
    tokens.set(token['content'], token);
  }
  const more = isObject(config) && isObject(config['added_tokens_decoder']) ? config['added_tokens_decoder'] : {};
  for (const [key, token] of Object.entries(more)) {
    if (!isObject(token) || typeof token['content'] !== 'string' || !isId(Number(key))) {
      return fail('file_invalid', `"added_tokens_decoder" of tokenizer_config.json holds ${show(key)}: ${show(token)}`);
    }
    const content = token['content'];
    const known =
      tokens.get(content)?.['id'] ?? (isObject(vocabulary) && Object.hasOwn(vocabulary, content) ? vocabulary[content] : undefined);
    tokens.set(content, { ...token, id: known ?? Number(key) });
  }
  for (const [content, token] of tokens) {
    if (token['single_word'] === true) fail('tokenizer_unsupported', `added token ${show(content)} has "single_word": true`);
  }
  return [...tokens.values()];
}

function preparePreTokenizer(part: unknown, fail: Fail): Json {
  if (!isObject(part)) return fail('file_invalid', `"pre_tokenizer" holds ${show(part)}, expected an object`);
  switch (part['type']) {
    case 'Sequence':
      return { ...part, pretokenizers: list(part['pretokenizers'], 'pretokenizers', fail).map((p) => preparePreTokenizer(p, fail)) };
    case 'Split':
      return prepareSplit(part, fail);
    case 'Digits':
      // The library's \d knows ASCII digits only; Python splits at every character of Unicode's category N.
      return split(part['individual_digits'] === true ? '\\p{N}' : '\\p{N}+');
    case 'Whitespace':
      return { ...split('\\w+|[^\\w\\s]+'), behavior: 'Removed', invert: true };
    case 'Punctuation':
      return prepareSplit({ ...split(punctuation), behavior: part['behavior'] ?? 'Isolated' }, fail);
    case 'ByteLevel':
      return prepareByteLevel(part);
    case 'Metaspace':
      return prepareMetaspace(part);
    default:
      return part;
  }
}

// JavaScript's \s has U+FEFF and lacks U+0085; a Split's pattern is translated, the library's own ByteLevel pattern is not.
function prepareByteLevel(part: Json): Json {
  if (part['use_regex'] === false) return part;
  const bytes = { ...part, use_regex: false, add_prefix_space: false };
  const prefix = { type: 'Replace', pattern: { Regex: '\\A(?! )' }, content: ' ' };
  return { type: 'Sequence', pretokenizers: [...(part['add_prefix_space'] === false ? [] : [prefix]), split(byteLevelWords), bytes] };
}

// The library neither splits at the replacement character nor reads the older `add_prefix_space`.
function prepareMetaspace(part: Json): Json {
  const scheme = part['prepend_scheme'] ?? (part['add_prefix_space'] === false ? 'never' : 'always');
  const whole = { ...part, prepend_scheme: scheme };
  if (part['split'] === false) return whole;
  const mark = escape(typeof part['replacement'] === 'string' ? part['replacement'] : '\u2581');
  return { type: 'Sequence', pretokenizers: [whole, split(`${mark}(?:(?!${mark})[\\s\\S])*`)] };
}

// The library knows Isolated and Removed; the other behaviours are Isolated with a pattern that holds what they merge.
function prepareSplit(part: Json, fail: Fail): Json {
  const pattern = part['pattern'];
  const source = isObject(pattern)
    ? (pattern['Regex'] ?? (typeof pattern['String'] === 'string' ? escape(pattern['String']) : undefined))
    : undefined;
  if (typeof source !== 'string') return fail('file_invalid', `a Split has the pattern ${show(pattern)}, expected { Regex } or { String }`);
  const behavior = part['behavior'];
  if (behavior === 'Isolated') return split(source);
  if (behavior === 'Removed') {
    const groups = source.replace(/\\[\s\S]/g, '').match(/\((?!\?)/);
    if (groups && part['invert'] !== true) fail('tokenizer_unsupported', `a Split removes a pattern with a capturing group: ${source}`);
    return { ...split(source), behavior, invert: part['invert'] === true };
  }
  if (part['invert'] === true) fail('tokenizer_unsupported', `a Split has "invert" with behavior ${show(behavior)}`);
  // The second alternative takes a rest without a match whole: else every position of it would search to the end again.
  if (behavior === 'MergedWithPrevious') return split(`[\\s\\S]*?(?:${source})|[\\s\\S]+`);
  if (behavior === 'MergedWithNext') return split(`(?:${source})(?:(?!${source})[\\s\\S])*`);
  if (behavior === 'Contiguous') return split(`(?:${source})+`);
  return fail('tokenizer_unsupported', `a Split has the unknown behavior ${show(behavior)}`);
}

// The library takes the name of a special token in a template for the token itself; the file says which tokens it stands for.
function preparePostProcessor(part: unknown, fail: Fail): Json {
  if (!isObject(part)) return fail('file_invalid', `"post_processor" holds ${show(part)}, expected an object`);
  if (part['type'] === 'Sequence') {
    return { ...part, processors: list(part['processors'], 'processors', fail).map((p) => preparePostProcessor(p, fail)) };
  }
  if (part['type'] !== 'TemplateProcessing') return part;
  const named = isObject(part['special_tokens']) ? part['special_tokens'] : {};
  const single = list(part['single'], 'single', fail).flatMap((item) => {
    const special = isObject(item) ? item['SpecialToken'] : undefined;
    if (!isObject(special)) return [item];
    const entry = named[String(special['id'])];
    if (!isObject(entry)) return fail('file_invalid', `the post-processor names ${show(special['id'])}, which its "special_tokens" lack`);
    return list(entry['tokens'], 'tokens', fail).map((token) => ({ SpecialToken: { ...special, id: token } }));
  });
  return { ...part, single };
}

// The library's Metaspace takes a leading space away even where none was put; Python's does so only with a prefix.
function prepareDecoder(part: unknown, fail: Fail): Json {
  if (!isObject(part)) return fail('file_invalid', `"decoder" holds ${show(part)}, expected an object`);
  if (part['type'] === 'Sequence')
    return { ...part, decoders: list(part['decoders'], 'decoders', fail).map((p) => prepareDecoder(p, fail)) };
  const bare = part['prepend_scheme'] === 'never' || (part['prepend_scheme'] === undefined && part['add_prefix_space'] === false);
  if (part['type'] !== 'Metaspace' || !bare) return part;
  return { type: 'Replace', pattern: { String: part['replacement'] ?? '\u2581' }, content: ' ' };
}

function split(source: string): Json {
  return { type: 'Split', pattern: { Regex: source }, behavior: 'Isolated', invert: false };
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function list(value: unknown, name: string, fail: Fail): readonly unknown[] {
  return Array.isArray(value) ? value : fail('file_invalid', `"${name}" is ${show(value)}, expected a list`);
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < largestId;
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'missing';
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
