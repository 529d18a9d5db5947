import type { PackedAdapter } from '../adapters/sites.ts';
import { WebLoraError } from '../errors.ts';
import type { Folder } from '../formats/folder.ts';
import type { AdapterEntry } from './adapter-entry.ts';
import { stampOf } from './adapter-folder.ts';
import { openOrigin, readOrigin, type ReadingParts, type ReadOptions } from './adapter-reading.ts';
import { createListeners, untilAborted, type Listeners } from './shared-task.ts';
import type { LoadOptions, Progress } from './types.ts';

export interface FreshnessParts {
  readonly reading: ReadingParts;
  /** Milliseconds after which an origin is asked again. */
  readonly after: number;
  readonly isCurrent: (entry: AdapterEntry) => boolean;
  /** The origin has the version that is known, as of now. */
  readonly confirmed: (entry: AdapterEntry) => void;
  /** It has another; `entry` says what. */
  readonly changed: (entry: AdapterEntry, packed: PackedAdapter) => Promise<void>;
  /** It could not be asked; what is there goes on to be served. */
  readonly failed: (entry: AdapterEntry, error: unknown) => void;
  /** Ends every check. */
  readonly signal: AbortSignal;
}

/** Asks origins whether they changed, beside the requests that are served what is there. */
export interface Freshness {
  /** Asks an adapter's origin in the background where the last answer is old. */
  use(entry: AdapterEntry): void;
  /**
   * Asks now, once for all who want to know; who leaves by its signal ends it for nobody else. Throws what opening and reading throw,
   * and `file_unreadable` for an origin that is silent for a minute.
   */
  check(entry: AdapterEntry, options?: Pick<LoadOptions, 'signal' | 'onProgress'>): Promise<void>;
}

/** Checks in the background at once: those that are left out come with the next use. */
const MOST_CHECKS = 4;

/** An origin that could not be asked is left alone for so long. */
const RETRY_MS = 60_000;

/** An origin of which nothing was heard for so long is given up: others wait for its place. */
const SILENCE_MS = 60_000;

interface Check {
  readonly done: Promise<void>;
  readonly listeners: Listeners<Progress>;
}

/** What an origin has instead of what is known. */
interface Change {
  readonly found: AdapterEntry;
  readonly packed: PackedAdapter;
}

export function createFreshness(parts: FreshnessParts): Freshness {
  const { after, isCurrent, changed, failed, signal: closed } = parts;
  const checks = new Map<AdapterEntry, Check>();
  const background = new Set<Promise<void>>();

  const begin = (entry: AdapterEntry): Check => {
    const listeners = createListeners<Progress>();
    const run = async (): Promise<void> => {
      const { tell: onProgress } = listeners;
      const change = await whileHeard(entry.name, closed, (signal, heard) => ask(parts, entry, heard, { signal, onProgress }));
      if (change && isCurrent(entry)) await changed(change.found, change.packed);
    };
    const check = { done: run().finally(() => checks.delete(entry)), listeners };
    checks.set(entry, check);
    return check;
  };
  const check: Freshness['check'] = async (entry, { signal, onProgress } = {}) => {
    const { done, listeners } = checks.get(entry) ?? begin(entry);
    await listeners.during(onProgress, signal, (left) => untilAborted(done, left));
  };
  const isOld = ({ digest, origin, checkedAt }: AdapterEntry): boolean =>
    digest !== undefined && origin !== undefined && Date.now() - checkedAt >= after;

  return {
    use: (entry) => {
      if (checks.has(entry) || background.size >= MOST_CHECKS || !isOld(entry)) return;
      const done = check(entry)
        .catch((error: unknown) => {
          if (closed.aborted) return;
          entry.checkedAt = Date.now() - after + Math.min(RETRY_MS, after);
          failed(entry, error);
        })
        .finally(() => background.delete(done));
      background.add(done);
    },
    check,
  };
}

/** Asks an origin for its version, and for its bytes where that does not tell. Undefined: it has what is known. */
async function ask(
  { reading, confirmed }: FreshnessParts,
  entry: AdapterEntry,
  heard: () => void,
  options: Required<ReadOptions>,
): Promise<Change | undefined> {
  const { signal } = options;
  const before = entry.digest;
  // a file of the hub comes whole before its first read ends
  const onProgress = (progress: Progress): void => (heard(), options.onProgress(progress));
  const folder = hearing(await openOrigin(reading, entry.origin!, 'no-cache', { signal, onProgress }), signal, heard);
  const stamp = folder.fixed === 'yes' ? entry.stamp : await stampOf(folder);
  signal.throwIfAborted();
  const isSame = folder.fixed === 'yes' || (stamp !== undefined && stamp === entry.stamp);
  if (isSame) {
    entry.checkedAt = folder.fixed === 'yes' ? Infinity : Date.now();
    confirmed(entry);
    return undefined;
  }
  // a copy notes what is found: those who run on the entry keep what it says
  const found = { ...entry };
  const packed = await readOrigin(reading, found, folder, { ...options, stamp });
  if (packed.digest !== before) return { found, packed };
  Object.assign(entry, { stamp: found.stamp, checkedAt: found.checkedAt, noted: 'no' });
  confirmed(entry);
  return undefined;
}

/** The folder, every answer of which is heard; nothing more is asked of it after the signal. */
function hearing(folder: Folder, signal: AbortSignal, heard: () => void): Folder {
  const answer = async <T>(asking: () => Promise<T>): Promise<T> => {
    signal.throwIfAborted();
    const given = await asking();
    heard();
    return given;
  };
  return {
    location: folder.location,
    gguf: folder.gguf,
    ...(folder.fixed && { fixed: folder.fixed }),
    ...(folder.names && { names: () => answer(() => folder.names!()) }),
    ...(folder.fetch && { fetch: (names) => answer(() => folder.fetch!(names)) }),
    ...(folder.stamp && { stamp: (names) => answer(() => folder.stamp!(names)) }),
    size: (name) => answer(() => folder.size(name)),
    read: (name, start, end) => answer(() => folder.read(name, start, end)),
  };
}

/** Work that asks an origin, until it is silent for too long. The work is to stop with its signal; where it does not, nobody waits. */
async function whileHeard<T>(name: string, closed: AbortSignal, work: (signal: AbortSignal, heard: () => void) => Promise<T>): Promise<T> {
  closed.throwIfAborted();
  const controller = new AbortController();
  const { signal } = controller;
  const end = (): void => controller.abort(closed.reason);
  const giveUp = (): void => {
    const message = `${name} gave no answer for ${SILENCE_MS / 1000} seconds; what was read of it before goes on to be served.`;
    controller.abort(new WebLoraError('file_unreadable', message));
  };
  let patience = setTimeout(giveUp, SILENCE_MS);
  const heard = (): void => {
    clearTimeout(patience);
    if (!signal.aborted) patience = setTimeout(giveUp, SILENCE_MS);
  };
  // by hand: of signals that AbortSignal.any made of one that lives long, some runtimes let go late
  closed.addEventListener('abort', end, { once: true });
  try {
    return await untilAborted(work(signal, heard), signal);
  } finally {
    clearTimeout(patience);
    closed.removeEventListener('abort', end);
  }
}
