import { WebLoraError } from '../errors.ts';

/** A JSON object as a map: keys of a file never meet the prototype of a JS object. */
export type JsonObject = ReadonlyMap<string, unknown>;

/** The closing quote of the string that opens at `open`; text must be valid JSON. */
function stringEnd(text: string, open: number): number {
  for (let end = text.indexOf('"', open + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text[end - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}

/** Where a bare NaN or Infinity stands outside of strings: Python writes them, JSON has no such numbers. */
function notJsonNumber(text: string): { readonly word: string; readonly index: number } | undefined {
  const pattern = /"|-?Infinity|NaN/g;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    if (match[0] !== '"') return { word: match[0], index: match.index };
    pattern.lastIndex = stringEnd(text, match.index) + 1;
  }
  return undefined;
}

function lineAndColumn(text: string, index: number): string {
  const before = text.slice(0, index).split('\n');
  return `line ${before.length}, column ${before[before.length - 1]!.length + 1}`;
}

/** Says why `text` is no JSON and where, as far as the engine tells. */
function explain(text: string, cause: unknown): string {
  const number = notJsonNumber(text);
  if (number) return `${number.word} at ${lineAndColumn(text, number.index)} is no JSON number; write a finite number or null`;
  const words = cause instanceof Error ? cause.message : String(cause);
  const position = /at position (\d+)/.exec(words)?.[1];
  return position === undefined ? words : `${words} (${lineAndColumn(text, Number(position))})`;
}

/** Parses JSON text. `location` names the file in messages. Throws `file_invalid` with the line and column of NaN or Infinity. */
export function parseJson(text: string, location: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new WebLoraError('file_invalid', `${location} is not valid JSON: ${explain(text, cause)}.`, { cause });
  }
}

/**
 * The first key that an object of this valid JSON text has twice, or undefined. `JSON.parse` keeps the last one in silence; this
 * walks over the text once, in linear time.
 */
export function firstDuplicateKey(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = []; // one for each open bracket; undefined for an array
  const token = /["{}[\],]/g;
  let expectsKey = false;
  for (let match = token.exec(text); match; match = token.exec(text)) {
    const top = open[open.length - 1];
    if (match[0] === '"') {
      const end = stringEnd(text, match.index);
      token.lastIndex = end + 1;
      if (top && expectsKey) {
        const key = String(JSON.parse(text.slice(match.index, end + 1)));
        if (top.has(key)) return key;
        top.add(key);
        expectsKey = false;
      }
    } else if (match[0] === '{') {
      open.push(new Set());
      expectsKey = true;
    } else if (match[0] === '[') {
      open.push(undefined);
      expectsKey = false;
    } else if (match[0] === ',') {
      expectsKey = top !== undefined;
    } else {
      open.pop();
      expectsKey = false;
    }
  }
  return undefined;
}

const LONGEST_SHOWN = 60;

/** A value as it stands in a message: JSON, at most 60 characters. Of what is longer no more is looked at than that takes. */
export function show(value: unknown): string {
  const text = jsonOf(value);
  return text.length <= LONGEST_SHOWN ? text : `${text.slice(0, LONGEST_SHOWN - 3)}...`;
}

/** JSON.parse reads any depth, JSON.stringify does not: brackets without end are shown as what they are. */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value, (_, part: unknown) => beginning(part)) ?? String(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return Array.isArray(value) ? '[… nested too deeply]' : '{… nested too deeply}';
  }
}

/** As much of a text or list as can be seen: a damaged file has millions of numbers where one is expected. */
function beginning(value: unknown): unknown {
  if (typeof value === 'string' || Array.isArray(value)) return value.length > LONGEST_SHOWN ? value.slice(0, LONGEST_SHOWN) : value;
  return ArrayBuffer.isView(value) && 'length' in value
    ? Array.from({ length: Math.min(Number(value.length), LONGEST_SHOWN) }, (_, i) => (value as unknown as ArrayLike<number>)[i])
    : value;
}

/** The object as a map. `what` names it in the message: `config.json`, `config.json: rope_parameters`. Throws `file_invalid`. */
export function jsonObject(value: unknown, what: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new WebLoraError('file_invalid', `${what} must be a JSON object, not ${show(value)}.`);
  }
  return new Map(Object.entries(value));
}

/** The error for a field of the wrong type. */
export function wrongField(location: string, key: string, value: unknown, expected: string): WebLoraError {
  return new WebLoraError('file_invalid', `${location}: ${key} is ${show(value)}; it must be ${expected}.`);
}

/** The field's finite number; `fallback` where it is absent or null. Throws `file_invalid`. */
export function numberField<T>(object: JsonObject, key: string, location: string, fallback: T): number | T {
  const value = object.get(key) ?? undefined;
  if (value === undefined) return fallback;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw wrongField(location, key, value, 'a finite number');
  return value;
}

/** The field's boolean; `fallback` where it is absent or null. Throws `file_invalid`. */
export function booleanField(object: JsonObject, key: string, location: string, fallback: boolean): boolean {
  const value = object.get(key) ?? fallback;
  if (typeof value !== 'boolean') throw wrongField(location, key, value, 'true or false');
  return value;
}

/** True for what says nothing: null, false, an empty text, list or object. */
export function saysNothing(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
