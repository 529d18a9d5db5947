import { expose } from 'comlink';
import type { EngineOptions, Generation, Progress, Source } from '../engine/types.ts';
import { WebLoraError } from '../errors.ts';
import type { Engine } from '../openai/types.ts';
import { CALLS, engineOptions, isStream } from './calls.ts';
import type { CallContext, ServeOptions } from './calls.ts';
import { fromWire, toWire } from './errors.ts';
import type { WireError } from './errors.ts';
import { sourceFromWire } from './wire.ts';
import type { Calls, Envelope, Host, Reply, ToPage, ToWorker, WireOptions } from './wire.ts';

/** How an engine is made in the worker. */
export type Create = (options: EngineOptions) => Promise<Engine>;

/** How long `close` waits for streams to tell their end. */
const LONGEST_END_MS = 500;

interface Question {
  resolve(source: Source | undefined): void;
  reject(error: unknown): void;
}

interface Session {
  readonly given: ServeOptions;
  readonly create: Create;
  readonly outbox: Outbox;
  /** Calls and streams that are not over. */
  readonly open: Map<number, AbortController>;
  readonly streams: Set<Promise<void>>;
  /** What the page was asked, and has not answered. */
  readonly questions: Map<number, Question>;
  /** Lets the next page connect. */
  readonly release: () => void;
  engine: Engine | undefined;
  /** Where the page is. */
  base: string | undefined;
  state: 'open' | 'ended';
}

/** Runs one engine for the page at the other end of the port. `release` is called when it has ended, or did not start. */
export function hostEngine(port: MessagePort, given: ServeOptions, create: Create, release: () => void): void {
  const session: Session = {
    given,
    create,
    outbox: createOutbox(port),
    open: new Map(),
    streams: new Set(),
    questions: new Map(),
    release,
    engine: undefined,
    base: undefined,
    state: 'open',
  };
  const leave = (): void => {
    if (session.engine === undefined) for (const controller of session.open.values()) controller.abort(aborted());
    end(session).catch(() => undefined); // nobody is there to be told
  };
  port.addEventListener('message', ({ data }: MessageEvent<Partial<Envelope<ToWorker>>>) => {
    const { weblora: message } = data;
    if (message?.kind === 'abort') session.open.get(message.id)?.abort(aborted());
    if (message?.kind === 'answer') answered(session, message);
    if (message?.kind === 'leave') leave();
  });
  port.addEventListener('messageerror', () => session.outbox.send({ id: 0, kind: 'unread' }));
  port.addEventListener('close', leave);
  expose({ call: (id, name, args) => call(session, id, name, args as never) } satisfies Host, port);
}

const aborted = (): DOMException => new DOMException('The page aborted it.', 'AbortError');

interface Outbox {
  send(entry: ToPage): void;
  flush(): void;
  /** Sends all that waits, where this call has anything among it: answers travel on their own, and must not overtake it. */
  flushFor(id: number): void;
}

/** Gathers what is sent in one turn into one message: nine streams that got a token in one step cost the page one event. */
function createOutbox(port: MessagePort): Outbox {
  let waiting: ToPage[] = [];
  const flush = (): void => {
    const gathered = waiting;
    waiting = [];
    if (gathered.length > 0) port.postMessage({ weblora: gathered } satisfies Envelope<readonly ToPage[]>);
  };
  return {
    flush,
    flushFor: (id) => {
      if (waiting.some((entry) => entry.id === id)) flush();
    },
    send: (entry) => {
      waiting.push(entry);
      // In a task of its own: by then every reader of this turn has run.
      if (waiting.length === 1) setTimeout(flush);
    },
  };
}

/** Begins at once: comlink calls this in the order of the messages. */
async function call(session: Session, id: number, name: keyof Calls, args: never): Promise<Reply> {
  const controller = new AbortController();
  session.open.set(id, controller);
  try {
    const value = await run(session, id, name, args, controller.signal);
    if (isStream(value)) {
      const stream = pump(session, id, value, controller.signal);
      session.streams.add(stream);
      void stream.then(() => session.streams.delete(stream));
      return { stream: true };
    }
    session.open.delete(id);
    return { ok: value };
  } catch (error) {
    session.open.delete(id);
    return { error: thrown(error, controller.signal) };
  } finally {
    session.outbox.flushFor(id);
  }
}

function run(session: Session, id: number, name: keyof Calls, args: never, signal: AbortSignal): unknown {
  const { base, engine, open, outbox } = session;
  const progress = (value: Progress): void => {
    if (open.has(id)) outbox.send({ id, kind: 'progress', value });
  };
  if (name === 'create') return start(session, args[0], progress, signal);
  if (name === 'close') return end(session);
  if (engine === undefined) throw new WebLoraError('closed', 'The worker runs no engine');
  return CALLS[name](engine, args, { signal, base, progress });
}

async function start(session: Session, options: WireOptions, progress: CallContext['progress'], signal: AbortSignal): Promise<void> {
  const { create, given } = session;
  session.base = options.base;
  try {
    const engine = await create(engineOptions(options, given, { progress, resolve: (adapter) => ask(session, adapter) }, signal));
    session.engine = engine;
    if (session.state === 'ended') await engine.close();
  } catch (error) {
    await end(session);
    throw error;
  }
}

/** Closes the engine, waits until its streams have told their end, and lets the next page connect. */
async function end(session: Session): Promise<void> {
  if (session.state === 'ended') return;
  session.state = 'ended';
  try {
    await session.engine?.close();
    await Promise.race([Promise.all(session.streams), new Promise((resolve) => setTimeout(resolve, LONGEST_END_MS))]);
  } finally {
    session.outbox.flush();
    session.release();
  }
}

/** Sends what a stream gives, until its end. Never rejects. */
async function pump(session: Session, id: number, stream: AsyncIterable<unknown> | Generation, signal: AbortSignal): Promise<void> {
  const { send } = session.outbox;
  try {
    const iterator = stream[Symbol.asyncIterator]();
    signal.addEventListener('abort', () => void iterator.return?.()?.catch(() => undefined));
    for (let step = await iterator.next(); !step.done; step = await iterator.next()) send({ id, kind: 'next', value: step.value });
    signal.throwIfAborted(); // it was left because of that: to who aborted it, a part must not seem to be all
    send({ id, kind: 'end', value: 'result' in stream ? await stream.result() : undefined });
  } catch (error) {
    send({ id, kind: 'fail', error: thrown(error, signal) });
  } finally {
    session.open.delete(id);
  }
}

/** The page knows the reason for which it aborted: it throws that very one. */
function thrown(error: unknown, signal: AbortSignal): WireError | 'reason' {
  return signal.aborted && error === signal.reason ? 'reason' : toWire(error);
}

let asked = 0;

function ask({ questions, outbox }: Session, adapter: string): Promise<Source | undefined> {
  const id = ++asked;
  return new Promise((resolve, reject) => {
    questions.set(id, { resolve, reject });
    outbox.send({ id, kind: 'ask', adapter });
  });
}

function answered({ questions, base }: Session, { id, answer }: Extract<ToWorker, { kind: 'answer' }>): void {
  const question = questions.get(id);
  questions.delete(id);
  if ('error' in answer) question?.reject(fromWire(answer.error));
  else question?.resolve(answer.ok === undefined ? undefined : sourceFromWire(answer.ok, base));
}
