import type { Unblendable } from '../adapters/sites.ts';
import { WebLoraError } from '../errors.ts';
import { openFiles } from '../formats/folder-files.ts';
import { isFileBytes, settleAddress } from '../formats/folder.ts';
import type { AdapterInfo, Source, Tier } from './types.ts';

/** An adapter and what is known of it. Requests hold the entry, so what replaces it later does not touch them. */
export interface AdapterEntry {
  /** Unique among all entries there ever were: an id that is removed and added again is another adapter. */
  readonly key: string;
  readonly id: string;
  /** `asked`: not registered; what `resolve` answers decides. */
  state: 'registered' | 'asked';
  /** `resolve`: what it answered is let go of once it was read, where it is no address, and asked for again. */
  by: 'add' | 'resolve';
  /** Where it can be read from again, as `originOf` gives it. Undefined for what only the store has, and where `resolve` is to be asked. */
  origin: Source | undefined;
  /** Its source in words. */
  name: string;
  /** What it computes, as of the last time that its origin was read, by this engine or by one before it. */
  digest: string | undefined;
  /** The origin's word for the version that was read; see `Folder.stamp`. */
  stamp: string | undefined;
  /** When the origin was last found to have that version, in milliseconds since 1970; `Infinity`: it never changes. */
  checkedAt: number;
  pin: 'yes' | 'no';
  /** Whether the store knows all of this. */
  noted: 'yes' | 'no';
  resolving: Promise<void> | undefined;
}

type Given = Pick<AdapterEntry, 'key' | 'id' | 'state' | 'origin' | 'name'> & Partial<AdapterEntry>;

/** An entry of which nothing is known but what is given. */
export function createEntry(given: Given): AdapterEntry {
  return {
    digest: undefined,
    stamp: undefined,
    checkedAt: 0,
    by: 'add',
    pin: 'no',
    noted: 'no',
    resolving: undefined,
    ...given,
  };
}

/** A source that is a path, an address or a hub id, as text: what a store can remember. Undefined for files, bytes and folder objects. */
export function sourceAddress(source: Source): string | undefined {
  return typeof source === 'string' || source instanceof URL ? String(source) : undefined;
}

/**
 * A source as an entry keeps it: addresses as what they mean here and now, so that they can be compared, remembered, and found again
 * from elsewhere.
 */
export function originOf(source: Source): Source {
  return typeof source === 'string' || source instanceof URL ? settleAddress(source) : source;
}

/** A source in words: what people typed, or the name of what they dropped. Throws `TypeError` for what is no source. */
export function sourceName(source: Source): string {
  if (typeof source === 'string' || source instanceof URL) return String(source);
  if (typeof source === 'object' && source !== null) {
    if ('location' in source && typeof source.location === 'string') return source.location;
    if (Array.isArray(source)) return openFiles(source as readonly File[]).location;
    if (isFileBytes(source)) return 'bytes';
  }
  throw new TypeError(
    "An adapter's source is a path, a URL, a hub id, a list of File objects, bytes by file name, or a folder object with location, size and read.",
  );
}

/** The same path or address, or the same object; both as `originOf` gives them. */
export function isSameSource(a: Source, b: Source): boolean {
  return a === b || (sourceAddress(a) !== undefined && sourceAddress(a) === sourceAddress(b));
}

/** An id that was to be resolved for a request that ended before that. */
export function isForsaken({ state, resolving }: AdapterEntry): boolean {
  return state === 'asked' && !resolving;
}

/** The error for an adapter that somebody removed while it was on its way. */
export function removed({ id }: AdapterEntry): WebLoraError {
  return new WebLoraError('adapter_unknown', `"${id}" was removed while it was loaded.`, { param: 'id' });
}

/** What is known of bytes that were read. */
export interface BytesInfo {
  readonly digest: string;
  readonly rank: number;
  readonly bytes: number;
  readonly unblendable: readonly Unblendable[];
}

/** What `list()` tells of an entry. */
export function describeEntry({ id, name, pin }: AdapterEntry, tier: Tier, known: BytesInfo | undefined): AdapterInfo {
  return {
    ...{ id, source: name, tier, pinned: pin === 'yes' },
    ...(known && { digest: known.digest, rank: known.rank, bytes: known.bytes }),
  };
}

/** Whether an entry's bytes can be read from nowhere else once this engine is gone. */
export function onlyCopy(entry: AdapterEntry): 'copy' | undefined {
  return entry.by === 'add' && !isAddressed(entry) ? 'copy' : undefined;
}

/** Whether its origin can be found again by name. */
export function isAddressed({ origin }: AdapterEntry): boolean {
  return origin !== undefined && sourceAddress(origin) !== undefined;
}
