import { WebLoraError } from '../errors.ts';
import { connectionGate } from './download-gate.ts';
import type { Gate } from './download-gate.ts';
import { fileHash } from './download-hash.ts';
import { downloadFile } from './download.ts';
import { checkByteRange, checkFileName, fileLocation, fileMissing } from './folder-contract.ts';
import type { Folder } from './folder-contract.ts';
import { anyHash } from './hash.ts';
import type { HashMaker } from './hash.ts';
import { hubSite } from './hub-access.ts';
import type { HubAccess, HubSite } from './hub-access.ts';
import { fly } from './hub-flights.ts';
import { isSet } from './hub-home.ts';
import { isCommit } from './hub-id.ts';
import { findCommit, listCommit } from './hub-list.ts';
import type { HubFile, HubListing } from './hub-list.ts';
import { plannedFiles, sumProgress } from './hub-plan.ts';
import type { FileProgress, HubProgress, HubUse } from './hub-plan.ts';
import { isGivenUp, patience as patienceOf } from './hub-retry.ts';
import type { Clock, Patience } from './hub-retry.ts';
import { hubSource } from './hub-source.ts';
import { blobName, checkStoredName, isFull, noRoom, PIECE_BYTES, pieceLength } from './hub-store.ts';
import type { HubPart, HubPlace, HubStore, StoredFile } from './hub-store.ts';

export interface CachedHubOptions {
  /** Where files are kept. */
  readonly store: HubStore;
  /** What the repository is read as, by which progress knows what is to come. Default `model`. */
  readonly use?: HubUse | undefined;
  /** Ends downloads and requests; what waits for one throws the signal's reason. What was fetched by then is kept. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Told of every file that is fetched, from its first byte to its last, and from 0 again where wrong bytes came. What it throws, the
   * read that waits throws.
   */
  readonly onProgress?: ((progress: HubProgress) => void) | undefined;
  /** `never`: only what the store keeps is used. Default `when needed`; `never` where the environment sets `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`. */
  readonly network?: 'when needed' | 'never' | undefined;
  /** Hashes bytes as they come. Default: the runtime's own in Node and Deno, a library's elsewhere. */
  readonly hash?: HashMaker | undefined;
  /** What else was tried before the text was taken for a hub id, as a sentence for messages. */
  readonly tried?: string | undefined;
  /** Time, for tests. */
  readonly clock?: Clock | undefined;
  /** Bytes of a piece, for tests. */
  readonly pieceBytes?: number | undefined;
  /** Milliseconds without a byte after which a request counts as failed. Default 30 s. */
  readonly stall?: number | undefined;
  /** Failures in a row after which the hub is given up. Default 6. */
  readonly failures?: number | undefined;
}

/** Files fetched at the same time share these. */
const CONNECTIONS = 4;
/** Failures in a row after which a hub that did not answer before is given up. */
const AWAY_FAILURES = 3;

/** What one opened folder's functions share. */
interface Cached {
  readonly site: HubSite;
  readonly store: HubStore;
  readonly options: CachedHubOptions;
  readonly patience: Patience;
  readonly gate: Gate;
}

/** A commit and what is known of its files. */
interface Opened {
  readonly commit: string;
  /** Undefined offline, where nobody noted them. */
  readonly listing: HubListing | undefined;
  /** Why the hub was not asked or did not answer. */
  readonly offline: WebLoraError | undefined;
}

/** Adds up files' progress. */
type Sum = (progress: FileProgress) => HubProgress;

/**
 * A model on the hub whose files are kept: each is fetched whole when it is first read, checked against the hub's hash, and read from the
 * store from then on, by whoever opens it. The revision is asked for once, when the first file is; where the hub cannot be reached, the
 * commit that it last was serves, with the files that are there. Sizes are known without fetching.
 *
 * Throws `TypeError` for what is no hub id, endpoint or token. Reading throws `file_missing` for what is not there, `file_unreadable` for
 * what may not be read and where the hub does not answer, `file_corrupt` for bytes that are wrong twice, `file_invalid` for a server that
 * is no hub, and `store_failed` where they cannot be kept, with the bytes that are needed and those that are there.
 */
export function openCachedHubFolder(text: string, access: HubAccess | undefined, options: CachedHubOptions): Folder {
  const { store } = options;
  const site = hubSite(text, access, options.tried);
  const { repository, revision, gguf } = site.id;
  checkStoredName(repository);
  const cached: Cached = { site, store, options, patience: patienceOf(options), gate: connectionGate(CONNECTIONS) };
  let opening: Promise<Opened & { readonly sum: Sum }> | undefined;
  const open = (): NonNullable<typeof opening> => {
    if (opening) return opening;
    opening = openCommit(cached).then(async (opened) => ({ ...opened, sum: await sumOf(cached, opened) }));
    opening.catch(() => (opening = undefined)); // asked again next time
    return opening;
  };
  const files = new Map<string, Promise<StoredFile | undefined>>();
  /** The file, fetched where it has to be; undefined where there is none. */
  const fetched = (name: string): Promise<StoredFile | undefined> => {
    const known = files.get(name);
    if (known) return known;
    const file = open().then((opened) => bring(cached, opened, name));
    files.set(name, file);
    file.catch(() => files.delete(name));
    return file;
  };
  const location = revision === undefined ? repository : `${repository}@${revision}`;
  return {
    location,
    gguf,
    fixed: isCommit(revision) ? 'yes' : 'no',
    names: async () => {
      const { commit, listing } = await open();
      return listing ? listing.files.map(({ name }) => name) : store.names(repository, commit);
    },
    fetch: async (names) => {
      names.forEach(checkFileName);
      await Promise.all(names.map(fetched));
    },
    size: async (name) => {
      checkFileName(name);
      const { commit, listing } = await open();
      if (listing) return fileIn(listing, name)?.size;
      return (await store.findNamed(repository, commit, name))?.size;
    },
    read: async (name, start, end, into) => {
      checkFileName(name);
      checkByteRange(start, end);
      const file = await fetched(name);
      if (!file) throw fileMissing(fileLocation({ location }, name));
      return file.read(start, end, into);
    },
    stamp: async () => (await open()).commit,
  };
}

function fileIn(listing: HubListing, name: string): HubFile | undefined {
  return listing.files.find((file) => file.name === name);
}

async function openCommit(cached: Cached): Promise<Opened> {
  const { site, store, options } = cached;
  const { repository, revision = 'main' } = site.id;
  const last = isCommit(revision) ? revision : await store.commitOf(repository, revision);
  const noted = last === undefined ? undefined : await store.listing(repository, last);
  if (isCommit(revision) && noted) return { commit: revision, listing: noted, offline: undefined };
  const kept = last !== undefined && (await store.names(repository, last)).length > 0 ? last : undefined;
  const fallBack = (why: WebLoraError): Opened => {
    if (kept === undefined) throw options.tried ? new WebLoraError(why.code, `${options.tried} ${why.message}`, { cause: why }) : why;
    return { commit: kept, listing: noted, offline: why };
  };
  if (isNetworkOff(options)) {
    const off = 'the hub is not to be asked (HF_HUB_OFFLINE, or the option network)';
    const message = kept === undefined ? `${repository} (${revision}) is not in ${store.location}, and ${off}.` : off;
    return fallBack(new WebLoraError('file_unreadable', message));
  }
  // With something to fall back on, nobody waits for a hub that is away.
  const patient =
    kept === undefined ? cached.patience : { ...cached.patience, failures: 1, stall: Math.min(cached.patience.stall, 10_000) };
  try {
    const commit = await findCommit(site, patient);
    const known = commit === last ? noted : await store.listing(repository, commit);
    const listing = known ?? (await listCommit(site, commit, patient));
    await note(store, known ? undefined : listing, { repository, revision, commit, last });
    return { commit, listing, offline: undefined };
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!isGivenUp(error)) throw error;
    return fallBack(error);
  }
}

/** What a store that is only to be read cannot note is asked for again. */
async function note(
  store: HubStore,
  listing: HubListing | undefined,
  { repository, revision, commit, last }: { repository: string; revision: string; commit: string; last: string | undefined },
): Promise<void> {
  if (listing) await store.noteListing(listing).catch(() => undefined);
  if (!isCommit(revision) && commit !== last) await store.noteCommit(repository, revision, commit).catch(() => undefined);
}

function isNetworkOff({ network }: CachedHubOptions): boolean {
  return network === undefined ? isSet('HF_HUB_OFFLINE') || isSet('TRANSFORMERS_OFFLINE') : network === 'never';
}

/** Finds a file in the store, or fetches it. */
async function bring(
  cached: Cached,
  { commit, listing, offline, sum }: Opened & { readonly sum: Sum },
  name: string,
): Promise<StoredFile | undefined> {
  const { site, store, options } = cached;
  const { repository } = site.id;
  if (!listing) return store.findNamed(repository, commit, name);
  const file = fileIn(listing, name);
  if (!file) return undefined;
  const place: HubPlace = { repository, commit, file };
  const there = await store.find(place);
  if (there) return there;
  const unreachable = (why: WebLoraError): WebLoraError => {
    const message = `${fileLocation({ location: repository }, name)} is not in ${store.location}, and the hub cannot be asked: ${why.message}`;
    return new WebLoraError(why.code, message, { cause: why });
  };
  if (offline && isNetworkOff(options)) throw unreachable(offline);
  // A hub that did not answer when it was asked for the commit may be back.
  const patient = offline ? { ...cached.patience, failures: AWAY_FAILURES } : cached.patience;
  const key = `${repository}/${blobName(file)}/${name}`;
  const work = (signal: AbortSignal, onBytes: (loaded: number) => void): Promise<void> =>
    fetchFile({ ...cached, patience: { ...patient, signal } }, place, onBytes);
  const onBytes = (loadedBytes: number): void => options.onProgress?.(sum({ file: name, loadedBytes, totalBytes: file.size }));
  await fly(store, key, work, { signal: options.signal, onBytes }).catch((error: unknown) => {
    throw offline && isGivenUp(error) ? unreachable(error) : error;
  });
  const found = await store.find(place);
  if (found) return found;
  throw new WebLoraError('store_failed', `${store.location} lost ${name} as soon as it was there: was the model removed meanwhile?`);
}

/** What is needed and not there is in the total from the start. */
async function sumOf({ site, store, options }: Cached, { commit, listing }: Opened): Promise<Sum> {
  const { repository, gguf } = site.id;
  const missing = new Map<string, number>();
  for (const name of options.onProgress && listing ? plannedFiles(listing, options.use ?? 'model', gguf) : []) {
    const file = fileIn(listing!, name)!;
    if (!(await store.find({ repository, commit, file }))) missing.set(name, file.size);
  }
  return sumProgress(missing);
}

async function fetchFile(cached: Cached, place: HubPlace, onBytes: (loaded: number) => void): Promise<void> {
  const { site, store, options, gate, patience } = cached;
  const { file, commit } = place;
  const hashes = options.hash ?? anyHash();
  const part = await store.openPart(place, options.pieceBytes ?? PIECE_BYTES, patience.signal);
  if (part === 'whole') return;
  try {
    await checkRoom(store, part, file);
    const source = hubSource(site, commit, file.name, patience);
    await downloadFile(source, part, { size: file.size, hash: fileHash(file), hashes, gate, patience, onBytes });
  } catch (error) {
    if (!isFull(error)) throw error;
    throw noRoom(store.location, file.name, missingBytes(part, file), await store.free().catch(() => undefined), error);
  } finally {
    await part.close();
  }
}

async function checkRoom(store: HubStore, part: HubPart, file: HubFile): Promise<void> {
  const needed = missingBytes(part, file);
  const free = await store.free();
  if (free !== undefined && needed > free) throw noRoom(store.location, file.name, needed, free);
}

function missingBytes({ kept, pieceBytes }: HubPart, { size }: HubFile): number {
  let missing = size;
  for (const piece of kept) missing -= pieceLength(size, pieceBytes, piece);
  return missing;
}
