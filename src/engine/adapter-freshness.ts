import type { PackedAdapter } from '../adapters/sites.ts';
import type { AdapterEntry } from './adapter-entry.ts';
import { openOrigin, readOrigin, stampOf, type ReadingParts } from './adapter-reading.ts';

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
  /** Asks now, once for all who want to know. Throws what opening and reading throw. */
  check(entry: AdapterEntry): Promise<void>;
  /** Ends when no check is under way. */
  settled(): Promise<void>;
}

/** Checks in the background at once: those that are left out come with the next use. */
const MOST_CHECKS = 4;

/** An origin that could not be asked is left alone for so long. */
const RETRY_MS = 60_000;

export function createFreshness(parts: FreshnessParts): Freshness {
  const { reading, after, isCurrent, confirmed, changed, failed, signal } = parts;
  const checks = new Set<Promise<void>>();

  const ask = async (entry: AdapterEntry): Promise<void> => {
    const before = entry.digest;
    const folder = await openOrigin(reading, entry.origin!, 'no-cache', signal);
    const stamp = folder.fixed === 'yes' ? entry.stamp : await stampOf(folder);
    const isSame = folder.fixed === 'yes' || (stamp !== undefined && stamp === entry.stamp);
    if (isSame) {
      entry.checkedAt = folder.fixed === 'yes' ? Infinity : Date.now();
      return confirmed(entry);
    }
    // a copy notes what is found: those who run on the entry keep what it says
    const found = { ...entry };
    const packed = await readOrigin(reading, found, folder, { signal, stamp });
    if (packed.digest === before) {
      Object.assign(entry, { stamp: found.stamp, checkedAt: found.checkedAt, noted: 'no' });
      return confirmed(entry);
    }
    if (isCurrent(entry)) await changed(found, packed);
  };
  const check = (entry: AdapterEntry): Promise<void> => {
    entry.checking ??= ask(entry).finally(() => (entry.checking = undefined));
    return entry.checking;
  };
  const isOld = ({ digest, origin, checkedAt }: AdapterEntry): boolean =>
    digest !== undefined && origin !== undefined && Date.now() - checkedAt >= after;

  return {
    use: (entry) => {
      if (entry.checking || checks.size >= MOST_CHECKS || !isOld(entry)) return;
      const done = check(entry)
        .catch((error: unknown) => {
          if (signal.aborted) return;
          entry.checkedAt = Date.now() - after + Math.min(RETRY_MS, after);
          failed(entry, error);
        })
        .finally(() => checks.delete(done));
      checks.add(done);
    },
    check,
    settled: async () => void (await Promise.all(checks)),
  };
}
