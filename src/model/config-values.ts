import { WebLoraError } from '../errors.ts';
import { numberField, wrongField, type JsonObject } from '../formats/json.ts';

/** The error for a value that is valid and not served. */
export function unsupported(location: string, what: string): WebLoraError {
  return new WebLoraError('model_unsupported', `${location}: ${what}`);
}

/** A positive integer up to `most`; `fallback` where absent or null. Throws `file_invalid`, `model_unsupported`. */
export function dimension(config: JsonObject, key: string, location: string, most: number, fallback?: number): number {
  const value = numberField(config, key, location, fallback);
  if (value === undefined || !Number.isSafeInteger(value) || value < 1) throw wrongField(location, key, value, 'a positive integer');
  if (value > most) throw unsupported(location, `${key} is ${value}; at most ${most} is served.`);
  return value;
}

/** A positive number; undefined where absent or null. Throws `file_invalid`. */
export function positive(config: JsonObject, key: string, location: string): number | undefined {
  const value = numberField(config, key, location, undefined);
  if (value !== undefined && value <= 0) throw wrongField(location, key, value, 'a positive number');
  return value;
}

export function checkMultiple(location: string, what: string, value: number, of: number): void {
  if (value % of !== 0) throw unsupported(location, `${what} is ${value}; it must be a multiple of ${of}.`);
}
