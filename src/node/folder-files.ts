import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** A file's name may have 255 bytes; longer keys go on in folders. */
const LONGEST_PART = 200;
/** Neither sign is left by the escaping, so no file is ever where another key needs a folder. */
const FOLDER_END = '+';
const FILE_END = '=';
/** What is being written; nobody writes one for so long. */
const PARTIAL_END = '.partial';
const PARTIAL_MS = 600_000;

/** A key in signs that every disk takes. Capitals are escaped too: some disks take `A` and `a` for one. */
function escaped(key: string): string {
  return encodeURIComponent(key)
    .replace(/\*/g, '%2A')
    .replace(/[A-Z]/g, (letter) => `^${letter.toLowerCase()}`);
}

/** The file of a key. Throws `URIError` for text that is no Unicode. */
export function fileOf(path: string, key: string): string {
  const parts = escaped(key).match(new RegExp(`.{1,${LONGEST_PART}}`, 'g')) ?? [''];
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

/** Every key with this beginning that has a file in the folder. Deletes what writers that were killed left there. Throws what the disk throws. */
export async function keysIn(path: string, prefix: string): Promise<string[]> {
  const start = escaped(prefix).slice(0, LONGEST_PART);
  const keys: string[] = [];
  const visit = async (folder: string): Promise<void> => {
    for (const entry of (await unlessAbsent(() => readdir(join(path, folder), { withFileTypes: true }))) ?? []) {
      const name = join(folder, entry.name);
      if (entry.isFile() && name.endsWith(PARTIAL_END)) await sweepPartial(join(path, name));
      if (!name.startsWith(start)) continue; // most of a large folder: to unescape them all takes long
      if (entry.isDirectory() && name.endsWith(FOLDER_END)) await visit(name);
      else if (entry.isFile() && name.endsWith(FILE_END)) keys.push(keyOf(name));
    }
  };
  await visit('');
  return keys.filter((key) => key.startsWith(prefix));
}

/** How long files are read in one go, and how many at once where that would be too slow. */
const SLICE_MS = 2;
const READS_AT_ONCE = 64;

/**
 * Reads small files, in any order; those that are gone are left out. Each by itself, as a call that others would have to wait for, costs
 * a tenth of what a promise for it costs, so that is how they are read, in slices with pauses – until a slice shows that the disk is slow.
 * Throws what the disk throws.
 */
export async function readSmall(path: string, keys: readonly string[]): Promise<[key: string, bytes: Uint8Array<ArrayBuffer>][]> {
  const entries: [string, Uint8Array<ArrayBuffer>][] = [];
  const add = (key: string, bytes: Uint8Array | undefined): void => void (bytes && entries.push([key, new Uint8Array(bytes)]));
  for (let at = 0; at < keys.length;) {
    const began = performance.now();
    const first = at;
    while (at < keys.length && performance.now() - began < SLICE_MS) add(keys[at]!, readNow(fileOf(path, keys[at++]!)));
    const slow = at - first < 4;
    await nextTurn();
    if (!slow) continue;
    const some = keys.slice(at, at + READS_AT_ONCE);
    const read = await Promise.all(some.map((key) => unlessAbsent(() => readFile(fileOf(path, key)))));
    for (const [i, key] of some.entries()) add(key, read[i]);
    at += some.length;
  }
  return entries;
}

function readNow(file: string): Uint8Array | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** What cannot be deleted, as in a folder that is only to be read, does no harm. */
async function sweepPartial(file: string): Promise<void> {
  const found = await unlessAbsent(() => stat(file));
  if (found && Date.now() - found.mtimeMs > PARTIAL_MS) await rm(file, { force: true }).catch(() => undefined);
}

/**
 * Writes files so that each is met whole or not at all, in this order, whoever reads or crashes meanwhile. Where there is no room for all,
 * none is written; where one cannot be put in its place, those before it stay. Throws what the disk throws.
 */
export async function writeWhole(files: readonly (readonly [file: string, bytes: Uint8Array])[]): Promise<void> {
  const partials = files.map(([file]) => join(dirname(file), `${randomUUID()}${PARTIAL_END}`));
  try {
    for (const folder of new Set(partials.map(dirname))) await mkdir(folder, { recursive: true });
    const written = await Promise.allSettled(files.map(([, bytes], i) => writeSafe(partials[i]!, bytes)));
    for (const result of written) if (result.status === 'rejected') throw result.reason;
    for (const [i, [file]] of files.entries()) await rename(partials[i]!, file);
  } catch (error) {
    await Promise.allSettled(partials.map((partial) => rm(partial, { force: true })));
    throw error;
  }
}

async function writeSafe(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Undefined where there is no such file or folder. */
export async function unlessAbsent<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined;
    throw error;
  }
}
