import { WebLoraError } from '../errors.ts';
import type { EngineOptions, GenerateOptions } from './types.ts';

const ENGINE_OPTIONS: Readonly<Record<keyof EngineOptions, true>> = {
  model: true,
  gpu: true,
  precision: true,
  deterministic: true,
  maxModelLength: true,
  memory: true,
  limits: true,
  tokenizer: true,
  store: true,
  resolve: true,
  onProgress: true,
  signal: true,
};

const GENERATE_OPTIONS: Readonly<Record<keyof GenerateOptions, true>> = {
  adapter: true,
  maxTokens: true,
  temperature: true,
  seed: true,
  stop: true,
  stopTokenIds: true,
  ignoreEos: true,
  logprobs: true,
  promptLogprobs: true,
  signal: true,
};

const MEMORY_OPTIONS = { pool: true };
const LIMITS_OPTIONS = { sequences: true, batchRows: true, prefillChunk: true };

/** Limits of an engine with every default filled in. */
export interface EngineLimits {
  readonly sequences: number;
  readonly batchRows: number;
  readonly prefillChunk: number;
}

/** Throws `TypeError` for an option that does not exist: a misspelt one must not be dropped in silence. */
function refuseUnknown(given: object, known: object, where: string): void {
  for (const name of Object.keys(given)) {
    if (!(name in known)) throw new TypeError(`${where}: unknown option "${name}" (known: ${Object.keys(known).join(', ')})`);
  }
}

function invalid(param: string, value: unknown, expected: string): WebLoraError {
  const shown = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return new WebLoraError('request_invalid', `${param} is ${shown}; it must be ${expected}`, { param });
}

function requireInteger(param: string, value: number | undefined, least: number, most = Number.MAX_SAFE_INTEGER): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least && value <= most)) return;
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  throw invalid(param, value, `an integer ${range}`);
}

/** Throws `TypeError` for a store or a callback that could not be called when it is needed. */
function requireMethods({ store, resolve }: EngineOptions): void {
  if (resolve !== undefined && typeof resolve !== 'function') throw new TypeError('createEngine: resolve must be a function');
  if (store === undefined) return;
  for (const name of ['get', 'put', 'delete', 'keys'] as const) {
    if (typeof (store as Partial<typeof store> | null)?.[name] !== 'function') {
      throw new TypeError(`createEngine: store has no method ${name}; pass indexedDbStore() or an object with get, put, delete and keys`);
    }
  }
}

/**
 * Checks what `createEngine` was given.
 * @throws TypeError for unknown names. @throws WebLoraError `request_invalid` for values out of range.
 */
export function checkEngineOptions(options: EngineOptions): EngineLimits {
  refuseUnknown(options, ENGINE_OPTIONS, 'createEngine');
  refuseUnknown(options.memory ?? {}, MEMORY_OPTIONS, 'createEngine: memory');
  refuseUnknown(options.limits ?? {}, LIMITS_OPTIONS, 'createEngine: limits');
  requireMethods(options);
  if (options.precision !== undefined && options.precision !== 'exact' && options.precision !== 'half') {
    throw invalid('precision', options.precision, "'exact' or 'half'");
  }
  requireInteger('maxModelLength', options.maxModelLength, 2);
  requireInteger('memory.pool', options.memory?.pool, 1);
  const { sequences = 64, batchRows = 128, prefillChunk = 64 } = options.limits ?? {};
  requireInteger('limits.sequences', sequences, 1, 4096);
  requireInteger('limits.batchRows', batchRows, 1, 65_536);
  requireInteger('limits.prefillChunk', prefillChunk, 1);
  return { sequences, batchRows, prefillChunk };
}

/**
 * Checks what `generate` was given.
 * @throws TypeError for unknown names. @throws WebLoraError `request_invalid` with `param` for values out of range.
 */
export function checkGenerateOptions(options: GenerateOptions): void {
  refuseUnknown(options, GENERATE_OPTIONS, 'generate');
  requireInteger('maxTokens', options.maxTokens, 1);
  requireInteger('seed', options.seed, 0);
  requireInteger('logprobs', options.logprobs, -1);
  requireInteger('promptLogprobs', options.promptLogprobs, -1);
  const { temperature, stop, stopTokenIds } = options;
  if (temperature !== undefined && !(temperature >= 0 && Number.isFinite(temperature))) {
    throw invalid('temperature', temperature, 'a finite number of at least 0');
  }
  for (const text of stop ?? []) {
    if (typeof text !== 'string' || text === '') throw invalid('stop', text, 'a list of strings that are not empty');
  }
  for (const id of stopTokenIds ?? []) requireInteger('stopTokenIds', id, 0);
}
