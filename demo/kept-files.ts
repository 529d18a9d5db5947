import { bytesInWords } from './words.ts';

/** Folders in the page's own files (OPFS) whose names begin so hold dropped models: the one that is chosen, and one that is on its way. */
const FOLDERS = 'weblora-dropped';

/** The files that are kept in a folder of `keepFiles`, under the paths that they were dropped with; none where it is gone. */
export async function keptFiles(folder: string): Promise<readonly File[]> {
  const files: File[] = [];
  try {
    const kept = await (await navigator.storage.getDirectory()).getDirectoryHandle(folder);
    for await (const [name, entry] of kept.entries()) {
      const file = await (entry as FileSystemFileHandle).getFile();
      // Nothing is copied: the bytes stay where they are until they are read.
      files.push(new File([file], decodeURIComponent(name), { lastModified: file.lastModified }));
    }
  } catch (error) {
    if ((error as { readonly name?: unknown }).name !== 'NotFoundError') throw error;
  }
  return files;
}

export interface Keeping {
  /** Told of the bytes that are there, of all. */
  readonly onBytes: (kept: number, total: number) => void;
  /** Ends it, and throws its reason. */
  readonly signal: AbortSignal;
}

/**
 * Keeps files in place of those that were kept before: a page cannot open a dropped file again after a reload. What was kept before stays
 * until the new files are there, unless the room is needed. Throws an Error in words where the browser has no room or no place for them.
 *
 * @returns the name of the folder, for `keptFiles`.
 */
export function keepFiles(files: readonly File[], keeping: Keeping): Promise<string> {
  // One at a time in all tabs of the page: each clears away what the others left.
  return navigator.locks.request(FOLDERS, { signal: keeping.signal }, () => keepAlone(files, keeping));
}

async function keepAlone(files: readonly File[], keeping: Keeping): Promise<string> {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const root = await storageRoot();
  const others = await foldersIn(root);
  const { quota = Infinity, usage = 0 } = await navigator.storage.estimate();
  const room = quota - usage;
  if (total > room) {
    const withOthers = room + (await bytesIn(others));
    if (total > withOthers) throw noRoom(total, withOthers);
    await removeAll(root, others);
  }
  const name = `${FOLDERS}-${crypto.randomUUID()}`;
  try {
    // So that the browser does not clear it when room is short; some ask the person, who may take their time.
    void navigator.storage.persist?.().catch(() => false);
    await copyTo(await root.getDirectoryHandle(name, { create: true }), files, total, keeping);
  } catch (error) {
    await root.removeEntry(name, { recursive: true }).catch(() => undefined);
    throw (error as { readonly name?: unknown }).name === 'QuotaExceededError' ? noRoom(total, undefined) : error;
  }
  await removeAll(root, others);
  return name;
}

async function copyTo(
  folder: FileSystemDirectoryHandle,
  files: readonly File[],
  total: number,
  { onBytes, signal }: Keeping,
): Promise<void> {
  let kept = 0;
  for (const file of files) {
    const handle = await folder.getFileHandle(encodeURIComponent(file.name), { create: true });
    const count = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform: (chunk, controller) => {
        kept += chunk.length;
        onBytes(kept, total);
        controller.enqueue(chunk);
      },
    });
    await file
      .stream()
      .pipeThrough(count)
      .pipeTo(await handle.createWritable(), { signal });
  }
}

/** The folders of dropped models, by name. */
async function foldersIn(root: FileSystemDirectoryHandle): Promise<ReadonlyMap<string, FileSystemDirectoryHandle>> {
  const folders = new Map<string, FileSystemDirectoryHandle>();
  for await (const [name, entry] of root.entries()) {
    if (name.startsWith(FOLDERS) && entry.kind === 'directory') folders.set(name, entry as FileSystemDirectoryHandle);
  }
  return folders;
}

async function bytesIn(folders: ReadonlyMap<string, FileSystemDirectoryHandle>): Promise<number> {
  let bytes = 0;
  for (const folder of folders.values()) {
    for await (const entry of folder.values()) bytes += (await (entry as FileSystemFileHandle).getFile()).size;
  }
  return bytes;
}

/** What another tab still reads may stay until the next time. */
async function removeAll(root: FileSystemDirectoryHandle, folders: ReadonlyMap<string, unknown>): Promise<void> {
  for (const name of folders.keys()) await root.removeEntry(name, { recursive: true }).catch(() => undefined);
}

async function storageRoot(): Promise<FileSystemDirectoryHandle> {
  try {
    return await navigator.storage.getDirectory();
  } catch (cause) {
    throw new Error('This browser gives pages no place for files (a private window?), and without one a dropped model cannot be opened.', {
      cause,
    });
  }
}

function noRoom(needed: number, left: number | undefined): Error {
  const there = left === undefined ? 'less' : bytesInWords(Math.max(0, left));
  return new Error(
    `The model needs ${bytesInWords(needed)} in this browser, which has ${there} left for this page. Make room on the disk, or take a smaller model.`,
  );
}
