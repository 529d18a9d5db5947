/** Waits for a connection that is free; smaller files go first. Resolves to what gives it back; throws the signal's reason. */
export type Gate = (size: number, signal: AbortSignal | undefined) => Promise<() => void>;

interface Waiting {
  readonly size: number;
  enter(): void;
}

/** At most so many connections at once, for all files that share the gate. */
export function connectionGate(most: number): Gate {
  let open = 0;
  const line: Waiting[] = [];
  const next = (): void => {
    if (open >= most || line.length === 0) return;
    const smallest = line.reduce((best, one) => (one.size < best.size ? one : best));
    line.splice(line.indexOf(smallest), 1);
    open++;
    smallest.enter();
  };
  return (size, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return void reject(signal.reason as Error);
      let held = true;
      const release = (): void => {
        if (!held) return;
        held = false;
        open--;
        next();
      };
      const ended = (): void => {
        line.splice(line.indexOf(waiting), 1);
        reject(signal!.reason as Error);
      };
      const waiting: Waiting = {
        size,
        enter: () => {
          signal?.removeEventListener('abort', ended);
          resolve(release);
        },
      };
      signal?.addEventListener('abort', ended, { once: true });
      line.push(waiting);
      next();
    });
}
