import { WebLoraError } from '../errors.ts';
import { checkByteRange, checkFileName, fileLocation, fileMissing, fileTruncated, joinStamps } from './folder-contract.ts';
import type { Folder } from './folder-contract.ts';

/** Node's module, which Deno has too. */
export type FileSystem = typeof import('node:fs/promises');
type BigIntStats = import('node:fs').BigIntStats;

/** Node reads at most 2 GiB a call. */
const LARGEST_READ = 1 << 30;

function errorCode(cause: unknown): unknown {
  return typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
}

function isAbsent(cause: unknown): boolean {
  const code = errorCode(cause);
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG';
}

function unreadable(location: string, cause: unknown): WebLoraError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new WebLoraError('file_unreadable', `${location} cannot be read: ${why}`, { cause });
}

function pathOf(source: string | URL): string {
  if (typeof source === 'string' && !/^file:/i.test(source)) return source;
  const url = globalThis.process.getBuiltinModule('node:url');
  return url.fileURLToPath(source);
}

/**
 * A folder on disk, by path or `file:` URL (Node and Deno). A file is open only while it is read.
 * Throws `file_missing` where nothing is there or it is no folder, `file_unreadable` where it may not be looked at.
 */
export async function openDiskFolder(source: string | URL, fs: FileSystem): Promise<Folder> {
  const location = String(source);
  const path = pathOf(source);
  let isFolder: boolean;
  try {
    isFolder = (await fs.stat(path)).isDirectory();
  } catch (cause) {
    if (!isAbsent(cause)) throw unreadable(location, cause);
    throw new WebLoraError('file_missing', `There is no folder ${location}.`, { cause });
  }
  if (!isFolder) throw new WebLoraError('file_missing', `${location} is no folder; give the folder that holds the files.`);

  const folder = { location };
  const pathTo = (name: string): string => {
    checkFileName(name);
    return /[/\\]$/.test(path) ? path + name : `${path}/${name}`;
  };
  const statOf = async (name: string): Promise<BigIntStats | undefined> => {
    const file = pathTo(name);
    try {
      const stat = await fs.stat(file, { bigint: true });
      return stat.isFile() ? stat : undefined;
    } catch (cause) {
      if (isAbsent(cause)) return undefined;
      throw unreadable(fileLocation(folder, name), cause);
    }
  };
  return {
    location,
    fixed: 'no',
    async names() {
      try {
        return await fs.readdir(path);
      } catch (cause) {
        throw unreadable(location, cause);
      }
    },
    async size(name) {
      const stat = await statOf(name);
      return stat && Number(stat.size);
    },
    async stamp(names) {
      const stats = await Promise.all(names.map(statOf));
      // The time of the last change too: copying tools set the time of the last write back.
      return joinStamps(stats.map((stat) => (stat ? `${stat.size}-${stat.mtimeNs}-${stat.ctimeNs}` : '-')));
    },
    async read(name, start, end, into) {
      checkByteRange(start, end);
      return readRange(fs, pathTo(name), fileLocation(folder, name), [start, end], into);
    },
  };
}

/** The folder around a file on disk (a .gguf), which is its `gguf`. A folder of that name is opened itself. Throws what `openDiskFolder` throws. */
export async function openDiskFile(source: string | URL, fs: FileSystem): Promise<Folder> {
  const path = pathOf(source);
  const { dirname, basename } = globalThis.process.getBuiltinModule('node:path');
  const isFile = await fs.stat(path).then(
    (stat) => stat.isFile(),
    () => false,
  );
  return isFile ? { ...(await openDiskFolder(dirname(path), fs)), gguf: { file: basename(path) } } : openDiskFolder(source, fs);
}

async function readRange(
  fs: FileSystem,
  path: string,
  location: string,
  [start, end]: readonly [number, number],
  into: Uint8Array<ArrayBuffer> | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const file = await fs.open(path, 'r');
    try {
      const stat = await file.stat();
      if (!stat.isFile()) throw fileMissing(location);
      // Looked at before the bytes are allocated: `end` may come from a file that lies.
      if (end > stat.size) throw fileTruncated(location, end, stat.size);
      const bytes = into ?? new Uint8Array(end - start);
      for (let at = 0; at < bytes.length;) {
        const { bytesRead } = await file.read(bytes, at, Math.min(bytes.length - at, LARGEST_READ), start + at);
        if (bytesRead === 0) throw fileTruncated(location, end, start + at);
        at += bytesRead;
      }
      return bytes;
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof WebLoraError) throw cause;
    throw isAbsent(cause) ? fileMissing(location, cause) : unreadable(location, cause);
  }
}
