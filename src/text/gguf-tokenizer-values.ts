import { WebLoraError } from '../errors.ts';

/** What a GGUF file says about itself, by key: texts, numbers, booleans and lists of them. */
export type GgufMetadata = ReadonlyMap<string, unknown>;

/** One file's metadata and what a person would call the file. */
export interface GgufSource {
  readonly metadata: GgufMetadata;
  readonly location: string;
}

/** A value as it stands in a message: JSON, at most 60 characters. */
export function shown(value: unknown): string {
  const whole = ArrayBuffer.isView(value) || Array.isArray(value) ? `a list of ${(value as { length?: number }).length ?? 0}` : undefined;
  const cut = typeof value === 'string' ? value.slice(0, 60) : value; // of a damaged file it may be the whole header
  const text = whole ?? JSON.stringify(cut) ?? String(cut);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

/** The error for a value that contradicts the format. */
export function wrong(source: GgufSource, key: string, value: unknown, expected: string): WebLoraError {
  return new WebLoraError('gguf_metadata', `${source.location}: ${key} is ${shown(value)}; it must be ${expected}.`);
}

/** The error for a tokenizer that is well formed and cannot be rebuilt from this file. */
export function unsupported(source: GgufSource, what: string): WebLoraError {
  return new WebLoraError('tokenizer_unsupported', `${source.location}: ${what}; pass a tokenizer (option \`tokenizer\`) for this model.`);
}

/** The text under a key; undefined where the file lacks it. Throws `gguf_metadata`. */
export function textOf(source: GgufSource, key: string): string | undefined {
  const value = source.metadata.get(key);
  if (value === undefined || typeof value === 'string') return value;
  throw wrong(source, key, value, 'a text');
}

/** The boolean under a key; `fallback` where the file lacks it. Throws `gguf_metadata`. */
export function flagOf(source: GgufSource, key: string, fallback: boolean): boolean {
  const value = source.metadata.get(key) ?? fallback;
  if (typeof value === 'boolean') return value;
  throw wrong(source, key, value, 'true or false');
}

/** The list of texts under a key; undefined where the file lacks it. Throws `gguf_metadata`. */
export function textsOf(source: GgufSource, key: string): readonly string[] | undefined {
  const value = source.metadata.get(key);
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw wrong(source, key, value, 'a list of texts');
  const at = value.findIndex((entry) => typeof entry !== 'string');
  if (at >= 0) throw wrong(source, `${key}[${at}]`, value[at], 'a text');
  return value;
}

/** The list of `length` finite numbers under a key; undefined where the file lacks it. Throws `gguf_metadata`. */
export function numbersOf(source: GgufSource, key: string, length: number): ArrayLike<number> | undefined {
  const value = source.metadata.get(key);
  if (value === undefined) return undefined;
  const list = Array.isArray(value) ? (value as unknown[]) : typedNumbers(value);
  if (list === undefined) throw wrong(source, key, value, 'a list of numbers');
  if (list.length !== length) throw wrong(source, key, value, `a list of ${length}, one for each of tokenizer.ggml.tokens`);
  for (let i = 0; i < length; i++) {
    if (!Number.isFinite(list[i])) throw wrong(source, `${key}[${i}]`, list[i], 'a finite number');
  }
  return list as ArrayLike<number>;
}

function typedNumbers(value: unknown): ArrayLike<unknown> | undefined {
  return ArrayBuffer.isView(value) && !(value instanceof DataView) ? (value as unknown as ArrayLike<unknown>) : undefined;
}
