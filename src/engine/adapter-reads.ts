import type { AdapterEntry } from './adapter-entry.ts';
import { readEntries, type ReadBytes, type ReadingParts } from './adapter-reading.ts';
import { createListeners, shareTask, type Listeners, type SharedTask } from './shared-task.ts';
import type { Progress } from './types.ts';

/** Reads under way, one for each content however many ask. */
export interface Reads {
  /** Joins the read of a content, or begins it; ends when `arrived` has. Aborted when all who joined have left. */
  join(
    content: string,
    options: { readonly signal?: AbortSignal | undefined; readonly onProgress?: ((progress: Progress) => void) | undefined },
  ): Promise<void>;
  /** Ends the read of a content, and all of them, with this reason. */
  abort(content: string, reason: unknown): void;
  close(reason: unknown): void;
}

interface Open {
  readonly task: SharedTask<void>;
  readonly listeners: Listeners<Progress>;
}

/** `entries`: those that stand for a content; `arrived`: takes the bytes on. */
export function createReads(
  parts: ReadingParts,
  entries: (content: string) => readonly AdapterEntry[],
  arrived: (bytes: ReadBytes, content: string, signal: AbortSignal) => Promise<void>,
): Reads {
  const open = new Map<string, Open>();
  const begin = (content: string): Open => {
    const listeners = createListeners<Progress>();
    const { tell: onProgress } = listeners;
    const task = shareTask(
      async (signal) => arrived(await readEntries(parts, entries(content), { signal, onProgress }), content, signal),
      () => open.get(content)?.task === task && open.delete(content),
    );
    return { task, listeners };
  };
  return {
    join: async (content, { signal, onProgress }) => {
      const joined = open.get(content) ?? begin(content);
      open.set(content, joined);
      await joined.listeners.during(onProgress, signal, joined.task.join);
    },
    abort: (content, reason) => open.get(content)?.task.abort(reason),
    close: (reason) => {
      for (const { task } of [...open.values()]) task.abort(reason);
    },
  };
}
