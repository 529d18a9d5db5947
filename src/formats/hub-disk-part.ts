import type { FileSystem } from './folder-disk.ts';
import { fileTruncated } from './folder-contract.ts';
import type { FolderLock } from './folder-lock.ts';
import { hubStoreFailed, pieceCount, pieceLength } from './hub-store.ts';
import type { HubPart } from './hub-store.ts';

type FileHandle = import('node:fs/promises').FileHandle;

/** The end of an unfinished file's name: the hub's own tools have another, and would take ours for theirs. */
export const PART_END = '.weblora-part';
/** Lines of text: size and piece length, then the number of each piece when it is there. */
const NOTES_END = `${PART_END}.pieces`;

/** What a part on disk needs to know. */
export interface DiskPartOptions {
  readonly fs: FileSystem;
  /** Where the file will be; the part lies beside it. */
  readonly path: string;
  readonly size: number;
  readonly pieceBytes: number;
  readonly lock: FolderLock;
  /** Called when the file is in its place. */
  finished(): Promise<void>;
}

/** Opens what there is of a file, or begins it. The lock is the part's from now on. Throws `store_failed`. */
export async function openDiskPart(options: DiskPartOptions): Promise<HubPart> {
  const { fs, path, size, pieceBytes, lock } = options;
  const [partPath, notesPath] = [path + PART_END, path + NOTES_END];
  const call = <T>(what: string, work: () => Promise<T>): Promise<T> =>
    work().catch((cause: unknown) => {
      throw hubStoreFailed(partPath, what, cause);
    });
  const kept = new Set<number>();
  const { data, notes } = await call('be opened', async () => {
    const file = await fs.open(partPath, 'r+').catch(() => fs.open(partPath, 'w+'));
    try {
      const { size: there } = await file.stat();
      for (const piece of await notedPieces(fs, notesPath, size, pieceBytes)) {
        if (piece * pieceBytes + pieceLength(size, pieceBytes, piece) <= there) kept.add(piece);
      }
      // Written anew: the last line may have been cut in two.
      await fs.writeFile(notesPath, notesText(size, pieceBytes, kept));
      return { data: file, notes: await fs.open(notesPath, 'a') };
    } catch (error) {
      await file.close();
      throw error;
    }
  });
  const closeFiles = async (): Promise<void> => void (await Promise.allSettled([data.close(), notes.close()]));
  return {
    kept,
    pieceBytes,
    put: (piece, bytes) =>
      call('keep a piece', async () => {
        await lock.check();
        await writeAll(data, bytes, piece * pieceBytes);
        await notes.appendFile(`${piece}\n`);
        kept.add(piece);
      }),
    read: (start, end) => call('be read', () => readAll(data, partPath, start, end)),
    clear: () =>
      call('be cleared', async () => {
        await lock.check();
        kept.clear();
        await notes.truncate();
        await notes.appendFile(notesText(size, pieceBytes, kept));
        await data.truncate();
      }),
    finish: () =>
      call('be finished', async () => {
        if (kept.size !== pieceCount(size, pieceBytes)) throw new RangeError('pieces are missing');
        await lock.check();
        await data.truncate(size);
        await data.sync();
        await closeFiles();
        await fs.rename(partPath, path);
        await options.finished();
        await fs.rm(notesPath, { force: true });
      }),
    close: async () => {
      await closeFiles();
      await lock.release();
    },
  };
}

function notesText(size: number, pieceBytes: number, kept: ReadonlySet<number>): string {
  return [`${size} ${pieceBytes}`, ...kept, ''].join('\n');
}

async function notedPieces(fs: FileSystem, path: string, size: number, pieceBytes: number): Promise<number[]> {
  const text = await fs.readFile(path, 'utf8').catch(() => '');
  const lines = text.split('\n').slice(0, -1); // what comes after the last line's end was not written to its own
  if (lines.shift() !== `${size} ${pieceBytes}`) return [];
  return lines
    .filter((line) => /^\d{1,9}$/.test(line))
    .map(Number)
    .filter((piece) => piece < pieceCount(size, pieceBytes));
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
}

async function readAll(file: FileHandle, path: string, start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(end - start);
  for (let at = 0; at < bytes.length;) {
    const { bytesRead } = await file.read(bytes, at, bytes.length - at, start + at);
    if (bytesRead === 0) throw fileTruncated(path, end, start + at);
    at += bytesRead;
  }
  return bytes;
}
