import { invalid, isRecord, refuseUnknown, requireNumber } from './option-checks.ts';
import type { Tier } from './report-types.ts';
import type { Adapters, LoadOptions } from './types.ts';

const LOAD: Readonly<Record<keyof LoadOptions, true>> = { signal: true, onProgress: true, revalidate: true };
const LIST: Readonly<Record<keyof ListOptions, true>> = { tier: true, limit: true };
const ADD: Readonly<Record<keyof AddOptions, true>> = { replace: true };
const TIERS: Readonly<Record<Tier, true>> = { gpu: true, heap: true, disk: true, origin: true };

/** What `adapters.list` and `adapters.add` take. */
type ListOptions = NonNullable<Parameters<Adapters['list']>[0]>;
type AddOptions = NonNullable<Parameters<Adapters['add']>[2]>;

/**
 * Checks what `adapters.load` or `adapters.pin` was given.
 * @throws TypeError for unknown names, and where it is no object. @throws WebLoraError `request_invalid` for wrong values.
 */
export function checkLoadOptions(call: 'adapters.load' | 'adapters.pin', options: LoadOptions): void {
  requireOptions(call, options, LOAD);
  const { signal, onProgress, revalidate } = options;
  if (signal !== undefined && !isSignal(signal)) throw invalid('signal', signal, 'an AbortSignal');
  if (onProgress !== undefined && typeof onProgress !== 'function') throw invalid('onProgress', onProgress, 'a function');
  requireBoolean('revalidate', revalidate);
}

/**
 * Checks what `adapters.list` was given.
 * @throws TypeError for unknown names, and where it is no object. @throws WebLoraError `request_invalid` for wrong values.
 */
export function checkListOptions(options: ListOptions): void {
  requireOptions('adapters.list', options, LIST);
  const { tier, limit } = options;
  if (tier !== undefined && !(typeof tier === 'string' && Object.hasOwn(TIERS, tier))) {
    throw invalid('tier', tier, `one of ${Object.keys(TIERS).join(', ')}`);
  }
  if (limit !== undefined) requireNumber('limit', limit, ['integer', 0]);
}

/**
 * Checks what `adapters.add` was given beside id and source.
 * @throws TypeError for unknown names, and where it is no object. @throws WebLoraError `request_invalid` for wrong values.
 */
export function checkAddOptions(options: AddOptions): void {
  requireOptions('adapters.add', options, ADD);
  requireBoolean('replace', options.replace);
}

function requireOptions(call: string, options: unknown, known: object): void {
  if (!isRecord(options)) throw new TypeError(`${call}: its options are ${String(options)}; they must be an object`);
  refuseUnknown(options, known, call);
}

/** A frame's signal is of another class. */
function isSignal(value: { readonly throwIfAborted?: unknown } | null): boolean {
  return typeof value?.throwIfAborted === 'function';
}

function requireBoolean(param: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') throw invalid(param, value, 'true or false');
}
