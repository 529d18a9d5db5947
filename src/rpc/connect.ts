import { createStream } from '../engine/stream.ts';
import type { Adapters, Chunk, EngineEvent, Generation, Prompt, Result } from '../engine/types.ts';
import { WebLoraError } from '../errors.ts';
import type { ChatCompletions, Completions, CreateOptions, Engine } from '../openai/types.ts';
import { createFeed } from './feed.ts';
import { openLink } from './link.ts';
import type { CallOptions, Link } from './link.ts';
import type { ConnectOptions, WorkerLike } from './types.ts';
import { sourceToWire } from './wire.ts';
import type { Calls } from './wire.ts';

/** Given to `serve`: they hold functions or live in the worker. */
const IN_WORKER = ['tokenizer', 'gpu', 'store'];

/**
 * Loads a model and runs it behind a worker whose script calls `serve(self)`; the same `Engine` as `createEngine`'s. For browsers and
 * Deno. `signal`, `onProgress` and `resolve` work as there. The worker is the app's: `close()` ends the engine, not the worker.
 *
 * A worker that ends fails this call, and every open call and stream, with `worker_lost` within 2 seconds. So connect in the turn that
 * makes the worker: runtimes tell only once that a script did not load. A script that never calls `serve` counts as lost after a
 * minute; where the runtime has no Web Locks, `self.close()` in the worker is noticed only if its port tells.
 *
 * @throws TypeError for unknown options, those that belong to `serve`, and in Node. @throws WebLoraError `worker_lost`,
 * `request_invalid` where the worker runs an engine already, and what `createEngine` throws there.
 */
export async function connectEngine(worker: WorkerLike, options: ConnectOptions): Promise<Engine> {
  const { process } = globalThis as { process?: { release?: { name?: string } } };
  if (process?.release?.name === 'node' && typeof globalThis.Worker === 'undefined') {
    throw new TypeError(
      'connectEngine is for browsers and Deno. In Node: createEngine({ gpu: await dawn(), store: folderStore(path) }), with dawn and folderStore from weblora/node.',
    );
  }
  return connect(worker, options);
}

/** `connectEngine` for any runtime with message ports. */
export async function connect(worker: WorkerLike, options: ConnectOptions): Promise<Engine> {
  if (typeof (worker as Partial<WorkerLike> | null)?.postMessage !== 'function') {
    throw new TypeError(`connectEngine: the first argument is ${String(worker)}; it must be a Worker whose script calls serve(self)`);
  }
  for (const name of IN_WORKER) {
    if (name in options)
      throw new TypeError(`connectEngine: "${name}" cannot cross to the worker; give it to serve(self, { ${name} }) there.`);
  }
  const { model, onProgress, resolve, signal, ...plain } = options;
  const source = sourceToWire(model);
  const calls = (['onProgress', 'resolve'] as const).filter((name) => options[name] !== undefined);
  const base = globalThis.location?.href;
  const link = await openLink(worker, resolve, signal);
  try {
    await link.send('create', [{ plain, model: source, calls, base }], { signal, onProgress }).answer;
    signal?.throwIfAborted(); // the answer was on its way: who gave up would not close what comes now
    return face(link);
  } catch (error) {
    link.leave(new WebLoraError('closed', 'The engine did not start'));
    throw error;
  }
}

function face(link: Link): Engine {
  const call = <Name extends keyof Calls, T>(name: Name, args: Calls[Name], options?: CallOptions): Promise<T> =>
    link.send(name, args, options).answer as Promise<T>;
  const create =
    (name: 'chat.completions.create' | 'completions.create') =>
    async (body: unknown, options: CreateOptions = {}) => {
      const { signal, ...rest } = options;
      const feed = createFeed<unknown>(() => sent.abort(left()));
      const sent = link.send(name, [asJson(body), rest], { signal, sink: feed });
      const whole = await sent.answer;
      return whole === undefined ? feed.values : whole;
    };
  const loading =
    (name: 'adapters.load' | 'adapters.pin'): Adapters['load'] =>
    async (id, { signal, onProgress, ...rest } = {}) =>
      call(name, [id, rest, onProgress === undefined ? [] : ['onProgress']], { signal, onProgress });
  const adapters: Adapters = {
    add: async (id, source, options) => call('adapters.add', [id, sourceToWire(source), options]),
    load: loading('adapters.load'),
    pin: loading('adapters.pin'),
    unpin: (id) => call('adapters.unpin', [id]),
    unload: (id) => call('adapters.unload', [id]),
    remove: (id) => call('adapters.remove', [id]),
    list: (options) => call('adapters.list', [options]),
  };
  return {
    adapters,
    generate: (prompt, options) => generate(link, prompt, options),
    tokenize: (prompt) => call('tokenize', [prompt]),
    model: () => call('model', []),
    stats: () => call('stats', []),
    events: () => events(link),
    close: link.close,
    [Symbol.asyncDispose]: link.close,
    chat: { completions: { create: create('chat.completions.create') as ChatCompletions['create'] } },
    completions: { create: create('completions.create') as Completions['create'] },
    models: { list: () => call('models.list', []) },
  };
}

const left = (): DOMException => new DOMException('The reader left before the answer ended.', 'AbortError');

/** As in one thread: whatever is wrong comes out of the generation. */
function generate(link: Link, prompt: Prompt, { signal, ...options }: Parameters<Engine['generate']>[1] = {}): Generation {
  const stream = createStream((reason) => sent.abort(reason));
  const { push, end, fail } = stream;
  const sink = { push: (value: unknown) => push(value as Chunk), end: (value: unknown) => end(value as Result), fail };
  const sent = link.send('generate', [prompt, options], { signal, sink });
  sent.answer.catch(fail);
  return stream.generation;
}

/** A reader that is late gets one event of all that it missed, as from the engine itself. After `close` there are none. */
function events(link: Link): AsyncIterable<EngineEvent> {
  const feed = createFeed<EngineEvent>(() => sent.abort(left()), mergeEvents);
  const fail = (error: unknown): void => (error instanceof WebLoraError && error.code === 'closed' ? feed.end() : feed.fail(error));
  const sink = { push: (value: unknown) => feed.push(value as EngineEvent), end: feed.end, fail };
  const sent = link.send('events', [], { sink });
  sent.answer.catch(fail);
  return feed.values;
}

function mergeEvents(a: EngineEvent, b: EngineEvent): EngineEvent {
  const { steps, adapters, requests } = a;
  return { ...b, steps: [...steps, ...b.steps], adapters: [...adapters, ...b.adapters], requests: [...requests, ...b.requests] };
}

/** The body as JSON; numbers that JSON lacks become their names, so that a field is refused for what it was. */
function asJson(body: unknown): string | undefined {
  return JSON.stringify(body, (_, value: unknown) => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value));
}
