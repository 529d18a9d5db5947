import { WebLoraError } from '../errors.ts';

/** A request's body after JSON: fields by name, none of them checked. */
export type Body = Readonly<Record<string, unknown>>;

/** A value as a message shows it: JSON, cut after 60 characters. */
export function shown(value: unknown): string {
  const text = jsonOf(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** A value as JSON. JSON.parse reads any depth, JSON.stringify does not: brackets without end are shown as what they are. */
export function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return Array.isArray(value) ? '[… nested too deeply]' : '{… nested too deeply}';
  }
}

/** `request_invalid` for one field: what it was and what it should have been. */
export function invalid(param: string, message: string): WebLoraError {
  return new WebLoraError('request_invalid', message, { param });
}

/** Holds that a body is a JSON object. Throws `request_invalid`. */
export function asBody(value: unknown): Body {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Body;
  throw new WebLoraError('request_invalid', `the request body must be a JSON object, not ${shown(value)}`);
}

/** A field's value; `null` counts as absent, as OpenAI's clients send it. */
export function field(body: Body, name: string): unknown {
  return Object.hasOwn(body, name) ? (body[name] ?? undefined) : undefined;
}

/** An integer from `min` to `max`, or undefined where absent. Throws `request_invalid` with the field's name. */
export function integerField(body: Body, name: string, min: number, max: number): number | undefined {
  const value = field(body, name);
  if (value === undefined) return undefined;
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  throw invalid(name, `${name} must be an integer from ${min} to ${max}, not ${shown(value)}`);
}

/** A number from `min` to `max`, or undefined where absent. Throws `request_invalid` with the field's name. */
export function numberField(body: Body, name: string, min: number, max: number): number | undefined {
  const value = field(body, name);
  if (value === undefined) return undefined;
  if (typeof value === 'number' && value >= min && value <= max) return value;
  throw invalid(name, `${name} must be a number from ${min} to ${max}, not ${shown(value)}`);
}

/** A finite number above 0, and up to `most`, or undefined where absent. Throws `request_invalid` with the field's name. */
export function positiveField(body: Body, name: string, most = Infinity): number | undefined {
  const value = field(body, name);
  if (value === undefined) return undefined;
  // The GPU reads float32: what is nothing or infinite there is out of range.
  if (typeof value === 'number' && value <= most && Math.fround(value) > 0 && Number.isFinite(Math.fround(value))) return value;
  throw invalid(name, `${name} must be a finite number above 0${most === Infinity ? '' : ` and up to ${most}`}, not ${shown(value)}`);
}

/** True or false; false where absent. Throws `request_invalid` with the field's name. */
export function flagField(body: Body, name: string): boolean {
  const value = field(body, name);
  if (value === undefined) return false;
  if (typeof value === 'boolean') return value;
  throw invalid(name, `${name} must be true or false, not ${shown(value)}`);
}
