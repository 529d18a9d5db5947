import { checkByteRange, fileTruncated } from './folder-contract.ts';
import { entriesIn, folderAt, fileAt, readText, writeFile } from './hub-opfs-files.ts';
import type { Directory } from './hub-opfs-files.ts';
import { isCommit } from './hub-id.ts';
import type { HubFile, HubListing } from './hub-list.ts';
import { blobName, blobsOf, hubStoreFailed, pieceCount, pieceLength, revisionsIn } from './hub-store.ts';
import type { HubPart, HubPlace, HubStore, StoredFile, StoredModel } from './hub-store.ts';
import { parseTree, treeText } from './hub-trees.ts';
import { whenFree } from './hub-turns.ts';

/** In a blob's folder: `SIZE PIECEBYTES`, and that the pieces were checked. */
const [LAYOUT, WHOLE] = ['layout', 'whole'];

type Call = <T>(what: string, work: () => Promise<T>) => Promise<T>;

/** What the functions of one store share. */
interface Opfs {
  readonly name: string;
  readonly open: () => Promise<Directory>;
  readonly call: Call;
}

/**
 * A store in the page's own files (OPFS): there after a reload, without the network. Every piece is a file of its own, so what was fetched
 * before the page was closed is there when it comes back. Tabs and workers of the origin share it, in turns that the browser gives.
 * Browsers may clear it when room is short, unless the page asks for `navigator.storage.persist()`.
 *
 * (The Cache API, the other place for gigabytes, keeps a response as a whole or not at all.)
 *
 * @param name the folder in the origin's files.
 * @param root where that folder lies. Default: the origin's own.
 */
export function opfsHubStore(name = 'weblora-hub', root?: () => Promise<Directory>): HubStore {
  const location = `the browser's storage (${name})`;
  const call: Call = (what, work) =>
    work().catch((cause: unknown) => {
      throw hubStoreFailed(location, what, cause);
    });
  const open = async (): Promise<Directory> => {
    const top = root ? await root() : await globalThis.navigator.storage.getDirectory();
    return top.getDirectoryHandle(name, { create: true });
  };
  const opfs: Opfs = { name, open, call };
  const listing = (repository: string, commit: string): Promise<HubListing | undefined> =>
    call(`read the files of ${repository}`, async () => {
      const text = await readText(await folderAt(await open(), [repositoryKey(repository), 'trees']), `${commit}.json`);
      const files = text === undefined ? undefined : parseTree(text);
      return files && { repository, commit, files };
    });
  const findNamed = async (repository: string, commit: string, file: string): Promise<StoredFile | undefined> => {
    const found = (await listing(repository, commit))?.files.find((one) => one.name === file);
    return found && findBlob(opfs, repository, found);
  };
  return {
    location,
    commitOf: (repository, revision) =>
      call(`read the commit of ${repository}`, async () => {
        const text = await readText(await folderAt(await open(), [repositoryKey(repository), 'refs']), encodeURIComponent(revision));
        return isCommit(text) ? text : undefined;
      }),
    noteCommit: (repository, revision, commit) =>
      call(`note the commit of ${repository}`, async () =>
        writeFile(await folderAt(await open(), [repositoryKey(repository), 'refs'], 'make'), encodeURIComponent(revision), commit),
      ),
    listing,
    noteListing: (listing) =>
      call(`note the files of ${listing.repository}`, async () => {
        const folder = await folderAt(await open(), [repositoryKey(listing.repository), 'trees'], 'make');
        await writeFile(folder, `${listing.commit}.json`, treeText(listing));
      }),
    names: async (repository, commit) => {
      const names: string[] = [];
      for (const file of (await listing(repository, commit))?.files ?? []) {
        if (await findBlob(opfs, repository, file)) names.push(file.name);
      }
      return names;
    },
    findNamed,
    find: ({ repository, file }) => findBlob(opfs, repository, file),
    openPart: (place, pieceBytes, signal) => openPart(opfs, place, pieceBytes, signal),
    free: async () => {
      const { quota, usage } = (await globalThis.navigator?.storage?.estimate?.()) ?? {};
      return quota === undefined || usage === undefined ? undefined : Math.max(0, quota - usage);
    },
    models: () => call('list models', () => models(opfs)),
    remove: (repository, commit) => call(`remove ${repository}`, () => remove(opfs, repository, commit)),
  };
}

function repositoryKey(repository: string): string {
  return `models--${repository.replace('/', '--')}`;
}

function blobFolder({ open }: Opfs, repository: string, file: HubFile, make?: 'make'): Promise<Directory | undefined> {
  return open().then((top) => folderAt(top, [repositoryKey(repository), 'blobs', blobName(file)], make));
}

function findBlob(opfs: Opfs, repository: string, file: HubFile): Promise<StoredFile | undefined> {
  return opfs.call(`look for ${file.name}`, async () => {
    const folder = await blobFolder(opfs, repository, file);
    const [size, pieceBytes] = ((await readText(folder, WHOLE)) ?? '').split(' ').map(Number);
    if (!folder || size !== file.size || !Number.isSafeInteger(pieceBytes) || pieceBytes! <= 0) return undefined;
    const read = (start: number, end: number): Promise<Uint8Array<ArrayBuffer>> => readWhole(folder, file, pieceBytes!, start, end);
    return { size, read: (start, end) => opfs.call(`read ${file.name}`, () => read(start, end)) };
  });
}

/** A browser that was cut off may lose pieces that it had said were written: whoever opens the file next fetches those again. */
async function readWhole(
  folder: Directory,
  file: HubFile,
  pieceBytes: number,
  start: number,
  end: number,
): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await readPieces(folder, file, pieceBytes, start, end);
  } catch (error) {
    if (end <= file.size) await folder.removeEntry(WHOLE).catch(() => undefined);
    throw error;
  }
}

async function readPieces(
  folder: Directory,
  { name, size }: HubFile,
  pieceBytes: number,
  start: number,
  end: number,
): Promise<Uint8Array<ArrayBuffer>> {
  checkByteRange(start, end);
  if (end > size) throw fileTruncated(name, end, size);
  const bytes = new Uint8Array(end - start);
  for (let at = start; at < end;) {
    const piece = Math.floor(at / pieceBytes);
    const from = piece * pieceBytes;
    const part = (await fileAt(folder, String(piece)))?.slice(at - from, Math.min(end - from, pieceBytes));
    if (!part || part.size === 0) throw fileTruncated(name, end, at);
    bytes.set(new Uint8Array(await part.arrayBuffer()), at - start);
    at += part.size;
  }
  return bytes;
}

async function openPart(opfs: Opfs, place: HubPlace, pieceBytes: number, signal: AbortSignal | undefined): Promise<HubPart | 'whole'> {
  const { repository, file } = place;
  const release = await takeTurn(`${opfs.name}/${repository}/${blobName(file)}`, signal);
  try {
    if (await findBlob(opfs, repository, file)) {
      release();
      return 'whole';
    }
    const { folder, kept } = await opfs.call(`open ${file.name}`, () => openPieces(opfs, place, pieceBytes));
    const drop = async (): Promise<void> => {
      for (const piece of kept) await folder.removeEntry(String(piece));
      kept.clear();
    };
    const put = async (piece: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> => {
      await writeFile(folder, String(piece), bytes);
      kept.add(piece);
    };
    return {
      kept,
      pieceBytes,
      put: (piece, bytes) => opfs.call(`keep a piece of ${file.name}`, () => put(piece, bytes)),
      read: (start, end) => opfs.call(`read ${file.name}`, () => readPieces(folder, file, pieceBytes, start, end)),
      clear: () => opfs.call(`clear ${file.name}`, drop),
      finish: () =>
        opfs.call(`finish ${file.name}`, async () => {
          if (kept.size !== pieceCount(file.size, pieceBytes)) throw new RangeError('pieces are missing');
          await writeFile(folder, WHOLE, `${file.size} ${pieceBytes}`);
        }),
      close: async () => release(),
    };
  } catch (error) {
    release();
    throw error;
  }
}

async function openPieces(
  opfs: Opfs,
  { repository, file }: HubPlace,
  pieceBytes: number,
): Promise<{ folder: Directory; kept: Set<number> }> {
  const layout = `${file.size} ${pieceBytes}`;
  const old = await blobFolder(opfs, repository, file);
  if (old && (await readText(old, LAYOUT)) !== layout) {
    const blobs = await folderAt(await opfs.open(), [repositoryKey(repository), 'blobs'], 'make');
    await blobs.removeEntry(blobName(file), { recursive: true });
  }
  const folder = (await blobFolder(opfs, repository, file, 'make'))!;
  await writeFile(folder, LAYOUT, layout);
  const kept = new Set<number>();
  for (const [name, entry] of await entriesIn(folder)) {
    const piece = /^\d{1,9}$/.test(name) ? Number(name) : -1;
    if (entry.kind !== 'file' || piece < 0 || piece >= pieceCount(file.size, pieceBytes)) continue;
    // A piece that was cut off while it was written is shorter.
    if ((await entry.getFile()).size === pieceLength(file.size, pieceBytes, piece)) kept.add(piece);
  }
  return { folder, kept };
}

const turnsHere = new Map<string, Promise<void>>();

/** Waits for a turn among the origin's tabs and workers; where the browser gives none, among this thread's callers. */
async function takeTurn(key: string, signal: AbortSignal | undefined): Promise<() => void> {
  const locks = globalThis.navigator?.locks;
  if (!locks) return whenFree(turnsHere, key, signal);
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const taken = (): Promise<void> => new Promise((release) => resolve(release));
    locks.request(key, signal ? { signal } : {}, taken).catch(reject);
  });
}

async function remove({ open }: Opfs, repository: string, commit: string | undefined): Promise<void> {
  const top = await open();
  const folder = await folderAt(top, [repositoryKey(repository)]);
  if (!folder) return;
  const listings = (await listingsIn(folder, repository)).filter((listing) => listing.commit !== commit);
  if (commit === undefined || listings.length === 0) return top.removeEntry(repositoryKey(repository), { recursive: true });
  const refs = await folderAt(folder, ['refs']);
  for (const [revision, at] of await refsIn(refs)) if (at === commit) await refs!.removeEntry(encodeURIComponent(revision));
  await (await folderAt(folder, ['trees']))!.removeEntry(`${commit}.json`);
  const [blobs, needed] = [await folderAt(folder, ['blobs']), blobsOf(listings)];
  for (const [name] of await entriesIn(blobs)) if (!needed.has(name)) await blobs!.removeEntry(name, { recursive: true });
}

/** The lists of files of all commits that were noted. */
async function listingsIn(folder: Directory, repository: string): Promise<HubListing[]> {
  const trees = await folderAt(folder, ['trees']);
  const listings: HubListing[] = [];
  for (const [name] of await entriesIn(trees)) {
    const files = parseTree((await readText(trees, name)) ?? '');
    if (files) listings.push({ repository, commit: name.replace(/\.json$/, ''), files });
  }
  return listings;
}

/** Commits by branch or tag. */
async function refsIn(refs: Directory | undefined): Promise<Map<string, string>> {
  const commits = new Map<string, string>();
  for (const [revision] of await entriesIn(refs)) {
    const commit = await readText(refs, revision);
    if (isCommit(commit)) commits.set(decodeURIComponent(revision), commit);
  }
  return commits;
}

async function models({ open }: Opfs): Promise<StoredModel[]> {
  const found: StoredModel[] = [];
  for (const [name, entry] of await entriesIn(await open())) {
    const repository = /^models--(.+)$/.exec(name)?.[1]?.split('--').join('/');
    if (repository === undefined || entry.kind !== 'directory') continue;
    let [bytes, unfinishedBytes] = [0, 0];
    const wholeBlobs = new Set<string>();
    for (const [blobKey, blob] of await entriesIn(await folderAt(entry, ['blobs']))) {
      if (blob.kind !== 'directory') continue;
      const whole = (await readText(blob, WHOLE)) !== undefined;
      if (whole) wholeBlobs.add(blobKey);
      for (const [piece, file] of await entriesIn(blob)) {
        if (file.kind !== 'file' || !/^\d+$/.test(piece)) continue;
        const { size } = await file.getFile();
        if (whole) bytes += size;
        else unfinishedBytes += size;
      }
    }
    const refs = await refsIn(await folderAt(entry, ['refs']));
    const revisions = revisionsIn(await listingsIn(entry, repository), refs, (file) => wholeBlobs.has(blobName(file)));
    found.push({ repository, bytes, unfinishedBytes, revisions });
  }
  return found;
}
