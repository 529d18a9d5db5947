import { WebLoraError } from '../errors.ts';
import { isNoGgufToken } from '../formats/gguf-metadata.ts';
import { show } from '../formats/json.ts';
import type { GgufArchitecture } from './gguf-config-tensors.ts';

/** One GGUF file's metadata under its architecture's name, and what a person would call the file. */
export interface GgufSettings {
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly architecture: GgufArchitecture;
  readonly location: string;
}

/** The error for a value that contradicts the format. `key` is whole. */
export function wrong(location: string, key: string, value: unknown, expected: string): WebLoraError {
  return new WebLoraError('gguf_metadata', `${location}: ${key} is ${shown(value)}; it must be ${expected}.`);
}

/** The error for a value that is well formed and would compute something that is not served. */
export function unsupported(location: string, what: string): WebLoraError {
  return new WebLoraError('model_unsupported', `${location}: ${what}`);
}

/** A value as it stands in a message; lists that may be long, as their length and first entries. */
export function shown(value: unknown): string {
  if (!isList(value)) return show(value);
  const first = Array.from({ length: Math.min(value.length, 4) }, (_, i) => value[i]);
  return `a list of ${value.length} (${show(first)})`;
}

/** True for the lists of a GGUF file: arrays and typed arrays. */
export function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

/** The value under the architecture's key `name`. */
export function valueOf(settings: GgufSettings, name: string): unknown {
  return settings.metadata.get(`${settings.architecture}.${name}`);
}

/** The finite number under the architecture's key; undefined where the file lacks it. Throws `gguf_metadata`. */
export function numberOf(settings: GgufSettings, name: string): number | undefined {
  const value = valueOf(settings, name);
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw wrong(settings.location, `${settings.architecture}.${name}`, value, 'a finite number');
}

/**
 * The positive integer under the architecture's key: one number, or a list with one for each layer, all alike. `fallback` where the file
 * lacks it. Throws `gguf_metadata`, and `model_unsupported` for layers that differ.
 */
export function countOf(settings: GgufSettings, name: string, fallback?: number): number {
  const key = `${settings.architecture}.${name}`;
  const given = valueOf(settings, name) ?? fallback;
  const value = isList(given) ? given[0] : given;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1)
    throw wrong(settings.location, key, given, 'a positive integer');
  if (isList(given) && Array.prototype.some.call(given, (each) => each !== value)) {
    throw unsupported(settings.location, `${key} is ${shown(given)}; layers that differ are not served.`);
  }
  return value;
}

/** The id of a token under a key, whole; undefined where the file lacks it, or says that there is none. Throws `gguf_metadata`. */
export function tokenIdOf(settings: GgufSettings, key: string, vocabSize: number): number | undefined {
  const value = settings.metadata.get(key);
  if (value === undefined || isNoGgufToken(value)) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < vocabSize) return value;
  throw wrong(settings.location, key, value, `the id of one of the ${vocabSize} tokens`);
}
