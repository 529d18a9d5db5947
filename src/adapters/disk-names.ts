import type { KnownAdapter } from './records.ts';
import { bytesOfBlob, bytesOfRecord } from './store.ts';

/** What an adapter's record names. */
export interface Named {
  readonly digest: string;
  /** `copy`: the record has no address to read the adapter from again. */
  readonly only: 'copy' | undefined;
}

/** The adapters' records in a store, of all models, by their keys. */
export interface DiskNames {
  get(key: string): Named | undefined;
  /** What a record was made to name; undefined where it was deleted. */
  set(key: string, named: Named | undefined): void;
  entries(): ReadonlyMap<string, Named>;
  /** How many records name a blob's bytes, in whatever layout and precision, and how many of them as their only copy. */
  count(blob: string): NameCount;
}

export interface NameCount {
  readonly all: number;
  readonly copies: number;
}

const NOBODY: NameCount = { all: 0, copies: 0 };

/** What a record names. */
export function namedBy({ digest, source }: Pick<KnownAdapter, 'digest' | 'source'>): Named {
  return { digest, only: source === undefined ? 'copy' : undefined };
}

/** Counts as it changes: thousands of records are not gone through for each blob. */
export function createNames(records: Iterable<readonly [key: string, named: Named]>): DiskNames {
  const names = new Map<string, Named>();
  const counts = new Map<string, NameCount>();
  const add = (key: string, { digest, only }: Named, by: 1 | -1): void => {
    const bytes = bytesOfRecord(key, digest);
    const { all, copies } = counts.get(bytes) ?? NOBODY;
    if (all + by === 0) counts.delete(bytes);
    else counts.set(bytes, { all: all + by, copies: only === 'copy' ? copies + by : copies });
  };
  const set = (key: string, named: Named | undefined): void => {
    const before = names.get(key);
    if (before) add(key, before, -1);
    names.delete(key);
    if (!named) return;
    names.set(key, named);
    add(key, named, 1);
  };
  for (const [key, named] of records) set(key, named);
  return { get: (key) => names.get(key), set, entries: () => names, count: (blob) => counts.get(bytesOfBlob(blob)) ?? NOBODY };
}
