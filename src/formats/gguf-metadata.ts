import { WebLoraError } from '../errors.ts';
import { show } from './json.ts';

/** Metadata of a GGUF file, or anything shaped like it. */
export type GgufMetadata = ReadonlyMap<string, unknown>;
/** What stands for an absent key; none: the key must be there. */
type Fallback<T> = readonly [] | readonly [T];

/** A value as it stands in a message: of lists that are long, as a vocabulary is, only how long. */
function showValue(value: unknown): string {
  if (typeof value === 'number') return String(value); // JSON has no infinity and no NaN
  if (!Array.isArray(value) && !(ArrayBuffer.isView(value) && 'length' in value)) return show(value);
  const list = value as unknown as ArrayLike<unknown>;
  return list.length > 8 ? `a list of ${list.length}` : `[${Array.from(list, showValue).join(', ')}]`;
}

/** True for what stands for "no token" where an id is expected: -1, as converters write it into 32 bits with or without a sign. */
export function isNoGgufToken(id: unknown): boolean {
  return id === -1 || id === 0xffffffff;
}

/** The error for a key whose value is not what it must be, or that is missing. `expected` completes "it must be …". */
export function wrongGgufValue(metadata: GgufMetadata, key: string, location: string, expected: string): WebLoraError {
  const found = metadata.has(key) ? `${key} is ${showValue(metadata.get(key))}` : `${key} is missing`;
  return new WebLoraError('gguf_metadata', `${location}: ${found}; it must be ${expected}.`);
}

function read<V, T>(
  metadata: GgufMetadata,
  key: string,
  location: string,
  expected: string,
  isValue: (value: unknown) => value is V,
  fallback: Fallback<T>,
): V | T {
  const value = metadata.get(key);
  if (isValue(value)) return value;
  if (fallback.length === 1 && !metadata.has(key)) return fallback[0];
  throw wrongGgufValue(metadata, key, location, expected);
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isBoolean = (value: unknown): value is boolean => typeof value === 'boolean';
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every(isText);
const isBooleans = (value: unknown): value is readonly boolean[] => Array.isArray(value) && value.every(isBoolean);

function isNumbers(value: unknown): value is ArrayLike<number> {
  if (Array.isArray(value)) return value.every(isNumber);
  if (value instanceof Float32Array || value instanceof Float64Array) return value.every(isNumber);
  return ArrayBuffer.isView(value) && 'length' in value;
}

/** The key's text; `fallback`, if one is given, where the key is absent. Throws `gguf_metadata`. */
export function ggufText<T = never>(metadata: GgufMetadata, key: string, location: string, ...fallback: Fallback<T>): string | T {
  return read(metadata, key, location, 'text', isText, fallback);
}

/** The key's finite number; `fallback`, if one is given, where the key is absent. Throws `gguf_metadata`. */
export function ggufNumber<T = never>(metadata: GgufMetadata, key: string, location: string, ...fallback: Fallback<T>): number | T {
  return read(metadata, key, location, 'a finite number', isNumber, fallback);
}

/** The key's integer from 0 on; `fallback`, if one is given, where the key is absent. Throws `gguf_metadata`. */
export function ggufCount<T = never>(metadata: GgufMetadata, key: string, location: string, ...fallback: Fallback<T>): number | T {
  return read(metadata, key, location, 'an integer from 0 on', isCount, fallback);
}

/** The key's boolean; `fallback`, if one is given, where the key is absent. Throws `gguf_metadata`. */
export function ggufBoolean<T = never>(metadata: GgufMetadata, key: string, location: string, ...fallback: Fallback<T>): boolean | T {
  return read(metadata, key, location, 'true or false', isBoolean, fallback);
}

/** The key's list of texts; `fallback`, if one is given, where the key is absent. Throws `gguf_metadata`. */
export function ggufTexts<T = never>(
  metadata: GgufMetadata,
  key: string,
  location: string,
  ...fallback: Fallback<T>
): readonly string[] | T {
  return read(metadata, key, location, 'a list of texts', isTexts, fallback);
}

/** The key's list of finite numbers; `fallback`, if one is given, where the key is absent. Throws `gguf_metadata`. */
export function ggufNumbers<T = never>(
  metadata: GgufMetadata,
  key: string,
  location: string,
  ...fallback: Fallback<T>
): ArrayLike<number> | T {
  return read(metadata, key, location, 'a list of finite numbers', isNumbers, fallback);
}

/** The key's list of booleans; `fallback`, if one is given, where the key is absent. Throws `gguf_metadata`. */
export function ggufBooleans<T = never>(
  metadata: GgufMetadata,
  key: string,
  location: string,
  ...fallback: Fallback<T>
): readonly boolean[] | T {
  return read(metadata, key, location, 'a list of booleans', isBooleans, fallback);
}
