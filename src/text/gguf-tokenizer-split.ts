import type { Json } from './json-value.ts';

/** How a byte-level BPE cuts a text into words before it merges, and what goes with it under the same name. */
export interface WordSplit {
  /** `pre_tokenizer` of a tokenizer.json. */
  readonly preTokenizer: Json;
  /** `normalizer` of a tokenizer.json. GGUF has no field for it: it belongs to the models that the name stands for. */
  readonly normalizer: Json | null;
  /** Words that are tokens stay whole, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** Whether BOS goes before a text when the file does not say. */
  readonly addsBos: boolean;
}

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const spaces = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';

const bytes: Json = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
/** GPT-2's own words, then bytes. */
const gpt2: Json = { ...bytes, use_regex: true };

function cut(pattern: string): Json {
  return { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false };
}

function sequence(...parts: readonly Json[]): Json {
  return { type: 'Sequence', pretokenizers: parts };
}

/** The words of cl100k and its relatives; they differ in how many digits make a word, and in what follows a run of punctuation. */
function words(digits: string): string {
  return `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${spaces}`;
}

/** The words of o200k and its relatives, cut where a lower-case letter is followed by an upper-case one. */
function casedWords(digits: string, suffix: string): string {
  const open = '[^\\r\\n\\p{L}\\p{N}]?';
  const cased = `${open}${upper}*${lower}+${suffix}|${open}${upper}+${lower}*${suffix}`;
  return `${cased}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${spaces}`;
}

const qwenWords = words('\\p{N}');
const llama3 = sequence(cut(words('\\p{N}{1,3}')), bytes);
const singleDigits = sequence({ type: 'Digits', individual_digits: true }, gpt2);
const openAi = sequence(cut(casedWords('\\p{N}{1,3}', `${contractions}?`)), bytes);
const chinese = '\\u4E00-\\u9FA5';
const deepseekCoder = sequence(
  ...['[\\r\\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', `[${chinese}\\u0800-\\u4E00\\uAC00-\\uD7FF]+`, '\\p{N}'].map(cut),
  bytes,
);
const deepseekLlm = sequence(
  cut('[\\r\\n]'),
  // The cased letters of every script.
  cut('\\s?[\\p{Lu}\\p{Ll}\\p{Lt}]+'),
  cut('\\s?[!-/:-~\\uFF01-\\uFF0F\\uFF1A-\\uFF5E\\u2018-\\u201F\\u3000-\\u3002]+'),
  cut('\\s+$'),
  cut(`[${chinese}\\u0800-\\u4E00\\uAC00-\\uD7FF]+`),
  cut('\\p{N}+'),
  bytes,
);
const deepseekV3 = sequence(
  cut('\\p{N}{1,3}'),
  cut(`[${chinese}\\u3040-\\u309F\\u30A0-\\u30FF]+`),
  cut(`[!-/:-@\\[-\`{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|${spaces}`),
  bytes,
);
/** What stands between single and triple digits in the oldest files. */
const gpt2Words = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)";
const falcon = sequence(cut('[\\p{P}$+<=>^~|`]+'), cut(gpt2Words), cut('[0-9][0-9][0-9]'), bytes);
const unnamed = sequence(cut('[\\p{P}$+<=>^~|]+'), cut(gpt2Words), cut('\\p{N}+'), cut('[0-9][0-9][0-9]'), bytes);

const nfc: Json = { type: 'NFC' };

function entry(preTokenizer: Json, more: Partial<WordSplit> = {}): WordSplit {
  return { preTokenizer, normalizer: null, ignoreMerges: false, addsBos: false, ...more };
}

const llama3Family = entry(llama3, { ignoreMerges: true, addsBos: true });
const qwen = entry(sequence(cut(qwenWords), bytes), { normalizer: nfc });
const marks = qwenWords.replace('?\\p{L}+', '?[\\p{L}\\p{M}]+').replace(' ?[^\\s\\p{L}\\p{N}]+', ' ?[^\\s\\p{L}\\p{M}\\p{N}]+');

/** Values of `tokenizer.ggml.pre` for byte-level BPE, and the words that each stands for. */
const splits: ReadonlyMap<string, WordSplit> = new Map<string, WordSplit>([
  ['default', entry(unnamed)],
  ...['gpt-2', 'phi-2', 'jais', 'gigachat', 'a.x-4.0', 'mellum', 'exaone4', 'trillion', 'granite-docling'].map(
    (name): [string, WordSplit] => [name, entry(gpt2)],
  ),
  ...['mpt', 'olmo', 'modern-bert'].map((name): [string, WordSplit] => [name, entry(gpt2, { normalizer: nfc })]),
  ...['smollm', 'starcoder', 'refact', 'codeshell', 'exaone', 'minerva-7b', 'mellum2'].map((name): [string, WordSplit] => [
    name,
    entry(singleDigits),
  ]),
  ['command-r', entry(singleDigits, { normalizer: nfc })],
  ...['llama3', 'llama-v3', 'llama-bpe', 'falcon3', 'falcon-h1', 'pixtral', 'midm-2.0', 'lfm2'].map((name): [string, WordSplit] => [
    name,
    llama3Family,
  ]),
  ...['dbrx', 'smaug-bpe', 'chatglm-bpe', 'glm4'].map((name): [string, WordSplit] => [name, entry(llama3)]),
  ...['qwen2', 'deepseek-r1-qwen', 'megrez'].map((name): [string, WordSplit] => [name, qwen]),
  ...['stablelm2', 'hunyuan'].map((name): [string, WordSplit] => [name, { ...qwen, normalizer: null }]),
  ['qwen35', entry(sequence(cut(marks), bytes), { normalizer: nfc })],
  ['tekken', entry(sequence(cut(casedWords('\\p{N}', '')), bytes), { ignoreMerges: true, addsBos: true })],
  ...['gpt-4o', 'llama4', 'kanana2'].map((name): [string, WordSplit] => [name, entry(openAi)]),
  ['deepseek-llm', entry(deepseekLlm)],
  ['deepseek-coder', entry(deepseekCoder)],
  ['deepseek-v3', entry(deepseekV3)],
  ['falcon', entry(falcon)],
]);

/** How a pre-tokenizer's name (`tokenizer.ggml.pre`) cuts words; undefined for a name that is not known. */
export function wordSplit(name: string): WordSplit | undefined {
  return splits.get(name);
}
