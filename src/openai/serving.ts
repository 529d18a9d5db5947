import type { AdapterPart, GenerateOptions } from '../engine/types.ts';
import { MAX_PARTS } from '../engine/generate-options.ts';
import { field, integerField, invalid, positiveField, shown } from './values.ts';
import type { Body } from './values.ts';

/** Whose request it is, and when it runs. */
export type Serving = Pick<GenerateOptions, 'tenant' | 'priority' | 'firstTokenDeadlineMs' | 'cacheSalt'>;

/** The fields that say whose request it is, and when it runs. Throws `request_invalid` whose `param` names the field that is wrong. */
export function parseServing(body: Body): Serving {
  const given = {
    tenant: textField(body, 'tenant', 'a string'),
    priority: integerField(body, 'priority', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    firstTokenDeadlineMs: positiveField(body, 'first_token_deadline_ms'),
    cacheSalt: textField(body, 'cache_salt', 'a non-empty string'),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function textField(body: Body, name: string, expected: 'a string' | 'a non-empty string'): string | undefined {
  const value = field(body, name);
  if (value === undefined) return undefined;
  if (typeof value === 'string' && (value !== '' || expected === 'a string')) return value;
  throw invalid(name, `${name} must be ${expected}, not ${shown(value)}`);
}

/**
 * The adapters of a blend; undefined where the request has none. Whether `model` is the base, as it must be beside them, and whether
 * there are such adapters is not known here. Throws `request_invalid` with param `lora` for anything but a list of `{ name, scale }`.
 */
export function parseLora(body: Body): readonly AdapterPart[] | undefined {
  const value = field(body, 'lora');
  if (value === undefined) return undefined;
  const wanted = 'lora must be a list like [{ "name": "json", "scale": 0.5 }]';
  if (!Array.isArray(value)) throw invalid('lora', `${wanted}, not ${shown(value)}`);
  if (value.length > MAX_PARTS) throw invalid('lora', `lora has ${value.length} adapters; at most ${MAX_PARTS} are blended`);
  return value.map((part: unknown, index) => parsePart(part, `lora[${index}]`));
}

function parsePart(value: unknown, place: string): AdapterPart {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid('lora', `${place} must be an object with name and scale, not ${shown(value)}`);
  }
  const part = value as Body;
  const { name, scale } = part;
  for (const key of Object.keys(part)) {
    if (key !== 'name' && key !== 'scale') throw invalid('lora', `${place}.${key} is unknown: an adapter has name and scale; leave it out`);
  }
  if (typeof name !== 'string' || name === '') throw invalid('lora', `${place}.name must name an adapter, not ${shown(name)}`);
  if (typeof scale !== 'number' || !Number.isFinite(Math.fround(scale))) {
    throw invalid('lora', `${place}.scale must be a finite number, not ${shown(scale)}`);
  }
  return { id: name, scale };
}
