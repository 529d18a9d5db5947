import { createStream } from '../../src/engine/stream.ts';
import type { Stream } from '../../src/engine/stream.ts';
import type { CoreEngine, EngineEvent, EngineOptions, GenerateOptions, Prompt } from '../../src/engine/types.ts';
import { withOpenAI } from '../../src/openai/face.ts';
import type { Engine } from '../../src/openai/types.ts';
import type { ServeOptions } from '../../src/rpc/calls.ts';
import { connect } from '../../src/rpc/connect.ts';
import type { Create } from '../../src/rpc/host.ts';
import { serveWith } from '../../src/rpc/serve.ts';
import type { ConnectOptions } from '../../src/rpc/types.ts';
import { fakeEngine } from './fake-engine.ts';
import type { FakeEngine, FakeOptions } from './fake-engine.ts';

/** A page and a worker that are two ends of a channel. */
export interface Pair {
  readonly engine: Engine;
  readonly page: MessagePort;
  readonly worker: MessagePort;
  /** What the worker's engine was made with. */
  readonly options: EngineOptions;
}

/** Both ends of a channel; the second is served. */
export function served(create: Create, given: ServeOptions = {}): { readonly page: MessagePort; readonly worker: MessagePort } {
  const { port1: page, port2: worker } = new MessageChannel();
  serveWith(worker, given, create);
  return { page, worker };
}

export async function connected(core: CoreEngine, options: Partial<ConnectOptions> = {}): Promise<Pair> {
  let seen: EngineOptions | undefined;
  const ends = served(async (given) => {
    seen = given;
    return withOpenAI(core);
  });
  const engine = await connect(ends.page, { model: 'base', ...options });
  return { engine, ...ends, options: seen! };
}

export async function connectedToFake(fake: FakeOptions = {}): Promise<Pair & { readonly fake: FakeEngine }> {
  const core = fakeEngine(fake);
  return { ...(await connected(core)), fake: core };
}

/** A generation whose steps the test makes. */
export interface Played extends Stream {
  readonly prompt: Prompt;
  readonly options: GenerateOptions;
}

/** An engine whose generations and events say what the test has them say; a signal cancels a generation. */
export interface Player extends CoreEngine {
  readonly played: Played[];
  readonly told: EngineEvent[];
  /** Wakes those who listen to events. */
  tell(event: EngineEvent): void;
}

export function player(): Player {
  const played: Played[] = [];
  const told: EngineEvent[] = [];
  let wake: () => void = () => undefined;
  async function* events(): AsyncGenerator<EngineEvent> {
    for (;;) {
      while (told.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      yield told.shift()!;
    }
  }
  return {
    ...fakeEngine(),
    played,
    told,
    generate: (prompt, options = {}) => {
      const stream = createStream(() => undefined);
      played.push({ ...stream, prompt, options });
      options.signal?.addEventListener('abort', () => stream.fail(options.signal?.reason));
      return stream.generation;
    },
    events,
    tell: (event) => {
      told.push(event);
      wake();
    },
  };
}

/** Long enough for a message to go there and back. */
export const turns = (ms = 20): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function readAll<T>(values: AsyncIterable<T>): Promise<T[]> {
  const read: T[] = [];
  for await (const value of values) read.push(value);
  return read;
}

/** What a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it did not reject');
}
