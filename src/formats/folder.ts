import { loadPart, WebLoraError } from '../errors.ts';
import { fileLocation, fileMissing } from './folder-contract.ts';
import type { Folder } from './folder-contract.ts';
import type { FileSystem } from './folder-disk.ts';
import { openFiles } from './folder-files.ts';
import { openHttpFolder } from './folder-http.ts';
import { parseJson } from './json.ts';

export { fileLocation, fileMissing } from './folder-contract.ts';
export type { Folder } from './folder-contract.ts';

/** The largest text file that is read: tokenizer.json of a large vocabulary has 35 MB. */
const LARGEST_TEXT = 64 << 20;

function isFolder(source: object): source is Folder {
  return 'size' in source && typeof source.size === 'function' && 'read' in source && typeof source.read === 'function';
}

/**
 * Opens a folder: a path on disk or a `file:` URL (Node, Deno), an http(s) URL, files that were dropped on a page, or something that
 * already is a folder. Where there is no file system (a page, a worker), a string without a scheme is a URL relative to the page.
 *
 * Throws `file_missing` for a path that does not exist or is no folder, `file_unreadable` for one that may not be looked at; a web
 * folder is asked only when a file is. Throws `TypeError` for anything else.
 *
 * @param signal ends a web folder's requests, those that run and all later ones: its reads then throw the signal's reason.
 */
export async function openFolder(source: string | URL | readonly File[] | Folder, signal?: AbortSignal): Promise<Folder> {
  if (typeof source === 'string' || source instanceof URL) return openAddress(source, signal);
  if (Array.isArray(source)) return openFiles(source);
  if (typeof source === 'object' && source !== null && isFolder(source)) return source;
  throw new TypeError('A folder is a path, a URL, a list of File objects, or an object with size() and read().');
}

async function openAddress(source: string | URL, signal: AbortSignal | undefined): Promise<Folder> {
  const text = String(source);
  if (text === '') throw new TypeError('The path of the folder is empty.');
  if (/^https?:/i.test(text)) return openHttpFolder(text, signal);
  const isPath = typeof source === 'string' && !/^[a-z][a-z\d+.-]+:/i.test(text); // C:\models is a path
  if (!isPath && !/^file:/i.test(text)) throw new TypeError(`A folder's URL is http:, https: or file:, not ${text}`);
  const fs = fileSystem();
  if (fs) return (await loadPart(() => import('./folder-disk.ts'))).openDiskFolder(source, fs);
  const page = globalThis.location?.href;
  if (isPath && page !== undefined && /^https?:/i.test(page)) return openHttpFolder(new URL(text, page), signal);
  throw new WebLoraError('file_missing', `${text} is a path, and this runtime has no file system; give an http(s) URL or files.`);
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
