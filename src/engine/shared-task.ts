import { onAbort } from '../formats/on-abort.ts';

/** Work that several callers wait for and each may leave. */
export interface SharedTask<T> {
  /** The work's outcome, or the signal's reason if that comes first. When the last who waits has left, the work is aborted. */
  join(signal?: AbortSignal): Promise<T>;
  /** Aborts the work for everyone: they get this reason. */
  abort(reason: unknown): void;
}

/** The promise, or the signal's reason if that comes first; what the promise stands for goes on. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  promise.catch(() => undefined); // where the signal comes first nobody hears how the work ended
  signal.throwIfAborted();
  let forget = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    forget = onAbort(signal, () => reject(signal.reason as Error));
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    forget();
  }
}

/** Ends with the work, or after so many milliseconds; the work goes on. */
export async function atMost(ms: number, work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([work, late]);
  clearTimeout(timer);
}

/**
 * Starts work once for all who join.
 * @param ended called once, when nobody should join any more: the work has come to its end, or was aborted.
 */
export function shareTask<T>(work: (signal: AbortSignal) => Promise<T>, ended: () => void): SharedTask<T> {
  const controller = new AbortController();
  const { signal } = controller;
  let waiting = 0;
  let open = true;
  const end = (): void => {
    if (open) ended();
    open = false;
  };
  const outcome = untilAborted(work(signal), signal).finally(end);
  outcome.catch(() => undefined); // whoever joined gets it; it must not count as unhandled when all have left
  const abort = (reason: unknown): void => {
    end();
    controller.abort(reason);
  };
  return {
    abort,
    join: async (own) => {
      waiting++;
      try {
        return await untilAborted(outcome, own);
      } finally {
        waiting--;
        if (waiting === 0 && open) abort(new DOMException('Nobody waits for it any more.', 'AbortError'));
      }
    },
  };
}

/** Those who want to hear how shared work gets on. */
export interface Listeners<T> {
  tell(value: T): void;
  /**
   * Makes a call for a caller whose listener, where it has one, hears meanwhile. The call is given the signal to leave by: that of the
   * caller, or where its listener throws, that: nobody else fails with it.
   */
  during<R>(
    listener: ((value: T) => void) | undefined,
    signal: AbortSignal | undefined,
    call: (signal: AbortSignal | undefined) => Promise<R>,
  ): Promise<R>;
}

export function createListeners<T>(): Listeners<T> {
  const all = new Set<(value: T) => void>();
  return {
    tell: (value) => all.forEach((hear) => hear(value)),
    during: async (listener, signal, call) => {
      if (!listener) return call(signal);
      signal?.throwIfAborted();
      const left = new AbortController();
      const forget = signal && onAbort(signal, () => left.abort(signal.reason));
      const hear: typeof listener = (value) => {
        try {
          if (!left.signal.aborted) listener(value);
        } catch (error) {
          left.abort(error);
        }
      };
      all.add(hear);
      try {
        return await call(left.signal);
      } finally {
        all.delete(hear);
        forget?.();
      }
    },
  };
}
