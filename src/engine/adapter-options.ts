import { invalid, requireFunction, requireNumber, requireOptions, requireSignal } from './option-checks.ts';
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
  requireSignal(signal);
  requireFunction('onProgress', onProgress);
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

function requireBoolean(param: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') throw invalid(param, value, 'true or false');
}
