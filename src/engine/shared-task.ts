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
  let abort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
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
