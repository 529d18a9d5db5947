interface Waiting {
  readonly acts: Set<() => void>;
  readonly heard: () => void;
}

const waiting = new WeakMap<AbortSignal, Waiting>();

/**
 * Calls `act` when the signal is aborted, unless what this returns was called before. A signal has one listener however many wait for it:
 * an app may give one to a hundred requests, and Node takes more than ten listeners for a leak and says so.
 */
export function onAbort(signal: AbortSignal, act: () => void): () => void {
  const known = waiting.get(signal) ?? listen(signal);
  known.acts.add(act);
  return () => {
    known.acts.delete(act);
    if (known.acts.size > 0) return;
    // while it listens, a signal that was made of a long-lived one lives as long as that
    signal.removeEventListener('abort', known.heard);
    if (waiting.get(signal) === known) waiting.delete(signal);
  };
}

function listen(signal: AbortSignal): Waiting {
  const acts = new Set<() => void>();
  const heard = (): void => {
    waiting.delete(signal);
    for (const act of acts) act();
  };
  const made = { acts, heard };
  signal.addEventListener('abort', heard, { once: true });
  waiting.set(signal, made);
  return made;
}
