import { WebLoraError } from '../errors.ts';

/** What a number may be: `integer`, any finite `number` from `least` to `most`, or a `positive` one, above 0 and up to `most`. */
export type Range = readonly [kind: 'integer' | 'number' | 'positive', least?: number, most?: number];

/** Throws `TypeError` for an option that does not exist: a misspelt one must not be dropped in silence. */
export function refuseUnknown(given: object, known: object, where: string): void {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(known, name)) {
      throw new TypeError(`${where}: unknown option "${name}" (known: ${Object.keys(known).join(', ')})`);
    }
  }
}

/** `request_invalid` for one option: what it was and what it must be; `place` says where in it. */
export function invalid(param: string, value: unknown, expected: string, place = param): WebLoraError {
  const shown = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return new WebLoraError('request_invalid', `${place} is ${shown}; it must be ${expected}`, { param });
}

/** Holds that a value is a number of this range, and still is one as the float32 that a GPU reads. Throws `request_invalid`. */
export function requireNumber(param: string, value: unknown, [kind, least = -Infinity, most = Infinity]: Range, place = param): void {
  // What is no number is neither an integer nor finite: nothing below it compares.
  const isKind = kind === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value);
  const rounded = isKind ? Math.fround(value as number) : Number.NaN;
  const inside = (value as number) >= least && (value as number) <= most && (kind !== 'positive' || rounded > 0);
  if (!Number.isFinite(rounded) || !inside) throw invalid(param, value, wordsOf(kind, least, most), place);
}

function wordsOf(kind: Range[0], least: number, most: number): string {
  if (kind === 'positive') return most === Infinity ? 'a finite number above 0' : `a number above 0 and up to ${most}`;
  const noun = kind === 'integer' ? 'an integer' : 'a finite number';
  if (least === -Infinity) return noun;
  return most === Infinity ? `${noun} of at least ${least}` : `${noun} from ${least} to ${most}`;
}

/** `requireNumber` for every option that is there and that the table has a range for. */
export function requireNumbers(given: object, ranges: Readonly<Record<string, Range | undefined>>, prefix = ''): void {
  for (const [name, range] of Object.entries(ranges)) {
    const value = (given as Readonly<Record<string, unknown>>)[name];
    if (range !== undefined && value !== undefined) requireNumber(prefix + name, value, range);
  }
}

/** Whether a value is an object as `{ … }` writes it: no list, Map or other class, whose entries would not be seen. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Throws `TypeError` where options are no object, or have a name that does not exist. */
export function requireOptions(call: string, options: unknown, known: object): void {
  if (!isRecord(options)) throw new TypeError(`${call}: its options are ${String(options)}; they must be an object`);
  refuseUnknown(options, known, call);
}

/** Throws `request_invalid` for what cannot be listened to. A frame's signal is of another class; a controller is none. */
export function requireSignal(signal: unknown): void {
  if (signal === undefined || typeof (signal as Partial<AbortSignal> | null)?.throwIfAborted === 'function') return;
  throw invalid('signal', signal, 'an AbortSignal');
}

/** Throws `request_invalid` for what is given and cannot be called. */
export function requireFunction(param: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') throw invalid(param, value, 'a function');
}
