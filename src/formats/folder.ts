import { loadPart, WebLoraError } from '../errors.ts';
import { isSchemeless } from './folder-address.ts';
import { isFileBytes } from './file-bytes.ts';
import type { FileBytes } from './file-bytes.ts';
import { fileLocation, fileMissing } from './folder-contract.ts';
import type { Folder } from './folder-contract.ts';
import type { FileSystem } from './folder-disk.ts';
import { openFiles } from './folder-files.ts';
import { openHttpFolder } from './folder-http.ts';
import type { WebOptions } from './folder-http.ts';
import type { HubAccess } from './hub-access.ts';
import { isGgufName, isHubId } from './hub-id.ts';
import type { HubOpening } from './hub-open.ts';
import { parseJson } from './json.ts';

export { settleAddress } from './folder-address.ts';
export { isFileBytes } from './file-bytes.ts';
export type { FileBytes } from './file-bytes.ts';
export { fileLocation, fileMissing } from './folder-contract.ts';
export type { Folder } from './folder-contract.ts';
export type { HubAccess } from './hub-access.ts';
export { isHubId } from './hub-id.ts';

/** The largest text file that is read: tokenizer.json of a large vocabulary has 35 MB. */
const LARGEST_TEXT = 64 << 20;

/** What `openFolder` takes. */
export type FolderSource = string | URL | readonly File[] | FileBytes | Folder;

export interface FolderOptions extends WebOptions {
  /** How hub ids are read. */
  readonly hub?: HubAccess | undefined;
  /** What is kept of hub ids, and who is told of what is fetched. Default: an adapter's files, in memory for as long as the folder is. */
  readonly download?: Pick<HubOpening, 'of' | 'onProgress'> | undefined;
  /** What `owner/name` is where there is a file system. Default `folder`: the folder of that path if it exists, else a hub id. */
  readonly prefer?: 'folder' | 'hub' | undefined;
}

function isFolder(source: object): source is Folder {
  return 'size' in source && typeof source.size === 'function' && 'read' in source && typeof source.read === 'function';
}

/**
 * Opens a folder: a path on disk or a `file:` URL (Node, Deno), an http(s) URL, a hub id (`owner/name` or `owner/name@revision`), files
 * that were dropped on a page, bytes by file name, or something that already is a folder. A string without a scheme is an existing
 * folder of that path, else a hub id; where there is no file system (a page, a worker) a hub id, else a URL relative to the page.
 * A path, URL or hub id that names a .gguf opens the folder around it, whose `gguf` is that file.
 *
 * Throws `file_missing` for a path that does not exist or is no folder, `file_unreadable` for one that may not be looked at; the web
 * is asked only when a file is. Throws `TypeError` for anything else.
 *
 * `signal` ends the requests to the web, those that run and all later ones: reads then throw the signal's reason. `cache: 'no-cache'`
 * has no HTTP cache answer them unasked.
 */
export async function openFolder(source: FolderSource, options: FolderOptions = {}): Promise<Folder> {
  if (typeof source === 'string' || source instanceof URL) return openAddress(source, options);
  if (Array.isArray(source)) return openFiles(source as readonly File[]);
  if (typeof source === 'object' && source !== null && isFolder(source)) return source;
  if (isFileBytes(source)) return (await loadPart(() => import('./folder-bytes.ts'))).openBytes(source);
  throw new TypeError(
    'A folder is a path, a URL, a hub id, a list of File objects, an object of Uint8Arrays by file name, or one with size() and read().',
  );
}

async function openAddress(source: string | URL, options: FolderOptions): Promise<Folder> {
  const text = String(source);
  if (text === '') throw new TypeError('The path of the folder is empty.');
  if (/^https?:/i.test(text)) return openWeb(text, options);
  const isPath = typeof source === 'string' && isSchemeless(text);
  if (!isPath && !/^file:/i.test(text)) throw new TypeError(`A folder's URL is http:, https: or file:, not ${text}`);
  const fs = fileSystem();
  if (isPath && isHubId(text) && (!fs || options.prefer === 'hub')) {
    const why = fs
      ? `Nothing called ${text} was here when it was named, so it was taken for a hub id.`
      : `${text} was taken for a hub id; a folder beside the page is ./${text}.`;
    return openHub(text, options, why);
  }
  if (fs) return isPath ? openPath(text, fs, options) : openDisk(source, fs);
  const page = globalThis.location?.href;
  if (isPath && page !== undefined && /^https?:/i.test(page)) return openWeb(new URL(text, page), options);
  const message = `${text} is a path, and this runtime has no file system; give an http(s) URL, a hub id (owner/name) or files.`;
  throw new WebLoraError('file_missing', message);
}

/** A folder on a server, or the one around a .gguf there. */
function openWeb(source: string | URL, options: WebOptions): Folder {
  const url = new URL(source);
  const at = url.pathname.lastIndexOf('/') + 1;
  const file = url.pathname.slice(at);
  if (!isGgufName(file)) return openHttpFolder(url, options);
  url.pathname = url.pathname.slice(0, at);
  return { ...openHttpFolder(url, options), gguf: { file: decoded(file) } };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a lone %
  }
}

/** A folder on disk, or the one around a .gguf there. */
async function openDisk(source: string | URL, fs: FileSystem): Promise<Folder> {
  const { openDiskFolder, openDiskFile } = await loadPart(() => import('./folder-disk.ts'));
  return isGgufName(String(source)) ? openDiskFile(source, fs) : openDiskFolder(source, fs);
}

/** An existing folder or .gguf, else a hub id. */
async function openPath(path: string, fs: FileSystem, options: FolderOptions): Promise<Folder> {
  try {
    return await openDisk(path, fs);
  } catch (error) {
    if (!(error instanceof WebLoraError) || error.code !== 'file_missing') throw error;
    if (isHubId(path)) return openHub(path, options, `Nothing called ${path} is here, so it was taken for a hub id.`);
    if (/^[./\\~]|^[a-z]:/i.test(path)) throw error; // meant as a path, beyond doubt
    const message = `${error.message} It is no hub id either: those are owner/name, owner/name@revision, owner/name/file.gguf.`;
    throw new WebLoraError('file_missing', message, { cause: error });
  }
}

async function openHub(id: string, { hub, signal, download }: FolderOptions, tried: string): Promise<Folder> {
  const { openHubFolder } = await loadPart(() => import('./hub-open.ts'));
  return openHubFolder(id, hub, { of: 'adapter', ...download, signal, tried });
}

/** `node:fs/promises` where the runtime has it (Node, Deno), else undefined. */
function fileSystem(): FileSystem | undefined {
  return globalThis.process?.getBuiltinModule?.('node:fs/promises');
}

/** A whole text file as UTF-8, 64 MiB at most. Throws `file_missing`, `file_unreadable`, `file_truncated`, `file_invalid`. */
export async function readText(folder: Folder, name: string): Promise<string> {
  const location = fileLocation(folder, name);
  const size = await folder.size(name);
  if (size === undefined) throw fileMissing(location);
  if (size > LARGEST_TEXT) {
    throw new WebLoraError('file_invalid', `${location} has ${size} bytes; text files of up to ${LARGEST_TEXT} bytes are read.`);
  }
  const bytes = await folder.read(name, 0, size);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new WebLoraError('file_invalid', `${location} is not UTF-8 text.`, { cause });
  }
}

/** A JSON file, 64 MiB at most. Throws what `readText` throws, and `file_invalid` for NaN, Infinity and anything else that is no JSON. */
export async function readJson(folder: Folder, name: string): Promise<unknown> {
  return parseJson(await readText(folder, name), fileLocation(folder, name));
}
