import { unlessAborted } from './hub-turns.ts';

/** Told of a file's bytes as they come. */
export type OnBytes = (loaded: number) => void;

/** One piece of work that several wait for. */
interface Flight {
  readonly work: Promise<void>;
  readonly controller: AbortController;
  readonly listeners: Set<OnBytes>;
  /** What was told last. */
  loaded: number | undefined;
}

const flights = new WeakMap<object, Map<string, Flight>>();

/**
 * Does a piece of work once for all in this thread that ask for it meanwhile. It goes on while one of them waits; the last one's abort
 * ends it. Throws what the work throws, what its own `onBytes` throws, and the signal's reason.
 *
 * @param owner with `key` the work's name.
 */
export async function fly(
  owner: object,
  key: string,
  work: (signal: AbortSignal, onBytes: OnBytes) => Promise<void>,
  { signal, onBytes }: { readonly signal: AbortSignal | undefined; readonly onBytes: OnBytes },
): Promise<void> {
  const own = flights.get(owner) ?? new Map<string, Flight>();
  flights.set(owner, own);
  signal?.throwIfAborted();
  const flight = own.get(key) ?? begin(own, key, work);
  let fail: (error: unknown) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => (fail = reject));
  const listener: OnBytes = (loaded) => {
    try {
      onBytes(loaded);
    } catch (error) {
      fail(error); // its own affair: others go on
    }
  };
  flight.listeners.add(listener);
  if (flight.loaded !== undefined) listener(flight.loaded);
  try {
    await unlessAborted(Promise.race([flight.work, failed]), signal);
  } finally {
    flight.listeners.delete(listener);
    if (flight.listeners.size === 0 && own.get(key) === flight) {
      // Whoever comes from now on begins anew, and waits for the part until this one has let go.
      own.delete(key);
      flight.controller.abort(signal?.reason);
    }
  }
}

function begin(own: Map<string, Flight>, key: string, work: (signal: AbortSignal, onBytes: OnBytes) => Promise<void>): Flight {
  const controller = new AbortController();
  const listeners = new Set<OnBytes>();
  const onBytes: OnBytes = (loaded) => {
    flight.loaded = loaded;
    for (const listener of listeners) listener(loaded);
  };
  // Its work begins in a later turn: it may tell of bytes at once.
  const flight: Flight = { work: Promise.resolve().then(() => work(controller.signal, onBytes)), controller, listeners, loaded: undefined };
  own.set(key, flight);
  // What was aborted by the last who waited has nobody to tell.
  flight.work.catch(() => undefined).finally(() => own.get(key) === flight && own.delete(key));
  return flight;
}
