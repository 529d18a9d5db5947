import type { Slices } from '../slices.ts';
import type { DiskModel, DiskOwner, HeldBlob } from './disk-contract.ts';
import type { DiskIndex } from './disk-index.ts';
import type { CountFailure, Turns } from './disk-turns.ts';
import type { BlobRecord } from './records.ts';
import type { PackedAdapter } from './sites.ts';
import type { Store, StoreKeys } from './store.ts';

/** What reading and changing the store share. */
export interface DiskParts {
  readonly store: Store;
  readonly model: DiskModel;
  readonly keys: StoreKeys;
  readonly index: DiskIndex;
  readonly slices: Slices;
  readonly fail: CountFailure;
  readonly on: DiskOwner;
  readonly turns: Turns;
  /** Adapters whose write is under way or waits for its turn, by digest. */
  readonly writing: Map<string, PackedAdapter>;
  /** How many deletions that the owner asked for wait for a blob: for the owner it is gone. */
  readonly leaving: Map<string, number>;
  /** Blobs whose use is to be noted. */
  readonly used: Set<string>;
}

/** A record as the owner sees it. */
export function heldBlob({ keys, index }: DiskParts, { sha256: _sha256, usedAt: _usedAt, ...blob }: BlobRecord): HeldBlob {
  return { ...blob, own: blob.key === keys.blob(blob.digest) ? 'yes' : 'no', only: index.only(blob.key) };
}

/** Tells the owner what is otherwise than it knew, where there is anything. */
export function tell(parts: DiskParts, gone: readonly string[], found: readonly BlobRecord[]): void {
  const held = found.filter(({ key }) => !parts.leaving.has(key)).map((record) => heldBlob(parts, record));
  if (gone.length + held.length > 0) parts.on.change({ gone, held });
}
