import type { AdapterBytes } from './adapter-bytes.ts';
import type { AdapterEntry } from './adapter-entry.ts';
import type { Reads } from './adapter-reads.ts';
import type { AdapterRegistry } from './adapter-registry.ts';
import type { Core } from './core.ts';
import { noRoom } from './no-room.ts';
import { untilAborted } from './shared-task.ts';
import type { LoadOptions } from './types.ts';

/** Brings adapters onto the GPU because callers ask, beside those that requests bring. */
export interface Loads {
  /** Throws what reading throws, the signal's reason, and `out_of_memory` where there is no room beside running requests. */
  bring(entry: AdapterEntry, options: Pick<LoadOptions, 'signal' | 'onProgress'>): Promise<void>;
  /** What was joined as `joined` came into memory just now: it goes on at once where callers wait for it, before it can leave again. */
  arrived(joined: string, content: string): void;
}

export interface LoadsParts {
  readonly core: () => Pick<Core, 'cache' | 'traffic' | 'lower' | 'contents'>;
  readonly bytes: AdapterBytes;
  readonly reads: () => Reads;
  readonly wake: () => void;
  /** Throws `adapter_unknown` for an entry that nobody knows any more. */
  readonly registry: Pick<AdapterRegistry, 'checkKnown'>;
  /** Ends every load. */
  readonly closed: AbortSignal;
}

/** Callers who wait for one read, and whether what it brought found a place. */
interface Callers {
  count: number;
  place: 'found' | 'none' | undefined;
}

export function createLoads({ core, bytes, reads, wake, registry, closed }: LoadsParts): Loads {
  const callers = new Map<string, Callers>();
  /** Places what is in memory; false where it cannot be. */
  const place = (content: string): boolean => {
    const { cache, lower, traffic } = core();
    if (cache.has(content)) return true;
    const placement = lower.heap.has(content) ? traffic.place(content) : undefined;
    if (placement) bytes.write(content, placement);
    return placement !== undefined;
  };
  const read = async (content: string, options: Pick<LoadOptions, 'signal' | 'onProgress'>): Promise<Callers['place']> => {
    const joined = callers.get(content) ?? { count: 0, place: undefined };
    callers.set(content, joined);
    joined.count += 1;
    try {
      await reads().join(content, options);
      return joined.place;
    } finally {
      joined.count -= 1;
      if (joined.count === 0 && callers.get(content) === joined) callers.delete(content);
    }
  };

  return {
    bring: async (entry, options) => {
      for (;;) {
        registry.checkKnown(entry);
        const { cache, lower, contents } = core();
        const before = contents.of(entry.key);
        const isHere = cache.has(before) || lower.heap.has(before);
        const found = isHere ? undefined : await bytes.asked(before, () => read(before, options));
        if (closed.aborted) throw closed.reason;
        const content = contents.of(entry.key);
        if (found === 'found' && !cache.has(content)) continue; // its place is another's already: again
        if (content !== before && !cache.has(content) && !lower.heap.has(content)) continue; // it turned out to be what was not read
        if (!place(content)) throw noRoom(entry.id, core().traffic.pinned(content));
        wake(); // uploads go on between steps
        await untilAborted(bytes.uploaded(content), options.signal);
        if (closed.aborted) throw closed.reason;
        if (cache.has(content)) return; // else its place became another's: a lost device's, or one that was needed sooner
      }
    },
    arrived: (joined, content) => {
      const waiting = callers.get(joined);
      if (waiting) waiting.place = place(content) ? 'found' : 'none';
    },
  };
}
