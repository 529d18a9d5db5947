import { onAbort } from './on-abort.ts';

/**
 * Waits until nobody in this thread holds `key`, and holds it. Throws the signal's reason.
 *
 * @returns what lets go of it; calling it again does nothing.
 */
export async function whenFree(turns: Map<string, Promise<void>>, key: string, signal: AbortSignal | undefined): Promise<() => void> {
  for (let before = turns.get(key); before; before = turns.get(key)) await unlessAborted(before, signal);
  signal?.throwIfAborted();
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve)).then(() => void turns.delete(key));
  turns.set(key, held);
  return release;
}

/** A promise's value, or the signal's reason as soon as that aborts. What the promise stands for goes on. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const ended = (): void => reject(signal.reason as Error);
    if (signal.aborted) ended();
    const forget = onAbort(signal, ended);
    // Also where nobody waits any more: a rejection without a listener ends a process.
    promise.then(resolve, reject).finally(forget);
  });
}
