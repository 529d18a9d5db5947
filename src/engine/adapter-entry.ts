import type { StoredBlob } from '../adapters/records.ts';
import type { PackedAdapter } from '../adapters/sites.ts';
import { openFiles } from '../formats/folder-files.ts';
import type { SharedTask } from './shared-task.ts';
import type { AdapterInfo, Source } from './types.ts';

/** An adapter and how far it has come. Requests hold the entry, so what replaces it later does not touch them. */
export interface AdapterEntry {
  /** Unique among all entries there ever were: an id that is removed and added again is another adapter. */
  readonly key: string;
  readonly id: string;
  /** `asked`: not registered; what `resolve` answers decides. */
  state: 'registered' | 'asked';
  /** Where it can be read from again. Undefined for what only the store has, and before `resolve` has answered. */
  origin: Source | undefined;
  /** Its source in words. */
  name: string;
  /** Its bytes in the store. */
  blob: StoredBlob | undefined;
  resolving: Promise<void> | undefined;
  packed: PackedAdapter | undefined;
  reading: SharedTask<PackedAdapter> | undefined;
}

/** An entry of which nothing is known but what is given. */
export function createEntry(given: Pick<AdapterEntry, 'key' | 'id' | 'state' | 'origin' | 'name' | 'blob'>): AdapterEntry {
  return {
    ...given,
    resolving: undefined,
    packed: undefined,
    reading: undefined,
  };
}

/** A source that is a path or an address, as text: what a store can remember. Undefined for files and folder objects. */
export function sourceAddress(source: Source): string | undefined {
  return typeof source === 'string' || source instanceof URL ? String(source) : undefined;
}

/** A source in words: what people typed, or the name of what they dropped. Throws `TypeError` for what is no source. */
export function sourceName(source: Source): string {
  if (typeof source === 'string' || source instanceof URL) return String(source);
  if (typeof source === 'object' && source !== null) {
    if ('location' in source && typeof source.location === 'string') return source.location;
    if (Array.isArray(source)) return openFiles(source as readonly File[]).location;
  }
  throw new TypeError("An adapter's source is a path, a URL, a list of File objects, or a folder object with location, size and read.");
}

/** The same path or address, or the same object. */
export function isSameSource(a: Source, b: Source): boolean {
  return a === b || (sourceAddress(a) !== undefined && sourceAddress(a) === sourceAddress(b));
}

/** What `list()` tells of an entry, whose tier is the GPU or else the first that has its bytes. */
export function describeEntry({ id, name, packed, blob }: AdapterEntry, gpu: 'gpu' | undefined): AdapterInfo {
  const tier = gpu ?? (packed ? 'heap' : blob ? 'disk' : 'origin');
  const known = packed ?? blob;
  return { id, source: name, tier, ...(known && { digest: known.digest, rank: known.rank, bytes: known.bytes }) };
}
