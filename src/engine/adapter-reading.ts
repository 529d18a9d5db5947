import type { BaseMatrices } from '../adapters/base-matrices.ts';
import type { AdapterDisk } from '../adapters/disk.ts';
import type { PackedAdapter } from '../adapters/sites.ts';
import { WebLoraError } from '../errors.ts';
import { openFolder, type Folder, type FolderOptions, type HubAccess } from '../formats/folder.ts';
import type { Slices } from '../slices.ts';
import { tellDownload } from './hub-options.ts';
import { sourceAddress, type AdapterEntry } from './adapter-entry.ts';
import { readFolder, stampOf, type AdapterBase } from './adapter-folder.ts';
import type { TierMeter } from './tier-meter.ts';
import type { Progress, Source } from './types.ts';

export interface ReadingParts extends AdapterBase {
  /** Settles an entry that `resolve` is to be asked for. */
  readonly resolve: (entry: AdapterEntry) => Promise<void>;
  readonly disk: AdapterDisk | undefined;
  /** Whether the store is thought to have it, and what memory has. */
  readonly isOnDisk: (digest: string) => boolean;
  readonly inHeap: (digest: string) => PackedAdapter | undefined;
  readonly meter: TierMeter;
  readonly slices: Slices;
  readonly hub: HubAccess;
  /** What the base has where adapters may bring a matrix of their own. */
  readonly base: BaseMatrices;
  /** Throws `adapter_too_large`. */
  checkFits(entry: AdapterEntry, packed: PackedAdapter): void;
}

export interface ReadOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** Bytes in memory, and by which entry they were read. */
export interface ReadBytes {
  readonly entry: AdapterEntry;
  readonly packed: PackedAdapter;
  readonly from: 'heap' | 'disk' | 'origin';
}

/**
 * Reads what these entries stand for: from memory or the store where its bytes are there whole, else from the first origin that gives
 * them. Throws what resolving, opening and reading throw, `store_failed` for bytes that the store lost and that have no origin.
 */
export async function readEntries(parts: ReadingParts, entries: readonly AdapterEntry[], options: ReadOptions): Promise<ReadBytes> {
  const [first] = entries;
  if (!first) throw new WebLoraError('adapter_unknown', 'The adapter was removed before it was read.', { param: 'id' });
  if (first.state === 'asked') await parts.resolve(first);
  options.signal.throwIfAborted();
  const stored = await readStored(parts, first, entries);
  options.signal.throwIfAborted();
  if (stored) return stored;
  let failure: unknown;
  for (const entry of entries) {
    try {
      if (entry.origin === undefined && entry.by === 'resolve') await parts.resolve(entry);
      if (entry.origin === undefined) continue;
      const folder = await openOrigin(parts, entry.origin, 'default', options);
      const packed = await readOrigin(parts, entry, folder, options);
      letGo(entry);
      return { entry, packed, from: 'origin' };
    } catch (error) {
      options.signal.throwIfAborted();
      failure ??= error;
    }
  }
  throw failure ?? lost(entries);
}

/** What `resolve` made for this one read need not stay in memory. */
function letGo(entry: AdapterEntry): void {
  if (entry.by !== 'resolve' || sourceAddress(entry.origin!) !== undefined) return;
  entry.origin = undefined;
  entry.resolving = undefined;
}

/** Opens an entry's origin: what reads as a hub id was settled to be one. `no-cache`: past what the browser has kept of it. */
export function openOrigin(
  { hub }: Pick<ReadingParts, 'hub'>,
  origin: Source,
  cache: FolderOptions['cache'],
  { signal, onProgress }: ReadOptions,
): Promise<Folder> {
  return openFolder(origin, {
    signal,
    cache,
    prefer: 'hub',
    hub,
    download: { of: 'adapter', onProgress: onProgress && tellDownload(onProgress) },
  });
}

/** Reads an origin as it is now, and notes in the entry what was found. */
export async function readOrigin(
  parts: ReadingParts,
  entry: AdapterEntry,
  folder: Folder,
  options: ReadOptions & { readonly stamp?: string | undefined },
): Promise<PackedAdapter> {
  const { meter, slices, checkFits } = parts;
  const began = performance.now();
  try {
    const stamp = options.stamp ?? (await stampOf(folder));
    const packed = await readFolder(folder, parts, { ...options, slices, base: parts.base });
    options.signal.throwIfAborted();
    checkFits(entry, packed);
    const checkedAt = folder.fixed === 'yes' ? Infinity : Date.now();
    Object.assign(entry, { digest: packed.digest, stamp, checkedAt, noted: 'no' });
    meter.asked('origin', 'hit');
    meter.loaded('origin', packed.bytes);
    meter.took('origin', performance.now() - began);
    return packed;
  } catch (error) {
    if (!options.signal.aborted) meter.asked('origin', 'miss');
    throw error;
  }
}

async function readStored(parts: ReadingParts, entry: AdapterEntry, all: readonly AdapterEntry[]): Promise<ReadBytes | undefined> {
  const { disk, isOnDisk, inHeap, meter, checkFits } = parts;
  const { digest } = entry;
  const there = digest === undefined ? undefined : inHeap(digest);
  if (there) return { entry, packed: there, from: 'heap' };
  if (!disk) return undefined;
  const began = performance.now();
  let packed: PackedAdapter | undefined;
  try {
    if (digest !== undefined && isOnDisk(digest)) packed = await disk.read(digest);
  } catch (error) {
    // A store that fails now may answer later, so what nobody else can bring is not given up.
    if (all.every(({ origin, by }) => origin === undefined && by !== 'resolve')) throw error;
  }
  meter.asked('disk', packed ? 'hit' : 'miss');
  if (!packed) return undefined;
  meter.took('disk', performance.now() - began);
  checkFits(entry, packed);
  return { entry, packed, from: 'disk' };
}

function lost(entries: readonly AdapterEntry[]): WebLoraError {
  for (const entry of entries) entry.digest = undefined; // whatever is added under its id takes its place
  const { id, name } = entries[0]!;
  const message = `The stored bytes of "${id}" (${name}) are missing, damaged, or packed for another precision, and it has no address to be fetched from again`;
  return new WebLoraError('store_failed', `${message}. Add it again under the same id.`, { param: 'adapter' });
}

/** What the store is to know of an entry. */
export function recordOf({ id, origin, name, digest, stamp, checkedAt }: AdapterEntry): Parameters<AdapterDisk['note']>[0] {
  const source = origin === undefined ? undefined : sourceAddress(origin);
  return { id, source, name, digest: digest!, stamp, checkedAt: Math.min(checkedAt, Number.MAX_SAFE_INTEGER) };
}
