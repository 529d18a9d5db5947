import type { Slices } from '../slices.ts';
import type { BlobRecord, KnownAdapter } from './records.ts';
import type { PackedAdapter, SiteTable } from './sites.ts';

/** An adapter's bytes in the store. */
export interface HeldBlob extends Pick<BlobRecord, 'key' | 'digest' | 'rank' | 'bytes' | 'stored' | 'widest' | 'apart' | 'unblendable'> {
  /** Whether this model can use them: of its sites, in its precision and layout. */
  readonly own: 'yes' | 'no';
  /**
   * `copy`: an id is known for it that has no address to read it from again, or this engine wrote it as such and has not noted the id yet.
   */
  readonly only: 'copy' | undefined;
}

/** What was found to be otherwise than the owner knew. */
export interface DiskChange {
  /** Keys of blobs that have left the store. */
  readonly gone: readonly string[];
  readonly held: readonly HeldBlob[];
}

/** Who decides what the store keeps. */
export interface DiskOwner {
  /**
   * Others added or removed blobs, or bytes were found damaged or gone, or were deleted with the last id that names them; or a blob has
   * become, or is no longer, the only copy.
   */
  change(change: DiskChange): void;
  /** There is no room for so many bytes: keys of the blobs to drop now, which count as gone from then on. None: nothing may leave. */
  shrink(bytes: number): readonly string[];
}

export interface DiskCounters {
  readonly failures: number;
  readonly lastFailure?: string;
}

/** The adapters of one model in a store. */
export interface AdapterDisk {
  /** As of the start, of this model. Only records were read, no adapter's bytes. */
  readonly known: readonly KnownAdapter[];
  /** As of the start, of every model in the store, least recently used first. */
  readonly held: readonly HeldBlob[];
  /** Under which key this model's blob of a digest lies, and how many bytes the store will hold of an adapter. */
  key(digest: string): string;
  stored(packed: PackedAdapter): number;
  /**
   * A stored adapter, or one whose write is under way; undefined where its bytes are missing or are not the ones that were written, which
   * are then deleted: the owner is told. Throws `store_failed`.
   */
  read(digest: string): Promise<PackedAdapter | undefined>;
  /**
   * Keeps an adapter's bytes. They are safe when the promise is fulfilled. Where the store is full the owner is asked for room, once.
   * `copy`: they are the only copy until an id is noted for them, or the store is opened again. Throws `store_failed`.
   */
  write(packed: PackedAdapter, only: 'copy' | undefined): Promise<void>;
  /** Keeps what is known of an adapter, in place of what was known of its id: the digest of that. Throws `store_failed`. */
  note(adapter: KnownAdapter): Promise<string | undefined>;
  /** Deletes blobs. Ids that name them stay known. Throws `store_failed`. */
  drop(keys: readonly string[]): Promise<void>;
  /**
   * Deletes what is known of an id, and its bytes where nobody else names them: the owner is told. `keep`: somebody still needs the bytes,
   * which stay what they were until `release`. Throws `store_failed`.
   */
  forget(id: string, blobs: 'keep' | 'delete'): Promise<void>;
  /**
   * Deletes the bytes of a digest, in whatever layout and precision, where no id names them any more: the owner is told. Throws
   * `store_failed`.
   */
  release(digest: string): Promise<void>;
  /** Fulfilled when every write and deletion so far has come to its end. */
  settled(): Promise<void>;
  counters(): DiskCounters;
}

export interface DiskModel {
  readonly table: SiteTable;
  /** Where the model was opened, whole: keeps models of one shape apart, also those whose addresses end alike. */
  readonly location: string;
  readonly precision: 'exact' | 'half';
  /** Shared by all who compute at the same time. Default: slices of 4 ms of its own. */
  readonly slices?: Slices | undefined;
}
