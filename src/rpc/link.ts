import { releaseProxy, wrap } from 'comlink';
import { requireSignal } from '../engine/option-checks.ts';
import type { Progress } from '../engine/types.ts';
import { WebLoraError } from '../errors.ts';
import { onAbort } from '../formats/on-abort.ts';
import { watchWorker } from './alive.ts';
import { fromWire, toWire } from './errors.ts';
import { greet } from './greet.ts';
import type { ConnectOptions, WorkerLike } from './types.ts';
import { sourceToWire } from './wire.ts';
import type { Calls, Envelope, Host, Reply, ToPage, ToWorker } from './wire.ts';

/** Where the values of a stream go. */
export interface Sink {
  push(value: unknown): void;
  end(value: unknown): void;
  fail(error: unknown): void;
}

/** What a call takes beside its arguments. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Gets what follows the answer, where the answer is a stream. */
  readonly sink?: Sink;
  /** What it throws ends the call, and is what the call throws. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/** A call that was sent. */
export interface Sent {
  /** What was answered; undefined where a stream follows. */
  readonly answer: Promise<unknown>;
  /** Ends it in the worker; it then fails with this reason, the same object. */
  abort(reason: unknown): void;
}

/** The page's end: calls out, answers and streams in. Calls take effect in the order in which they are made. */
export interface Link {
  send<Name extends keyof Calls>(name: Name, args: Calls[Name], options?: CallOptions): Sent;
  /** Ends the engine; later calls fail with `closed`. */
  close(): Promise<void>;
  /** Lets go of the worker, whatever it does. */
  leave(error: WebLoraError): void;
}

interface Open {
  reason: unknown;
  readonly sink: Sink | undefined;
  readonly onProgress: CallOptions['onProgress'];
  reject(error: unknown): void;
  forget(): void;
}

type Resolve = ConnectOptions['resolve'];

/**
 * Greets the worker and opens the link, on which it may ask `resolve`; what this throws is `greet`'s, `worker_lost`, or the signal's
 * reason.
 */
export async function openLink(worker: WorkerLike, resolve: Resolve, signal: AbortSignal | undefined): Promise<Link> {
  requireSignal(signal);
  signal?.throwIfAborted();
  let gone: (error: WebLoraError) => void = () => undefined;
  const lost = new Promise<never>((_, reject) => (gone = reject));
  const forget = signal && onAbort(signal, () => gone(signal.reason as WebLoraError)); // or whatever else the caller aborts with
  const alive = watchWorker(worker, (error) => gone(error));
  const greeting = greet(worker);
  try {
    const { port, lock } = await Promise.race([greeting.answer, lost]);
    const link = createLink(port, resolve, () => alive.stop());
    gone = link.leave;
    alive.watchPort(port);
    if (lock !== undefined) alive.watchLock(lock);
    return link;
  } catch (error) {
    alive.stop();
    throw error;
  } finally {
    greeting.stop();
    forget?.();
  }
}

function createLink(port: MessagePort, resolve: Resolve, stopWatching: () => void): Link {
  const remote = wrap<Host>(port);
  const open = new Map<number, Open>();
  let last = 0;
  let over: WebLoraError | undefined;
  let closing: Promise<void> | undefined;
  let left: () => void = () => undefined;
  const leaving = new Promise<void>((resolve) => (left = resolve));
  const post = (message: ToWorker): void => port.postMessage({ weblora: message } satisfies Envelope<ToWorker>);

  const end = (error: WebLoraError): void => {
    over ??= error; // a worker that ends while it closes was closed
    stopWatching();
    for (const call of [...open.values()]) {
      call.sink?.fail(over);
      call.reject(over);
    }
    left();
  };
  const leave = (error: WebLoraError): void => {
    end(error);
    post({ kind: 'leave' });
    port.close();
  };
  port.addEventListener('message', ({ data }: MessageEvent<Partial<Envelope<readonly ToPage[]>>>) => {
    for (const entry of data.weblora ?? []) {
      if (entry.kind === 'unread') leave(new WebLoraError('worker_lost', 'The worker could not read a message.'));
      else if (entry.kind === 'ask') void answer(entry.id, entry.adapter, resolve, post);
      else hear(entry, open.get(entry.id), post);
    }
  });
  port.start();

  return {
    send: (name, args, options = {}) => {
      const id = ++last;
      const abort = (reason: unknown): void => {
        const call = open.get(id);
        if (call === undefined) return;
        call.reason = reason;
        post({ kind: 'abort', id });
      };
      const answer = new Promise<unknown>((resolve, reject) => {
        requireSignal(options.signal);
        options.signal?.throwIfAborted();
        if (over !== undefined) throw over;
        const call = openCall(open, id, options, abort, reject);
        remote.call(id, name, args).then(
          (reply) => settle(reply, call, resolve),
          (error: unknown) => call.reject(cannotCross(name, error)),
        );
      });
      return { answer, abort };
    },
    close: () => {
      closing ??= (async () => {
        if (over !== undefined) return;
        over = new WebLoraError('closed', 'The engine was closed');
        const reply = await Promise.race([remote.call(++last, 'close', []), leaving]);
        end(over);
        remote[releaseProxy]();
        if (reply && 'error' in reply) throw fromReply(reply.error, undefined);
      })();
      return closing;
    },
    leave,
  };
}

function openCall(
  open: Map<number, Open>,
  id: number,
  { signal, sink, onProgress }: CallOptions,
  abort: (reason: unknown) => void,
  reject: (error: unknown) => void,
): Open {
  const stay = signal && onAbort(signal, () => abort(signal.reason));
  const forget = (): void => {
    open.delete(id);
    stay?.();
  };
  const call: Open = {
    reason: undefined,
    sink,
    onProgress,
    reject: (error) => {
      forget();
      reject(error);
    },
    forget,
  };
  open.set(id, call);
  return call;
}

function settle(reply: Reply, call: Open, resolve: (value: unknown) => void): void {
  if ('error' in reply) call.reject(fromReply(reply.error, call));
  else {
    if ('ok' in reply) call.forget();
    resolve('ok' in reply ? reply.ok : undefined);
  }
}

/** What the worker sends on its own accord. It may be late: for a call that is over. */
function hear(entry: ToPage, call: Open | undefined, post: (message: ToWorker) => void): void {
  if (call === undefined) return;
  if (entry.kind === 'next') call.sink?.push(entry.value);
  if (entry.kind === 'end') {
    call.forget();
    call.sink?.end(entry.value);
  }
  if (entry.kind === 'fail') {
    call.forget();
    call.sink?.fail(fromReply(entry.error, call));
  }
  if (entry.kind !== 'progress') return;
  try {
    call.onProgress?.(entry.value as Progress);
  } catch (error) {
    // As in one thread, where it would fail the load.
    post({ kind: 'abort', id: entry.id });
    call.reject(error);
  }
}

async function answer(id: number, adapter: string, resolve: Resolve, post: (message: ToWorker) => void): Promise<void> {
  try {
    const source = await resolve?.(adapter);
    post({ kind: 'answer', id, answer: { ok: source === undefined ? undefined : sourceToWire(source) } });
  } catch (error) {
    post({ kind: 'answer', id, answer: { error: toWire(error) } });
  }
}

function fromReply(error: Extract<Reply, { error: unknown }>['error'], call: Open | undefined): unknown {
  return error === 'reason' ? call?.reason : fromWire(error);
}

function cannotCross(name: string, cause: unknown): unknown {
  if (!(cause instanceof DOMException) || cause.name !== 'DataCloneError') return cause;
  return new TypeError(`${name === 'create' ? 'connectEngine' : name}: what it was given cannot be sent to the worker. ${cause.message}`, {
    cause,
  });
}
