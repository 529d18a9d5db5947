import type { EngineOptions, Generation, Progress, Source } from '../engine/types.ts';
import type { ChatCompletionRequest, CompletionRequest, Engine } from '../openai/types.ts';
import { sourceFromWire } from './wire.ts';
import type { Calls, WireOptions } from './wire.ts';

/** What was given to `serve`. */
export type ServeOptions = Pick<EngineOptions, 'tokenizer' | 'gpu' | 'store'>;

/** The functions that live on the page. */
export interface Page {
  progress(progress: Progress): void;
  resolve(id: string): Promise<Source | undefined>;
}

type EngineCalls = Omit<Calls, 'create' | 'close'>;
type Call<Name extends keyof EngineCalls> = (
  engine: Engine,
  args: EngineCalls[Name],
  signal: AbortSignal,
  base: string | undefined,
) => unknown;

/** Every call of the page on the engine. They start at once, so that calls made in order take effect in order. */
export const CALLS: { readonly [Name in keyof EngineCalls]: Call<Name> } = {
  generate: (engine, [prompt, options], signal) => engine.generate(prompt, { ...options, signal }),
  tokenize: (engine, [prompt]) => engine.tokenize(prompt),
  model: (engine) => engine.model(),
  stats: (engine) => engine.stats(),
  events: (engine) => engine.events(),
  'adapters.add': (engine, [id, source], _, base) => engine.adapters.add(id, sourceFromWire(source, base)),
  'adapters.load': (engine, [id, options], signal) => engine.adapters.load(id, { ...options, signal }),
  'adapters.unload': (engine, [id]) => engine.adapters.unload(id),
  'adapters.remove': (engine, [id]) => engine.adapters.remove(id),
  'adapters.list': (engine, args) => (engine.adapters.list as (...args: unknown[]) => unknown)(...args),
  'models.list': (engine) => engine.models.list(),
  'chat.completions.create': (engine, [body, options], signal) =>
    engine.chat.completions.create(fromJson(body) as ChatCompletionRequest, { ...options, signal }),
  'completions.create': (engine, [body, options], signal) =>
    engine.completions.create(fromJson(body) as CompletionRequest, { ...options, signal }),
};

function fromJson(body: string | undefined): unknown {
  return body === undefined ? undefined : JSON.parse(body);
}

/** What `createEngine` is called with in the worker. */
export function engineOptions(
  { plain, model, calls, base }: WireOptions,
  given: ServeOptions,
  page: Page,
  signal: AbortSignal,
): EngineOptions {
  return {
    ...plain,
    ...given,
    model: sourceFromWire(model, base),
    signal,
    ...(calls.includes('onProgress') && { onProgress: page.progress }),
    ...(calls.includes('resolve') && { resolve: page.resolve }),
  };
}

/** Whether what a call gave is read bit by bit. */
export function isStream(value: unknown): value is AsyncIterable<unknown> | Generation {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
