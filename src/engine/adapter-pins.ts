import { wordsOf } from './adapter-bytes.ts';
import type { AdapterEntry } from './adapter-entry.ts';
import type { Loads } from './adapter-loads.ts';
import type { Core } from './core.ts';
import type { EventHub } from './events.ts';

/** Adapters that stay on the GPU. A pin is an id's; bytes are pinned as long as one of their ids is. */
export interface Pins {
  set(entry: AdapterEntry, pin: AdapterEntry['pin']): void;
  /** An id stands for these bytes from now on, or no longer does. */
  settle(content: string): void;
  /** What is pinned lies on the GPU again after its bytes changed or a device was lost; a failure is an event. */
  bringBack(entry: AdapterEntry): void;
}

export interface PinsParts {
  readonly core: () => Pick<Core, 'cache' | 'contents'>;
  readonly namesOf: (content: string) => readonly AdapterEntry[];
  readonly loads: () => Loads;
  readonly events: EventHub;
  readonly closed: AbortSignal;
}

export function createPins({ core, namesOf, loads, events, closed }: PinsParts): Pins {
  const settle = (content: string): void => {
    core().cache[namesOf(content).some(({ pin }) => pin === 'yes') ? 'pin' : 'unpin'](content);
  };
  return {
    settle,
    set: (entry, pin) => {
      entry.pin = pin;
      settle(core().contents.of(entry.key));
    },
    bringBack: (entry) => {
      if (entry.pin === 'no') return;
      const failed = (error: unknown): void => {
        if (!closed.aborted) events.adapter({ kind: 'fail', tier: 'gpu', id: entry.id, bytes: 0, message: wordsOf(error) });
      };
      loads().bring(entry, {}).catch(failed);
    },
  };
}
