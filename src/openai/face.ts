import type { Adapters, CoreEngine } from '../engine/types.ts';
import { loadPart } from '../errors.ts';
import { createOrder } from './order.ts';
import type { Started } from './serve.ts';
import type { ChatCompletions, Completions, CreateOptions, Engine } from './types.ts';

/** What a face is told of its engine. */
export interface FaceOptions {
  /** The base model's path or address as it was given: requests may name it so, too. */
  readonly source?: string;
}

/**
 * OpenAI's face on an engine. What turns its shapes into the engine's is loaded at the first call that needs it. Calls take effect in
 * the order in which they are made, and a body may be changed as soon as it was given.
 */
export function withOpenAI(core: CoreEngine, { source }: FaceOptions = {}): Engine {
  const { after, begin, generation } = createOrder();
  const aliases = source === undefined ? [] : [source];
  const created = seconds();
  const create = async (endpoint: 'chat' | 'completions', body: unknown, options: CreateOptions | undefined): Promise<unknown> => {
    const own = asJson(body);
    const start = async (): Promise<Started> => (await serving()).start(core, endpoint, own, options, aliases);
    return (await begin(start)).answer();
  };
  return {
    generate: (prompt, options) => generation(core.generate, prompt, options),
    adapters: inOrder(core.adapters, after),
    tokenize: core.tokenize,
    model: core.model,
    stats: core.stats,
    events: core.events,
    close: core.close,
    [Symbol.asyncDispose]: core.close,
    chat: { completions: { create: ((body, options) => create('chat', body, options)) as ChatCompletions['create'] } },
    completions: { create: ((body, options) => create('completions', body, options)) as Completions['create'] },
    models: { list: () => after(async () => (await serving()).listModels(core, created)) },
  };
}

const serving = (): Promise<typeof import('./serve.ts')> => loadPart(() => import('./serve.ts'));

const seconds = (): number => Math.floor(Date.now() / 1000);

function inOrder({ add, load, pin, unpin, unload, remove, list }: Adapters, after: <T>(call: () => Promise<T>) => Promise<T>): Adapters {
  const ordered =
    <Given extends readonly unknown[], T>(call: (...given: Given) => Promise<T>) =>
    (...given: Given): Promise<T> =>
      after(() => call(...given));
  return {
    add: ordered(add),
    load: ordered(load),
    pin: ordered(pin),
    unpin: ordered(unpin),
    unload: ordered(unload),
    remove: ordered(remove),
    list: ordered(list),
  };
}

/** A body as HTTP would carry it. Numbers that JSON lacks become their names, so that a field is refused for what it was. */
function asJson(body: unknown): unknown {
  const text = JSON.stringify(body, (_, value: unknown) => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value));
  return text === undefined ? undefined : JSON.parse(text);
}
