import { isGgufName, isHubId } from './hub-id.ts';

type FileSystem = typeof import('node:fs');

/** An address begins with a scheme; one letter is a drive: C:\models is a path. */
const SCHEME = /^[a-z][a-z\d+.-]+:/i;

/** True for a text that is a path, or a hub id, rather than an address with a scheme. */
export function isSchemeless(text: string): boolean {
  return !SCHEME.test(text);
}

/**
 * What a path, an address or a hub id means here and now, as a text that means the same later and in other working folders, so that
 * two of them can be compared: an absolute path, a whole URL, or a hub id. Where there is a file system `owner/name` is a path if
 * that folder exists, else a hub id (open it with `prefer: 'hub'`). What means nothing here stays as it is, and opening it says why.
 */
export function settleAddress(source: string | URL): string {
  const text = String(source);
  if (/^https?:/i.test(text)) return URL.canParse(text) ? new URL(text).href : text;
  if (text === '' || !isSchemeless(text)) return text;
  const fs = globalThis.process?.getBuiltinModule?.('node:fs');
  if (fs) return settlePath(text, fs);
  const page = globalThis.location?.href;
  if (isHubId(text) || page === undefined || !/^https?:/i.test(page) || !URL.canParse(text, page)) return text;
  return new URL(text, page).href;
}

function settlePath(path: string, fs: FileSystem): string {
  try {
    if (isHubId(path) && !isThere(path, fs)) return path;
    return globalThis.process.getBuiltinModule('node:path').resolve(path);
  } catch {
    return path; // without the right to know the working folder (Deno); opening it tells
  }
}

/** Whether the path is a folder's, or a .gguf's. */
function isThere(path: string, fs: FileSystem): boolean {
  const stat = fs.statSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() === true || (isGgufName(path) && stat?.isFile() === true);
}
