/** Those who wait for one signal, and its listener. */
class Waiting extends Set<() => void> {
  handleEvent(): void {
    for (const act of this) act();
    this.clear();
  }
}

const waiting = new WeakMap<AbortSignal, Waiting>();

/**
 * Calls `act` when the signal is aborted, unless what this returns was called before. A signal has one listener however many wait for it:
 * an app may give one to a hundred requests, and Node takes more than ten listeners for a leak and says so.
 */
export function onAbort(signal: AbortSignal, act: () => void): () => void {
  const all = waiting.get(signal) ?? new Waiting();
  waiting.set(signal, all);
  if (all.size === 0) signal.addEventListener('abort', all, { once: true });
  all.add(act);
  return () => {
    // while it listens, a signal that was made of a long-lived one lives as long as that
    if (all.delete(act) && all.size === 0) signal.removeEventListener('abort', all);
  };
}
