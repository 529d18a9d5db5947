import { WebLoraError } from '../errors.ts';
import type { WorkerLike } from './types.ts';

/** What tells that a worker is gone. */
export interface Alive {
  /** Waits, from now on, for a lock that the worker holds: whoever gets it knows that the worker has ended, however it did. */
  watchLock(name: string): void;
  /** Waits for the other end of a port to vanish, where the runtime tells. */
  watchPort(port: MessagePort): void;
  stop(): void;
}

type Gone = (error: WebLoraError) => void;

/** Runtimes tell nobody of `terminate()`, and a worker whose script has not run yet holds no lock. */
const terminations = new WeakMap<object, Set<() => void>>();

/** Calls `gone`, perhaps more than once, when the worker has ended or what it says can no longer be read. */
export function watchWorker(worker: WorkerLike, gone: Gone): Alive {
  const locks = new AbortController();
  const lost = (what: string, cause?: unknown): void => gone(new WebLoraError('worker_lost', what, { cause }));
  const failed = (event: Event): void => {
    event.preventDefault(); // it is told to whoever uses the engine; Deno would end the whole process
    const { message, filename, lineno } = event as ErrorEvent;
    if (!message) return lost('The script of the worker did not load. Is its address right, and is it a module?');
    const where = filename ? ` (${filename}:${lineno})` : '';
    lost(`The worker failed: ${message}${where}`, (event as ErrorEvent).error ?? undefined);
  };
  const unreadable = (): void => lost('A message of the worker could not be read.');
  const vanished = (): void => lost('The worker ended: its port was closed.');
  const terminated = (): void => lost('The worker was terminated.');
  worker.addEventListener('error', failed);
  worker.addEventListener('messageerror', unreadable);
  const heard = onTerminate(worker);
  heard?.add(terminated);
  let port: MessagePort | undefined;
  return {
    watchLock: (name) => {
      const ended = (): void => lost('The worker ended: it was terminated, or closed itself.');
      navigator.locks.request(name, { signal: locks.signal }, ended).catch(() => undefined); // aborted by stop
    },
    watchPort: (watched) => {
      port = watched;
      port.addEventListener('messageerror', unreadable);
      port.addEventListener('close', vanished);
    },
    stop: () => {
      locks.abort();
      worker.removeEventListener('error', failed);
      worker.removeEventListener('messageerror', unreadable);
      port?.removeEventListener('messageerror', unreadable);
      port?.removeEventListener('close', vanished);
      heard?.delete(terminated);
    },
  };
}

/** Who wants to hear of `worker.terminate()`. */
function onTerminate(worker: WorkerLike & { terminate?: () => void }): Set<() => void> | undefined {
  const { terminate } = worker;
  if (terminate === undefined) return undefined;
  const known = terminations.get(worker);
  if (known !== undefined) return known;
  const listeners = new Set<() => void>();
  terminations.set(worker, listeners);
  worker.terminate = () => {
    terminate.call(worker);
    for (const listener of listeners) listener();
  };
  return listeners;
}
