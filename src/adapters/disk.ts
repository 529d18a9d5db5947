import { openIndex, unreadIndex } from './disk-index.ts';
import type { DiskIndex } from './disk-index.ts';
import type { AdapterDisk, DiskModel, DiskOwner } from './disk-contract.ts';
import { dropBlobs, forgetAdapter, noteAdapter, readBlob, releaseBlob, writeBlob } from './disk-changes.ts';
import { heldBlob, tell } from './disk-parts.ts';
import type { DiskParts } from './disk-parts.ts';
import { createTurns, failureCounter } from './disk-turns.ts';
import type { CountFailure, Counters } from './disk-turns.ts';
import { createSlices } from '../slices.ts';
import { sha256 } from './digest.ts';
import { hashSiteTable, LAYOUT_VERSION, storedBytes } from './stored-adapter.ts';
import { answered, storeKeys } from './store.ts';
import type { Store, StoreKeys } from './store.ts';

export type { AdapterDisk, DiskChange, DiskCounters, DiskModel, DiskOwner, HeldBlob } from './disk-contract.ts';
export type { KnownAdapter } from './records.ts';

/**
 * Opens the part of a store that belongs to a model: reads the records and sweeps what crashes left. A store that cannot be read counts as
 * empty: the engine starts all the same, and `counters` tells. Changes run one after the other, in the order of the calls, each alone
 * among all tabs and processes that share the store. The owner hears of nothing before this is fulfilled.
 */
export async function openAdapterDisk(store: Store, model: DiskModel, on: DiskOwner): Promise<AdapterDisk> {
  const keys = await keysOf(model);
  const counters: Counters = { failures: 0 };
  const fail = failureCounter(counters);
  const index = await open(store, keys, fail);
  const slices = model.slices ?? createSlices();
  const found = index.blobs().toSorted((a, b) => a.usedAt - b.usedAt || (a.key < b.key ? -1 : 1));
  const turns = createTurns(store, index, fail, ({ gone, added }) => tell(parts, gone, added));
  const parts: DiskParts = { store, model, keys, index, slices, fail, on, turns, writing: new Map(), leaving: new Map(), used: new Set() };
  return {
    known: index.known,
    held: found.map((record) => heldBlob(parts, record)),
    key: keys.blob,
    stored: storedBytes,
    read: (digest) => readBlob(parts, digest),
    write: (packed, only) => writeBlob(parts, packed, only),
    note: (adapter) => noteAdapter(parts, adapter),
    drop: (blobs) => dropBlobs(parts, blobs),
    forget: (id, blobs) => answered(forgetAdapter(parts, id, blobs), FORGET_MS),
    release: (digest) => releaseBlob(parts, digest),
    settled: turns.settled,
    counters: () => ({ ...counters }),
  };
}

async function keysOf({ table, location, precision }: DiskModel): Promise<StoreKeys> {
  const [shape, model] = await Promise.all([hashSiteTable(table), sha256(new TextEncoder().encode(location))]);
  return storeKeys({ shape, model, layoutVersion: LAYOUT_VERSION, precision });
}

/** Milliseconds for which the start waits until nobody else works on the store, and until its records are listed. */
const TURN_MS = 10_000;
const LISTING_MS = 30_000;
/** Who forgets an adapter is told where that takes longer; it is done all the same once the store goes on. */
const FORGET_MS = 60_000;

/** A store that can be read and not locked, such as a folder that is mounted read-only, is only looked at. None keeps the engine from starting. */
async function open(store: Store, keys: StoreKeys, fail: CountFailure): Promise<DiskIndex> {
  const failed = (error: unknown): void => void fail('The adapters in the store cannot be listed', error);
  const list = (mode: 'sweep' | 'look'): Promise<DiskIndex> => answered(openIndex(store, keys, mode, failed), LISTING_MS);
  let state: 'waiting' | 'begun' | 'left' = 'waiting';
  try {
    let begin = (): void => undefined;
    const beginning = new Promise<void>((resolve) => (begin = resolve));
    const listing = store.exclusive(async () => {
      if (state === 'left') return undefined;
      state = 'begun';
      begin();
      return list('sweep');
    });
    await answered(Promise.race([beginning, listing]), TURN_MS);
    return (await listing)!;
  } catch (error) {
    failed(error);
    const begun = (state as string) === 'begun';
    state = 'left';
    return begun ? unreadIndex(store, keys) : list('look').catch(() => unreadIndex(store, keys));
  }
}
