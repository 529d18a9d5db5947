import type { AdapterDisk } from '../adapters/disk.ts';
import type { PackedAdapter, SiteTable } from '../adapters/sites.ts';
import { loadPart, WebLoraError } from '../errors.ts';
import { openFolder } from '../formats/folder.ts';
import { sourceAddress, type AdapterEntry } from './adapter-entry.ts';
import type { AdapterRegistry } from './adapter-registry.ts';
import type { EventHub } from './events.ts';

export interface ReadingParts {
  readonly registry: AdapterRegistry;
  readonly disk: AdapterDisk | undefined;
  readonly events: EventHub;
  readonly table: SiteTable;
  readonly precision: 'exact' | 'half';
  /** Throws `adapter_too_large`. */
  checkFits(entry: AdapterEntry, packed: PackedAdapter): void;
}

/**
 * Reads an entry: from the store where it has the bytes whole, else from its origin, which are then kept in the store beside whatever
 * else goes on. Throws what resolving, opening and reading throw, `store_failed` for bytes that the store lost and that have no origin.
 */
export async function readEntry(parts: ReadingParts, entry: AdapterEntry, signal: AbortSignal): Promise<PackedAdapter> {
  const { registry, table, precision, checkFits } = parts;
  if (entry.state === 'asked') await registry.resolve(entry);
  signal.throwIfAborted();
  const stored = await readStored(parts, entry);
  signal.throwIfAborted();
  if (stored) {
    checkFits(entry, stored);
    entry.packed = stored;
    return stored;
  }
  if (entry.origin === undefined) throw lost(entry);
  const { readAdapter } = await loadPart(() => import('../adapters/adapter.ts'));
  const packed = await readAdapter(await openFolder(entry.origin, signal), table, precision, signal);
  signal.throwIfAborted();
  checkFits(entry, packed);
  entry.packed = packed;
  if (registry.isCurrent(entry)) void keep(parts, entry, packed);
  return packed;
}

async function readStored({ disk }: ReadingParts, entry: AdapterEntry): Promise<PackedAdapter | undefined> {
  if (!disk || !entry.blob) return undefined;
  try {
    const packed = await disk.read(entry.blob);
    if (!packed) entry.blob = undefined;
    return packed;
  } catch (error) {
    // A store that fails now may answer later, so what has no other origin is not given up.
    if (entry.origin === undefined) throw error;
    return undefined;
  }
}

function lost({ id, name }: AdapterEntry): WebLoraError {
  const message = `The stored bytes of "${id}" (${name}) are missing, damaged, or packed for another precision, and it has no address to be fetched from again`;
  return new WebLoraError('store_failed', `${message}. Add it again under the same id.`, { param: 'adapter' });
}

/** Keeps an adapter in the store. Whoever asked for the adapter is served already, so a failure is told as an event and in `stats`. */
async function keep({ disk, events }: ReadingParts, entry: AdapterEntry, packed: PackedAdapter): Promise<void> {
  if (!disk) return;
  const { id, name, origin } = entry;
  try {
    const source = origin === undefined ? undefined : sourceAddress(origin);
    entry.blob = await disk.write({ id, name, source }, packed);
    events.adapter('store', id, packed.bytes);
  } catch (error) {
    events.adapter('store_failed', id, packed.bytes, error instanceof Error ? error.message : String(error));
  }
}
