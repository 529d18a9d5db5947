import type { Adapters, EngineOptions, Generation, LoadOptions, Progress, Source } from '../engine/types.ts';
import type { ChatCompletionRequest, CompletionRequest, Engine } from '../openai/types.ts';
import { sourceFromWire } from './wire.ts';
import type { Callbacks, Calls, WireOptions } from './wire.ts';

/** What was given to `serve`: what lives in the worker. `resolve` is asked first, then the page's, where there is one. */
export type ServeOptions = Pick<EngineOptions, 'tokenizer' | 'gpu' | 'store' | 'resolve'>;

/** The functions that live on the page. */
export interface Page {
  progress(progress: Progress): void;
  resolve(id: string): Promise<Source | undefined>;
}

/** What a call has beside its arguments. */
export interface CallContext {
  readonly signal: AbortSignal;
  /** Where the page is. */
  readonly base: string | undefined;
  /** Tells whoever called how far it is. */
  progress(progress: Progress): void;
}

type EngineCalls = Omit<Calls, 'create' | 'close'>;
type Call<Name extends keyof EngineCalls> = (engine: Engine, args: EngineCalls[Name], context: CallContext) => unknown;

/** Every call of the page on the engine. They start at once, so that calls made in order take effect in order. */
export const CALLS: { readonly [Name in keyof EngineCalls]: Call<Name> } = {
  generate: (engine, [prompt, options], { signal }) => engine.generate(prompt, { ...options, signal }),
  tokenize: (engine, [prompt]) => engine.tokenize(prompt),
  model: (engine) => engine.model(),
  stats: (engine) => engine.stats(),
  events: (engine) => engine.events(),
  'adapters.add': (engine, [id, source, options], { base }) =>
    engine.adapters.add(id, sourceFromWire(source, base), options as Parameters<Adapters['add']>[2]),
  'adapters.load': (engine, [id, ...given], context) => engine.adapters.load(id, loadOptions(given, context)),
  'adapters.pin': (engine, [id, ...given], context) => engine.adapters.pin(id, loadOptions(given, context)),
  'adapters.unpin': (engine, [id]) => engine.adapters.unpin(id),
  'adapters.unload': (engine, [id]) => engine.adapters.unload(id),
  'adapters.remove': (engine, [id]) => engine.adapters.remove(id),
  'adapters.list': (engine, [options]) => engine.adapters.list(options as Parameters<Adapters['list']>[0]),
  'models.list': (engine) => engine.models.list(),
  'chat.completions.create': (engine, [body, options], { signal }) =>
    engine.chat.completions.create(fromJson(body) as ChatCompletionRequest, { ...options, signal }),
  'completions.create': (engine, [body, options], { signal }) =>
    engine.completions.create(fromJson(body) as CompletionRequest, { ...options, signal }),
};

function fromJson(body: string | undefined): unknown {
  return body === undefined ? undefined : JSON.parse(body);
}

function loadOptions([options, calls]: readonly [object, Callbacks], { signal, progress }: CallContext): LoadOptions {
  return { ...options, signal, ...(calls.includes('onProgress') && { onProgress: progress }) };
}

/** What `createEngine` is called with in the worker. */
export function engineOptions(
  { plain, model, calls, base }: WireOptions,
  given: ServeOptions,
  page: Page,
  signal: AbortSignal,
): EngineOptions {
  const resolve = calls.includes('resolve') ? firstOf(given.resolve, page.resolve) : given.resolve;
  return {
    ...plain,
    ...given,
    model: sourceFromWire(model, base),
    signal,
    ...(calls.includes('onProgress') && { onProgress: page.progress }),
    ...(resolve && { resolve }),
  };
}

type Resolve = NonNullable<EngineOptions['resolve']>;

/** Asks the second for what the first does not know. */
function firstOf(first: Resolve | undefined, second: Resolve): Resolve {
  return first === undefined ? second : async (id) => (await first(id)) ?? second(id);
}

/** Whether what a call gave is read bit by bit. */
export function isStream(value: unknown): value is AsyncIterable<unknown> | Generation {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
