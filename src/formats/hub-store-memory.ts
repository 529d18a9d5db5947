import type { HubFile, HubListing } from './hub-list.ts';
import { checkByteRange, fileTruncated } from './folder-contract.ts';
import { blobName, blobsOf, noRoom, pieceCount, revisionsIn } from './hub-store.ts';
import type { HubPart, HubPlace, HubStore, StoredFile, StoredModel } from './hub-store.ts';
import { whenFree } from './hub-turns.ts';

type Bytes = Uint8Array<ArrayBuffer>;

/** What is kept of one repository. */
interface Kept {
  readonly refs: Map<string, string>;
  readonly listings: Map<string, HubListing>;
  readonly whole: Map<string, Bytes>;
  readonly parts: Map<string, { readonly pieces: Map<number, Bytes>; readonly pieceBytes: number }>;
}

/**
 * A store in memory: gone with the page or the process.
 *
 * @param most bytes that it takes; unlimited by default.
 */
export function memoryHubStore(most = Infinity): HubStore {
  const location = 'memory';
  const kept = new Map<string, Kept>();
  const turns = new Map<string, Promise<void>>();
  const of = (repository: string): Kept => {
    const found = kept.get(repository) ?? { refs: new Map(), listings: new Map(), whole: new Map(), parts: new Map() };
    kept.set(repository, found);
    return found;
  };
  const free = (): number => most - [...kept.values()].reduce((sum, one) => sum + wholeBytes(one) + partBytes(one), 0);
  const find = (repository: string, file: HubFile | undefined): StoredFile | undefined => {
    const bytes = file && kept.get(repository)?.whole.get(blobName(file));
    return bytes && bytes.length === file.size ? stored(bytes, file.name) : undefined;
  };
  const openPart = async ({ repository, file }: HubPlace, pieceBytes: number, signal?: AbortSignal): Promise<HubPart | 'whole'> => {
    const name = blobName(file);
    const release = await whenFree(turns, `${repository}/${name}`, signal);
    if (find(repository, file)) return (release(), 'whole');
    const { parts, whole } = of(repository);
    const old = parts.get(name);
    const { pieces } = old?.pieceBytes === pieceBytes ? old : { pieces: new Map<number, Bytes>() };
    parts.set(name, { pieces, pieceBytes });
    const noted = new Set(pieces.keys());
    const joined = (): Bytes => {
      const bytes = new Uint8Array(file.size);
      for (const [piece, part] of pieces) bytes.set(part, piece * pieceBytes);
      return bytes;
    };
    return {
      kept: noted,
      pieceBytes,
      put: async (piece, bytes) => {
        if (bytes.length > free()) throw noRoom(location, file.name, bytes.length, free());
        pieces.set(piece, bytes.slice());
        noted.add(piece);
      },
      read: async (start, end) => {
        const bytes = new Uint8Array(end - start);
        for (let at = start; at < end;) {
          const piece = Math.floor(at / pieceBytes);
          const some = pieces.get(piece)!.subarray(at - piece * pieceBytes, end - piece * pieceBytes);
          bytes.set(some, at - start);
          at += some.length;
        }
        return bytes;
      },
      clear: async () => {
        pieces.clear();
        noted.clear();
      },
      finish: async () => {
        if (pieces.size !== pieceCount(file.size, pieceBytes)) throw new RangeError(`${file.name} is not whole yet`);
        whole.set(name, joined());
        parts.delete(name);
      },
      close: async () => release(),
    };
  };
  return {
    location,
    commitOf: async (repository, revision) => kept.get(repository)?.refs.get(revision),
    noteCommit: async (repository, revision, commit) => void of(repository).refs.set(revision, commit),
    listing: async (repository, commit) => kept.get(repository)?.listings.get(commit),
    noteListing: async (listing) => void of(listing.repository).listings.set(listing.commit, listing),
    names: async (repository, commit) => {
      const files = kept.get(repository)?.listings.get(commit)?.files ?? [];
      return files.filter((file) => find(repository, file)).map(({ name }) => name);
    },
    findNamed: async (repository, commit, name) =>
      find(
        repository,
        kept
          .get(repository)
          ?.listings.get(commit)
          ?.files.find((file) => file.name === name),
      ),
    find: async ({ repository, file }) => find(repository, file),
    openPart,
    free: async () => (most === Infinity ? undefined : free()),
    models: async () =>
      [...kept].map(([repository, one]): StoredModel => ({
        repository,
        bytes: wholeBytes(one),
        unfinishedBytes: partBytes(one),
        revisions: revisionsIn(one.listings.values(), one.refs, (file) => one.whole.has(blobName(file))),
      })),
    remove: async (repository, commit) => {
      const one = kept.get(repository);
      if (commit !== undefined) one?.listings.delete(commit);
      if (!one || commit === undefined || one.listings.size === 0) return void kept.delete(repository);
      for (const [name, at] of one.refs) if (at === commit) one.refs.delete(name);
      const needed = blobsOf(one.listings.values());
      for (const blob of one.whole.keys()) if (!needed.has(blob)) one.whole.delete(blob);
      for (const blob of one.parts.keys()) if (!needed.has(blob)) one.parts.delete(blob);
    },
  };
}

function wholeBytes({ whole }: Kept): number {
  return [...whole.values()].reduce((sum, bytes) => sum + bytes.length, 0);
}

function partBytes({ parts }: Kept): number {
  return [...parts.values()].reduce((sum, { pieces }) => [...pieces.values()].reduce((all, bytes) => all + bytes.length, sum), 0);
}

function stored(bytes: Bytes, name: string): StoredFile {
  return {
    size: bytes.length,
    read: async (start, end) => {
      checkByteRange(start, end);
      if (end > bytes.length) throw fileTruncated(name, end, bytes.length);
      return bytes.slice(start, end);
    },
  };
}
