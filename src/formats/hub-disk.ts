import { isFileName } from './folder-contract.ts';
import { openDiskFolder } from './folder-disk.ts';
import type { FileSystem } from './folder-disk.ts';
import { cacheFolder, isSet } from './hub-home.ts';
import { takeLock } from './folder-lock.ts';
import { folderModels, namesBelow, removeCommit, unlessAbsent } from './hub-disk-layout.ts';
import { openDiskPart } from './hub-disk-part.ts';
import { isCommit } from './hub-id.ts';
import { parseTree, treeText } from './hub-trees.ts';
import { blobName, checkStoredName, hubStoreFailed } from './hub-store.ts';
import type { HubPart, HubPlace, HubStore, StoredFile } from './hub-store.ts';

/** What the functions of one store share. */
interface Disk {
  readonly fs: FileSystem;
  /** The cache's folder. */
  readonly root: string;
  readonly links: 'symbolic' | 'none';
}

/**
 * The cache that Hugging Face's own tools use, for Node and Deno: what they fetched is found, and what is fetched here they find.
 * Processes wait for each other by files in its folder `.locks`; who is killed keeps others waiting for four seconds.
 *
 * @param root the cache's folder. Default `HF_HUB_CACHE`, else `HF_HOME/hub`, else `~/.cache/huggingface/hub`.
 * @throws TypeError in a runtime without a file system.
 */
export function diskHubStore(root: string = cacheFolder()): HubStore {
  const fs = globalThis.process?.getBuiltinModule?.('node:fs/promises');
  if (!fs) throw new TypeError('There is no file system here to keep models in; pages have opfsHubStore().');
  const links = isSet('HF_HUB_DISABLE_SYMLINKS') ? 'none' : 'symbolic';
  const disk: Disk = { fs, root, links };
  const call = <T>(what: string, work: () => Promise<T>): Promise<T> =>
    work().catch((cause: unknown) => {
      throw hubStoreFailed(root, what, cause);
    });
  const noted = (folder: string, repository: string, name: string): Promise<string | undefined> =>
    call(`read ${folder} of ${repository}`, async () =>
      unlessAbsent(() => fs.readFile(`${folderOf(disk, repository)}/${folder}/${name}`, 'utf8')),
    );
  return {
    location: root,
    commitOf: async (repository, revision) => {
      if (!isFileName(revision)) return undefined;
      const commit = (await noted('refs', repository, revision))?.trim();
      return isCommit(commit) ? commit : undefined;
    },
    noteCommit: (repository, revision, commit) =>
      call(`note the commit of ${repository}`, () => writeWhole(disk, `${folderOf(disk, repository)}/refs/${revision}`, commit)),
    listing: async (repository, commit) => {
      const text = await noted('trees', repository, `${commit}.json`);
      const files = text === undefined ? undefined : parseTree(text);
      return files && { repository, commit, files };
    },
    noteListing: (listing) =>
      call(`note the files of ${listing.repository}`, () =>
        writeWhole(disk, `${folderOf(disk, listing.repository)}/trees/${listing.commit}.json`, treeText(listing)),
      ),
    names: (repository, commit) => call(`list ${repository}`, () => namesBelow(fs, `${folderOf(disk, repository)}/snapshots/${commit}`)),
    findNamed: (repository, commit, name) =>
      call(`look for ${name}`, () => storedFile(disk, `${folderOf(disk, repository)}/snapshots/${commit}`, name)),
    find: (place) => call(`look for ${place.file.name}`, () => find(disk, place)),
    openPart: (place, pieceBytes, signal) => openPart(disk, place, pieceBytes, signal, call),
    free: () => freeBytes(disk),
    models: () => call('list models', () => folderModels(fs, root)),
    remove: (repository, commit) =>
      call(`remove ${repository}`, async () => {
        if (commit !== undefined) await removeCommit(fs, folderOf(disk, repository), commit);
        // The last commit takes the folder with it.
        const rest = commit === undefined ? [] : await unlessAbsent(() => fs.readdir(`${folderOf(disk, repository)}/snapshots`));
        if (rest && rest.length > 0) return;
        await fs.rm(folderOf(disk, repository), { recursive: true, force: true });
        await fs.rm(locksOf(disk, repository), { recursive: true, force: true });
      }),
  };
}

function folderOf({ root }: Disk, repository: string): string {
  checkStoredName(repository);
  return `${root}/models--${repository.replace('/', '--')}`;
}

function locksOf({ root }: Disk, repository: string): string {
  return `${root}/.locks/models--${repository.replace('/', '--')}`;
}

/** A file in a folder of the cache, if it is there. */
async function storedFile({ fs }: Disk, folder: string, name: string): Promise<StoredFile | undefined> {
  const there = await unlessAbsent(() => openDiskFolder(folder, fs));
  const size = await there?.size(name);
  return there && size !== undefined ? { size, read: (start, end, into) => there.read(name, start, end, into) } : undefined;
}

async function find(disk: Disk, { repository, commit, file }: HubPlace): Promise<StoredFile | undefined> {
  const folder = folderOf(disk, repository);
  const linked = await storedFile(disk, `${folder}/snapshots/${commit}`, file.name);
  if (linked?.size === file.size) return linked;
  const blob = await storedFile(disk, `${folder}/blobs`, blobName(file));
  if (blob?.size !== file.size) return undefined;
  // Fetched for another commit. A cache that is only to be read serves it too.
  await link(disk, { repository, commit, file }, 'old').catch(() => undefined);
  return blob;
}

/** Puts a file's name into its commit; where there are no symbolic links the bytes go there: a copy of `old` ones, the `new` ones themselves. */
async function link({ fs, root, links }: Disk, { repository, commit, file }: HubPlace, bytes: 'old' | 'new'): Promise<void> {
  const folder = folderOf({ fs, root, links }, repository);
  const [from, to] = [`${folder}/blobs/${blobName(file)}`, `${folder}/snapshots/${commit}/${file.name}`];
  await fs.mkdir(to.slice(0, to.lastIndexOf('/')), { recursive: true });
  const up = '../'.repeat(file.name.split('/').length + 1);
  const put = async (): Promise<void> => {
    if (links === 'symbolic') return fs.symlink(`${up}blobs/${blobName(file)}`, to);
    throw Object.assign(new Error('no symbolic links'), { code: 'ENOSYS' });
  };
  try {
    await put().catch(async (error: { readonly code?: unknown }) => {
      if (error.code !== 'EEXIST') throw error;
      await fs.rm(to, { force: true }); // it leads nowhere, or to other bytes
      await put();
    });
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (code === 'EEXIST') return; // another process was faster
    if (code === 'ENOSPC' || code === 'EROFS') throw error;
    if (bytes === 'new') await fs.rename(from, to);
    else await fs.copyFile(from, to);
  }
}

async function openPart(
  disk: Disk,
  place: HubPlace,
  pieceBytes: number,
  signal: AbortSignal | undefined,
  call: <T>(what: string, work: () => Promise<T>) => Promise<T>,
): Promise<HubPart | 'whole'> {
  const { fs } = disk;
  const { repository, file } = place;
  const name = blobName(file);
  const blobs = `${folderOf(disk, repository)}/blobs`;
  const lockFolder = `${locksOf(disk, repository)}/${name}.weblora`;
  signal?.throwIfAborted();
  const lock = await takeLock(fs, lockFolder, signal).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw hubStoreFailed(disk.root, `be locked for ${file.name}`, error);
  });
  const forgetLock = (): Promise<void> => fs.rm(lockFolder, { recursive: true, force: true }).catch(() => undefined);
  try {
    if (await find(disk, place)) {
      await lock.release();
      await forgetLock();
      return 'whole';
    }
    await call('make its folders', async () => void (await fs.mkdir(blobs, { recursive: true })));
    const part = await openDiskPart({
      fs,
      path: `${blobs}/${name}`,
      size: file.size,
      pieceBytes,
      lock,
      finished: () => link(disk, place, 'new'),
    });
    let finished = false;
    return {
      ...part,
      finish: () => part.finish().then(() => void (finished = true)),
      close: () => part.close().then(() => (finished ? forgetLock() : undefined)),
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** Writes a small text so that it is met whole or not at all. */
async function writeWhole({ fs }: Disk, path: string, text: string): Promise<void> {
  await fs.mkdir(path.slice(0, path.lastIndexOf('/')), { recursive: true });
  const beside = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    await fs.writeFile(beside, text);
    await fs.rename(beside, path);
  } catch (error) {
    await fs.rm(beside, { force: true });
    throw error;
  }
}

/** Asked of the nearest folder above that exists; undefined where the runtime cannot tell. */
async function freeBytes({ fs, root }: Disk): Promise<number | undefined> {
  for (let path = root; path !== ''; path = path.slice(0, Math.max(0, path.lastIndexOf('/')))) {
    try {
      const { bavail, bsize } = await fs.statfs(path);
      return bavail * bsize;
    } catch (error) {
      if ((error as { readonly code?: unknown }).code !== 'ENOENT') return undefined;
    }
  }
  return undefined;
}
