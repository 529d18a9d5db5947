import { WebLoraError } from '../errors.ts';
import { isEndpoint } from '../formats/hub-id.ts';
import {
  invalid,
  isRecord,
  refuseUnknown,
  requireFunction,
  requireNumber,
  requireNumbers,
  requireOptions,
  requireSignal,
} from './option-checks.ts';
import type { Range } from './option-checks.ts';
import type { EngineOptions } from './types.ts';

export { checkGenerateOptions } from './generate-options.ts';

/** Every option there is, with its range where it is a number. */
const ENGINE_OPTIONS: Readonly<Record<keyof EngineOptions, Range | undefined>> = {
  model: undefined,
  gpu: undefined,
  precision: undefined,
  quantize: undefined,
  kernels: undefined,
  deterministic: undefined,
  maxModelLength: ['integer', 2],
  memory: undefined,
  limits: undefined,
  fairness: undefined,
  prefixCache: undefined,
  tokenizer: undefined,
  store: undefined,
  resolve: undefined,
  revalidateAfter: ['integer', 0],
  hubToken: undefined,
  hubEndpoint: undefined,
  onProgress: undefined,
  signal: undefined,
};

const MEMORY: Readonly<Record<keyof Memory, Range>> = { pool: ['integer', 1], heap: ['integer', 0], disk: ['integer', 0] };

const DEFAULT_HEAP = 256 * 2 ** 20;
const DEFAULT_DISK = 4 * 2 ** 30;
const DEFAULT_REVALIDATE = 3_600_000;

const LIMITS: Readonly<Record<keyof Limits, Range>> = {
  sequences: ['integer', 1, 4096],
  batchRows: ['integer', 1, 65_536],
  prefillChunk: ['integer', 1],
  queue: ['integer', 1],
  adapters: ['integer', 1, 4096],
  stepMs: ['positive'],
};

type Memory = Required<NonNullable<EngineOptions['memory']>>;
type Limits = Required<NonNullable<EngineOptions['limits']>>;

/** Limits of an engine with every default filled in, and the weights that were given by name. */
export interface EngineLimits extends Limits {
  /** What adapters may take in memory, and in the store. */
  readonly heapBytes: number;
  readonly diskBytes: number;
  /** Milliseconds. */
  readonly revalidateAfter: number;
  readonly fairness: { readonly tenants: ReadonlyMap<string, number>; readonly adapters: ReadonlyMap<string, number> };
}

const KERNELS: readonly NonNullable<EngineOptions['kernels']>[] = ['auto', 'narrow', 'wide', 'plain'];
const STORE_METHODS = ['get', 'put', 'delete', 'keys', 'entries', 'exclusive'] as const;

/** Throws `TypeError` for what could not be called when it is needed. */
function requireMethods({ store, resolve, tokenizer }: EngineOptions): void {
  if (resolve !== undefined && typeof resolve !== 'function') throw new TypeError('createEngine: resolve must be a function');
  if (tokenizer !== undefined) {
    for (const name of ['encode', 'decode', 'token', 'id'] as const) {
      if (typeof (tokenizer as Partial<typeof tokenizer> | null)?.[name] === 'function') continue;
      throw new TypeError(
        `createEngine: tokenizer has no method ${name}; it must be an object with encode, decode, token, id; fromTransformers() wraps one of transformers.js`,
      );
    }
  }
  if (store === undefined) return;
  for (const name of STORE_METHODS) {
    if (typeof (store as Partial<typeof store> | null)?.[name] !== 'function') {
      throw new TypeError(
        `createEngine: store has no method ${name}; pass indexedDbStore(), folderStore(path) or an object with ${STORE_METHODS.join(', ')}`,
      );
    }
  }
}

/** Throws `request_invalid` for a token that no header could carry. It is a secret: the message does not show it. */
function requireToken(token: unknown): void {
  if (token === undefined || (typeof token === 'string' && /^[\x21-\x7e]+$/.test(token))) return;
  const shown = typeof token === 'string' ? 'empty, or has spaces or other signs that no token has' : `a ${typeof token}`;
  throw new WebLoraError('request_invalid', `hubToken is ${shown}; it must be an access token of the hub, such as hf_…`, {
    param: 'hubToken',
  });
}

/** Throws `request_invalid` for what is no address of a hub. */
function requireEndpoint(endpoint: unknown): void {
  if (endpoint === undefined || (typeof endpoint === 'string' && isEndpoint(endpoint))) return;
  throw invalid('hubEndpoint', endpoint, 'an http(s) URL without query and credentials');
}

/** Throws as it does for the options themselves: a number in place of `memory` must not be dropped in silence. */
function requireGroup(param: string, given: unknown, known: object): void {
  if (!isRecord(given)) throw invalid(param, given, `an object of ${Object.keys(known).join(', ')}`);
  refuseUnknown(given, known, `createEngine: ${param}`);
}

/** Names may be any text, `constructor` too: a map has no others. */
function weights(param: string, given: Readonly<Record<string, number>> = {}): ReadonlyMap<string, number> {
  if (!isRecord(given)) throw invalid(param, given, 'an object of weights by name');
  for (const [name, weight] of Object.entries(given)) requireNumber(`${param}.${name}`, weight, ['positive']);
  return new Map(Object.entries(given));
}

/**
 * Checks what `createEngine` was given.
 * @throws TypeError for unknown names. @throws WebLoraError `request_invalid` for values out of range.
 */
export function checkEngineOptions(options: EngineOptions): EngineLimits {
  requireOptions('createEngine', options, ENGINE_OPTIONS);
  const { memory = {}, limits = {}, fairness = {}, precision, quantize, kernels = 'auto' } = options;
  requireGroup('memory', memory, MEMORY);
  requireGroup('limits', limits, LIMITS);
  requireGroup('fairness', fairness, { tenants: true, adapters: true });
  requireMethods(options);
  requireSignal(options.signal);
  requireFunction('onProgress', options.onProgress);
  requireToken(options.hubToken);
  requireEndpoint(options.hubEndpoint);
  if (precision !== undefined && precision !== 'exact' && precision !== 'half') throw invalid('precision', precision, "'exact' or 'half'");
  if (quantize !== undefined && quantize !== 'q8' && quantize !== 'q4') throw invalid('quantize', quantize, "'q8' or 'q4'");
  if (!KERNELS.includes(kernels)) throw invalid('kernels', kernels, KERNELS.map((name) => `'${name}'`).join(', '));
  for (const name of ['deterministic', 'prefixCache'] as const) {
    if (typeof (options[name] ?? true) !== 'boolean') throw invalid(name, options[name], 'true or false');
  }
  requireNumbers(options, ENGINE_OPTIONS);
  requireNumbers(memory, MEMORY, 'memory.');
  requireNumbers(limits, LIMITS, 'limits.');
  const { sequences = 64, batchRows = 128, prefillChunk = 64, queue = 4096, adapters = 32, stepMs = 40 } = limits;
  const { heap: heapBytes = DEFAULT_HEAP, disk: diskBytes = DEFAULT_DISK } = memory;
  const { revalidateAfter = DEFAULT_REVALIDATE } = options;
  const kept = { heapBytes, diskBytes, revalidateAfter };
  const named = { tenants: weights('fairness.tenants', fairness.tenants), adapters: weights('fairness.adapters', fairness.adapters) };
  return { sequences, batchRows, prefillChunk, queue, adapters, stepMs, ...kept, fairness: named };
}
