import { WebLoraError } from '../errors.ts';
import type { HubFile, HubListing } from './hub-list.ts';

/** Bytes of a piece: what is fetched, kept and noted as one. */
export const PIECE_BYTES = 4 << 20;

/** A file that is kept whole. */
export interface StoredFile {
  /** Bytes. */
  readonly size: number;
  /** Bytes `start` to `end` (exclusive), as a folder's `read` gives them. Throws what that throws. */
  read(start: number, end: number, into?: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
}

/** A file that is on its way. Only one holder at a time has it, in all processes and tabs that share the store. */
export interface HubPart {
  /** Numbers of the pieces that are kept; piece i holds the bytes from `i * pieceBytes`. What was kept before a kill is among them. */
  readonly kept: ReadonlySet<number>;
  readonly pieceBytes: number;
  /** Keeps a whole piece, and notes that it is kept when it is. Throws `store_failed`. */
  put(piece: number, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Bytes of pieces that are kept. Throws `store_failed`. */
  read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Forgets all pieces. Throws `store_failed`. */
  clear(): Promise<void>;
  /** All pieces are kept and right: from now on the file is found, at once and as a whole. Throws `store_failed`. */
  finish(): Promise<void>;
  /** Lets go of it; unless it is finished, its pieces stay for whoever asks next. */
  close(): Promise<void>;
}

/** What a file is kept under. */
export interface HubPlace {
  /** `owner/name`. */
  readonly repository: string;
  readonly commit: string;
  readonly file: HubFile;
}

/** One model in a store. */
export interface StoredModel {
  /** `owner/name`. */
  readonly repository: string;
  /** Bytes of its files, each counted once. */
  readonly bytes: number;
  /** Bytes of those that are not whole yet. */
  readonly unfinishedBytes: number;
  readonly revisions: readonly StoredRevision[];
}

/** One commit of a model in a store. */
export interface StoredRevision {
  readonly commit: string;
  /** The branches and tags that were this commit when the hub was last asked. */
  readonly names: readonly string[];
  /** Whole files, and their bytes; commits of one model may share some. */
  readonly files: number;
  readonly bytes: number;
  /** When one of them was last read, in milliseconds since 1970, as far as the file system tells. */
  readonly usedAt: number | undefined;
}

/** Where files of the hub are kept. Methods throw `store_failed` where the disk or the browser refuses. */
export interface HubStore {
  /** What a person would call it, for messages. */
  readonly location: string;
  /** The commit that a revision was when it was last noted. */
  commitOf(repository: string, revision: string): Promise<string | undefined>;
  noteCommit(repository: string, revision: string, commit: string): Promise<void>;
  /** The files of a commit, as they were last noted; undefined also for what is damaged. */
  listing(repository: string, commit: string): Promise<HubListing | undefined>;
  noteListing(listing: HubListing): Promise<void>;
  /** The names of a commit's files that are kept whole. */
  names(repository: string, commit: string): Promise<string[]>;
  /** A file of which only the name is known, as offline without a list of files. */
  findNamed(repository: string, commit: string, name: string): Promise<StoredFile | undefined>;
  /** A whole file, from this commit or from another with the same bytes. One of another size is none. */
  find(place: HubPlace): Promise<StoredFile | undefined>;
  /**
   * Opens what there is of a file that is not whole, and waits for its holder to let go; `whole`: another has finished it meanwhile.
   * Throws the signal's reason.
   */
  openPart(place: HubPlace, pieceBytes: number, signal: AbortSignal | undefined): Promise<HubPart | 'whole'>;
  /** Bytes that can still be kept; undefined where nobody tells. */
  free(): Promise<number | undefined>;
  models(): Promise<StoredModel[]>;
  /** Removes all that is kept of a model, or what only one commit of it has. */
  remove(repository: string, commit?: string): Promise<void>;
}

/** The hash by which a file is kept: SHA-256 where the hub knows it, else git's. */
export function blobName({ sha256, oid }: HubFile): string {
  return sha256 ?? oid;
}

/** What all files of these commits are kept under. */
export function blobsOf(listings: Iterable<HubListing>): Set<string> {
  return new Set([...listings].flatMap(({ files }) => files.map(blobName)));
}

/** The revisions of a store that knows its files by their commits' lists. */
export function revisionsIn(
  listings: Iterable<HubListing>,
  refs: ReadonlyMap<string, string>,
  isWhole: (file: HubFile) => boolean,
): StoredRevision[] {
  return [...listings].map(({ commit, files }) => {
    const whole = files.filter(isWhole);
    const names = [...refs].filter(([, at]) => at === commit).map(([name]) => name);
    return { commit, names, files: whole.length, bytes: whole.reduce((sum, { size }) => sum + size, 0), usedAt: undefined };
  });
}

/** The length of each piece's bytes. */
export function pieceLength(size: number, pieceBytes: number, piece: number): number {
  return Math.min(pieceBytes, size - piece * pieceBytes);
}

/** How many pieces a file has. */
export function pieceCount(size: number, pieceBytes: number): number {
  return Math.ceil(size / pieceBytes);
}

/** The models in a store. Throws `store_failed`. */
export function listModels(store: HubStore): Promise<StoredModel[]> {
  return store.models();
}

/**
 * Removes what a store keeps of a model: files, parts, and what was noted of its revisions; or of one revision, what no other shares.
 *
 * @param id `owner/name`, or the one word that old models have; `@revision` behind it: a branch, a tag, a commit or the beginning of one.
 * @returns bytes that were freed.
 * @throws TypeError for what is no such id. WebLoraError `file_missing` where nothing is kept of it, `store_failed`.
 */
export async function removeModel(store: HubStore, id: string): Promise<number> {
  const [, repository, revision] = /^([A-Za-z0-9][\w.-]*(?:\/[A-Za-z0-9][\w.-]*)?)(?:@(.+))?$/.exec(id) ?? [];
  if (repository === undefined) throw new TypeError(`A model is removed by owner/name or owner/name@revision, not ${JSON.stringify(id)}.`);
  checkStoredName(repository);
  const bytesOf = (model: StoredModel | undefined): number => (model ? model.bytes + model.unfinishedBytes : 0);
  const find = async (): Promise<StoredModel | undefined> => (await store.models()).find((model) => model.repository === repository);
  const before = await find();
  if (!before) throw new WebLoraError('file_missing', `There is no ${repository} in ${store.location}.`);
  await store.remove(repository, revision === undefined ? undefined : commitIn(before, revision, store.location));
  return bytesOf(before) - bytesOf(await find());
}

function commitIn({ repository, revisions }: StoredModel, revision: string, location: string): string {
  const named = revisions.filter(({ names }) => names.includes(revision));
  const found = named.length > 0 ? named : revisions.filter(({ commit }) => revision.length >= 4 && commit.startsWith(revision));
  if (found.length === 1) return found[0]!.commit;
  const there = revisions.map(({ commit, names }) => [commit.slice(0, 8), ...names].join(' ')).join(', ') || 'none';
  const why = found.length > 1 ? 'several revisions' : 'no revision';
  throw new WebLoraError('file_missing', `${repository} has ${why} ${revision} in ${location}; there are: ${there}.`);
}

/** Throws `TypeError` for a repository whose name the hub's cache cannot tell from another's; the hub itself has no such names. */
export function checkStoredName(repository: string): void {
  if (/--|\.\./.test(repository)) throw new TypeError(`${JSON.stringify(repository)} is no hub id: the hub has no names with -- or "..".`);
}

/** The error where there is no room. */
export function noRoom(location: string, file: string, needed: number, free: number | undefined, cause?: unknown): WebLoraError {
  const there = free === undefined ? 'there is less' : `there are ${inBytes(free)}`;
  const message = `${file} needs ${inBytes(needed)} more in ${location}, and ${there}: remove models that are no longer used, or make room.`;
  return new WebLoraError('store_failed', message, { cause });
}

/** `1234567 bytes (1.2 MB)`. */
function inBytes(bytes: number): string {
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), 4);
  const short = power === 0 ? '' : ` (${(bytes / 1000 ** power).toFixed(1)} ${['', 'kB', 'MB', 'GB', 'TB'][power]})`;
  return `${bytes} bytes${short}`;
}

/** What a store throws, whatever was thrown below it. */
export function hubStoreFailed(location: string, what: string, cause: unknown): WebLoraError {
  if (cause instanceof WebLoraError) return cause;
  const why = cause instanceof Error ? cause.message || cause.name : String(cause);
  return new WebLoraError('store_failed', `${location} failed to ${what}: ${why}`, { cause });
}

const FULL: readonly unknown[] = ['QuotaExceededError', 'ENOSPC', 'EDQUOT'];

/** Whether something failed because there is no room. */
export function isFull(error: unknown): boolean {
  for (let next = error, depth = 0; typeof next === 'object' && next !== null && depth < 8; depth++) {
    const { name, code, cause } = next as { readonly name?: unknown; readonly code?: unknown; readonly cause?: unknown };
    if (FULL.includes(name) || FULL.includes(code)) return true;
    next = cause;
  }
  return false;
}
