import { bytesInWords } from './words.ts';

/** The folder in the page's own files (OPFS) that holds the model that was dropped last. */
const FOLDER = 'weblora-dropped';

/** The files that are kept, under the paths that they were dropped with; none where nothing is. */
export async function keptFiles(): Promise<readonly File[]> {
  const files: File[] = [];
  try {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER);
    for await (const [name, entry] of folder.entries()) {
      const file = await (entry as FileSystemFileHandle).getFile();
      // Nothing is copied: the bytes stay where they are until they are read.
      files.push(new File([file], decodeURIComponent(name), { lastModified: file.lastModified }));
    }
  } catch (error) {
    if ((error as { readonly name?: unknown }).name !== 'NotFoundError') throw error;
  }
  return files;
}

/**
 * Keeps files in place of those that were kept before: a page cannot open a dropped file again after a reload. Throws an Error in words
 * where the browser has no room or no place for them; nothing is kept then.
 *
 * @param onBytes told of the bytes that are there, of all.
 */
export async function keepFiles(files: readonly File[], onBytes: (kept: number, total: number) => void): Promise<void> {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const root = await storageRoot();
  await root.removeEntry(FOLDER, { recursive: true }).catch(() => undefined);
  const { quota = Infinity, usage = 0 } = await navigator.storage.estimate();
  if (total > quota - usage) throw noRoom(total, quota - usage);
  try {
    const folder = await root.getDirectoryHandle(FOLDER, { create: true });
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
        .pipeTo(await handle.createWritable());
    }
    // So that the browser does not clear it when room is short; some ask the person.
    await navigator.storage.persist?.().catch(() => false);
  } catch (error) {
    await root.removeEntry(FOLDER, { recursive: true }).catch(() => undefined);
    throw (error as { readonly name?: unknown }).name === 'QuotaExceededError' ? noRoom(total, undefined) : error;
  }
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
