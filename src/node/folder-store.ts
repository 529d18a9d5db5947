import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import type { Store } from '../engine/types.ts';
import { WebLoraError } from '../errors.ts';

/** A file's name may have 255 bytes; longer keys go on in folders. */
const LONGEST_PART = 200;
/** Neither sign is left by the escaping, so no file is ever where another key needs a folder. */
const FOLDER_END = '+';
const FILE_END = '=';

/**
 * A store in a folder on disk, for Node and Deno: one file a key, written beside its place and renamed, so that a reader, another process
 * or a crash never meets half of it. The folder is made when something is first put there.
 *
 * Its methods throw `store_failed` where the disk refuses.
 *
 * @param path the folder; engines and processes that name the same one share it.
 */
export function folderStore(path: string): Store {
  let last: Promise<unknown> = Promise.resolve();
  /** Calls take effect in the order in which they were made. */
  const inTurn = <T>(what: string, call: () => Promise<T>): Promise<T> => {
    const turn = last.then(call).catch((cause: unknown) => {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new WebLoraError('store_failed', `The folder ${path} failed to ${what}: ${why}`, { cause });
    });
    last = turn.catch(() => undefined);
    return turn;
  };
  return {
    get: (key) => inTurn(`read ${key}`, () => unlessAbsent(async () => new Uint8Array(await readFile(fileOf(path, key))))),
    put: (key, bytes) => {
      const copy = bytes.slice(); // the bytes are the caller's again when this call has returned
      return inTurn(`keep ${key}`, () => writeWhole(fileOf(path, key), copy));
    },
    delete: (key) => inTurn(`delete ${key}`, () => rm(fileOf(path, key), { force: true })),
    keys: (prefix) =>
      inTurn('list its keys', async () => {
        const entries = await unlessAbsent(() => readdir(path, { recursive: true, withFileTypes: true }));
        const files = (entries ?? []).filter((entry) => entry.isFile() && entry.name.endsWith(FILE_END));
        return files.map((entry) => keyOf(relative(path, join(entry.parentPath, entry.name)))).filter((key) => key.startsWith(prefix));
      }),
  };
}

async function writeWhole(file: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const beside = join(dirname(file), `${randomUUID()}.partial`);
  try {
    const handle = await open(beside, 'wx');
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, file);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}

async function unlessAbsent<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Capitals are escaped too: some disks take `A` and `a` for one. */
function fileOf(path: string, key: string): string {
  const name = encodeURIComponent(key)
    .replace(/\*/g, '%2A')
    .replace(/[A-Z]/g, (letter) => `^${letter.toLowerCase()}`);
  const parts = name.match(new RegExp(`.{1,${LONGEST_PART}}`, 'g')) ?? [''];
  const folders = parts.slice(0, -1).map((part) => part + FOLDER_END);
  return join(path, ...folders, parts.at(-1)! + FILE_END);
}

function keyOf(file: string): string {
  const name = file
    .split(sep)
    .map((part) => part.slice(0, -1))
    .join('');
  return decodeURIComponent(name.replace(/\^([a-z])/g, (_, letter: string) => letter.toUpperCase()));
}
