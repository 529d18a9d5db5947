/**
 * Keeps long work from holding the thread: whoever computes asks `pause()` at small intervals, and waits where it is told to. All who
 * share one object share its slices, so that many at once take no more of the thread than one does.
 */
export interface Slices {
  /**
   * Undefined while the slice lasts: go on. Else a promise for a later turn of the event loop; whatever else waits for the thread runs
   * before it, and the line is first come, first served. Ask it before the first piece of work too, so that none runs in the caller's turn.
   */
  pause(): Promise<void> | undefined;
}

/** What slices need of a runtime. */
export interface SliceRuntime {
  /** Milliseconds, never going back. */
  now(): number;
  /** Runs it in a turn of the event loop of its own, as soon as the thread is free. */
  nextTurn(run: () => void): void;
}

interface WithImmediate {
  readonly setImmediate?: (run: () => void) => unknown;
}

/**
 * `setImmediate` where there is one (Node hands over many messages in one turn), else a message to oneself. Not `setTimeout`, which
 * browsers stretch to 4 ms, and not `scheduler.yield()`, which goes on ahead of what waits for the thread: messages and answers of the
 * GPU are just what it is given up for.
 */
function runtime(): SliceRuntime {
  const now = (): number => performance.now();
  const { setImmediate } = globalThis as WithImmediate;
  if (setImmediate) return { now, nextTurn: (run) => void setImmediate(run) };
  const { port1, port2 } = new MessageChannel();
  const due: (() => void)[] = [];
  port2.addEventListener('message', () => due.shift()?.());
  port2.start();
  return {
    now,
    nextTurn: (run) => {
      due.push(run);
      port1.postMessage(undefined);
    },
  };
}

/**
 * Makes slices of `ms` milliseconds. Each turn that is given begins a slice and goes to one alone of those who wait; what others compute
 * in the meantime, when a read of theirs has ended, counts into the same slice. Throws `RangeError` unless `ms` is positive.
 */
export function createSlices(ms = 4, { now, nextTurn }: SliceRuntime = runtime()): Slices {
  if (!(ms > 0)) throw new RangeError(`A slice must last longer than 0 ms; got ${ms}.`);
  const line: (() => void)[] = [];
  let began = -Infinity;
  const turn = (): void => {
    began = now();
    line.shift()!();
    if (line.length > 0) nextTurn(turn);
  };
  return {
    pause: () => {
      if (now() - began < ms) return undefined;
      return new Promise((resolve) => {
        if (line.push(resolve) === 1) nextTurn(turn);
      });
    },
  };
}

let ours: SliceRuntime | undefined;

/** A later turn of the event loop, as soon as the thread is free. */
export function nextTurn(): Promise<void> {
  ours ??= runtime();
  return new Promise((resolve) => ours!.nextTurn(resolve));
}
