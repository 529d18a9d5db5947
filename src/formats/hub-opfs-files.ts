/** A folder of the origin's own files. */
export type Directory = FileSystemDirectoryHandle;

/** What dedicated workers have of files, also where there are no writable streams. */
interface SyncFile {
  truncate(size: number): void;
  write(bytes: Uint8Array, options: { readonly at: number }): number;
  flush(): void;
  close(): void;
}

/** A folder below another, made on the way if so wanted; else undefined where there is none. */
export async function folderAt(top: Directory, path: readonly string[], make: 'make'): Promise<Directory>;
export async function folderAt(top: Directory, path: readonly string[], make?: 'make'): Promise<Directory | undefined>;
export async function folderAt(top: Directory, path: readonly string[], make?: 'make'): Promise<Directory | undefined> {
  let at: Directory | undefined = top;
  for (const name of path) {
    const above: Directory = at;
    at = await unlessAbsent(() => above.getDirectoryHandle(name, { create: make === 'make' }));
    if (!at) return undefined;
  }
  return at;
}

/** A file in a folder; undefined where there is none. */
export async function fileAt(folder: Directory, name: string): Promise<File | undefined> {
  return unlessAbsent(async () => (await folder.getFileHandle(name)).getFile());
}

/** A file's text; undefined where there is no such file, or no folder. */
export async function readText(folder: Directory | undefined, name: string): Promise<string | undefined> {
  return folder && (await fileAt(folder, name))?.text();
}

/** Writes a file anew. Who reads or crashes meanwhile meets it as it was, or in old browsers one that is too short. */
export async function writeFile(folder: Directory, name: string, content: string | Uint8Array<ArrayBuffer>): Promise<void> {
  const handle = await folder.getFileHandle(name, { create: true });
  if (typeof handle.createWritable === 'function') {
    const stream = await handle.createWritable();
    try {
      await stream.write(content);
    } catch (error) {
      await stream.abort().catch(() => undefined);
      throw error;
    }
    return stream.close();
  }
  const sync = (handle as { createSyncAccessHandle?(): Promise<SyncFile> }).createSyncAccessHandle;
  if (!sync) throw new Error('this browser writes its own files in dedicated workers only; run the engine in one');
  const file = await sync.call(handle);
  try {
    file.truncate(0);
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    for (let at = 0; at < bytes.length;) {
      const written = file.write(bytes.subarray(at), { at });
      if (written === 0) throw new DOMException('nothing more could be written', 'QuotaExceededError');
      at += written;
    }
    file.flush();
  } finally {
    file.close();
  }
}

/** What lies in a folder; nothing where there is none. */
export async function entriesIn(folder: Directory | undefined): Promise<[string, FileSystemDirectoryHandle | FileSystemFileHandle][]> {
  const entries: [string, FileSystemDirectoryHandle | FileSystemFileHandle][] = [];
  if (folder) for await (const [name, entry] of folder.entries()) entries.push([name, entry as FileSystemFileHandle]);
  return entries;
}

async function unlessAbsent<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if ((error as { readonly name?: unknown }).name === 'NotFoundError') return undefined;
    throw error;
  }
}
