import type { AdapterEvent, EngineEvent, RequestEvent } from './types.ts';

/** What the engine tells of itself; costs nothing while nobody listens. */
export interface EventHub {
  step(ms: number, rows: Readonly<Record<string, number>>): void;
  adapter(event: AdapterEvent): void;
  request(event: RequestEvent): void;
  /** Whether anyone listens: what is costly to tell need not be told otherwise. */
  heard(): 'yes' | 'no';
  listen(): AsyncIterable<EngineEvent>;
  /** Ends every listener's loop, after what it has not read yet. */
  close(): void;
}

interface Gathered {
  steps: EngineEvent['steps'][number][];
  adapters: AdapterEvent[];
  requests: RequestEvent[];
}

interface Listener {
  gathered: Gathered;
  /** Its reader left the loop. */
  left: boolean;
  /** Called when there is something to read, or the end. */
  wake: (() => void) | undefined;
}

const LEAST_MS_BETWEEN = 100;

const nothing = (): Gathered => ({ steps: [], adapters: [], requests: [] });
const isEmpty = ({ steps, adapters, requests }: Gathered): boolean => steps.length + adapters.length + requests.length === 0;

/** Gathers what happens for each listener, so that a slow one loses nothing and a quick one hears at most 10 events a second. */
export function createEventHub(): EventHub {
  const began = performance.now();
  const listeners = new Set<Listener>();
  let open = true;

  const tell = (add: (gathered: Gathered) => void): void => {
    for (const listener of listeners) {
      add(listener.gathered);
      listener.wake?.();
    }
  };

  async function* read(listener: Listener): AsyncGenerator<EngineEvent, void, undefined> {
    try {
      for (;;) {
        while (isEmpty(listener.gathered)) {
          if (!open || listener.left) return;
          await new Promise<void>((resolve) => (listener.wake = resolve));
          listener.wake = undefined;
        }
        if (listener.left) return;
        const { gathered } = listener;
        listener.gathered = nothing();
        const sent = performance.now();
        yield { version: 1, at: sent - began, ...gathered };
        const rest = LEAST_MS_BETWEEN - (performance.now() - sent);
        if (open && rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
      }
    } finally {
      listeners.delete(listener);
    }
  }

  return {
    step: (ms, rows) => tell(({ steps }) => steps.push({ ms, rows })),
    adapter: (event) => tell(({ adapters }) => adapters.push(event)),
    request: (event) => tell(({ requests }) => requests.push(event)),
    heard: () => (listeners.size > 0 ? 'yes' : 'no'),
    listen: () => {
      const listener: Listener = { gathered: nothing(), left: false, wake: undefined };
      if (open) listeners.add(listener);
      return leavable(read(listener), () => {
        listener.left = true;
        listeners.delete(listener);
        listener.wake?.();
      });
    },
    close: () => {
      open = false;
      for (const listener of listeners) listener.wake?.();
    },
  };
}

/** A generator whose `return` is heard while it waits, and before it began: its own would do neither. */
function leavable(values: AsyncGenerator<EngineEvent, void, undefined>, leave: () => void): AsyncIterableIterator<EngineEvent> {
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: () => values.next(),
    return: async () => {
      leave();
      return { done: true, value: undefined };
    },
  };
}
