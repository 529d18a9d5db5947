import { WebLoraError } from '../errors.ts';
import { checkByteRange, checkFileName, fileTruncated, fileMissing, joinStamps } from './folder-contract.ts';
import type { Folder } from './folder-contract.ts';
import { unlessAborted } from './hub-turns.ts';
import { collect, contentLength, contentRange, discard, entityTag, isAbsent, refused, request } from './http.ts';

export interface WebOptions {
  /** Ends every request; what waits for one then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** `no-cache`: no HTTP cache answers unless the server says that its copy is still the file. */
  readonly cache?: 'default' | 'no-cache' | undefined;
}

/** Answers of one file on a server. */
type Ask = (name: string, init?: RequestInit) => Promise<Response>;

/** Asks for files below `base`; all answers for one name are of one version of the file, or `file_unreadable` is thrown. */
function createAsk(locate: (name: string) => string, query: string, site: WebOptions): Ask {
  const versions = new Map<string, string>();
  const checkVersion = (name: string, response: Response): void => {
    const tag = response.ok ? entityTag(response)?.replace(/^W\//, '') : undefined;
    if (tag === undefined) return;
    const first = versions.get(name) ?? tag;
    versions.set(name, first);
    if (first !== tag) {
      throw new WebLoraError('file_unreadable', `${locate(name)} changed while it was read; try again.`);
    }
  };
  return async (name, init = {}) => {
    const response = await request(locate(name) + query, {
      ...(site.cache && { cache: site.cache }),
      ...init,
      ...(site.signal && { signal: site.signal }),
    });
    try {
      checkVersion(name, response);
      return response;
    } catch (error) {
      await discard(response);
      throw error;
    }
  };
}

/** What is made is kept, and made again after a failure. */
function keep<T>(map: Map<string, Promise<T>>, name: string, make: () => Promise<T>): Promise<T> {
  const known = map.get(name);
  if (known) return known;
  const made = make();
  map.set(name, made);
  made.catch(() => map.delete(name));
  return made;
}

const FIRST_BYTE = { range: 'bytes=0-0' };

/** The ETag a server gives now, `-` where there is no such file, undefined where it gives none. */
async function currentTag(ask: Ask, name: string, location: string): Promise<string | undefined> {
  const response = await ask(name, { headers: FIRST_BYTE, cache: 'no-cache' });
  await discard(response);
  if (isAbsent(response.status)) return '-';
  // 416: an empty file has no first byte.
  if (!response.ok && response.status !== 416) throw refused(location, response);
  return entityTag(response);
}

/**
 * A folder on a web server. Parts of files come by Range requests; from a server that ignores them a file is fetched once, as a
 * whole, and kept as long as the folder. A query in the URL (a signature) is sent with every file. Where the server gives ETags, all
 * that is read of a file is of one version, else `file_unreadable` is thrown. Throws `TypeError` for what is no URL.
 */
export function openHttpFolder(source: string | URL, site: WebOptions = {}): Folder {
  const base = new URL(source);
  const query = base.search;
  base.search = '';
  base.hash = '';
  if (!base.pathname.endsWith('/')) base.pathname += '/';

  const locate = (name: string): string => {
    checkFileName(name);
    return base.href + name.split('/').map(encodeURIComponent).join('/');
  };
  const ask = createAsk(locate, query, site);
  const sizes = new Map<string, Promise<number | undefined>>();
  const whole = new Map<string, Promise<Blob>>();

  const download = (name: string, answer?: Response): Promise<Blob> =>
    keep(whole, name, async () => {
      const location = locate(name);
      const response = answer ?? (await ask(name));
      if (isAbsent(response.status)) throw fileMissing(location);
      if (!response.ok) throw refused(location, response);
      try {
        return await unlessAborted(response.blob(), site.signal);
      } catch (cause) {
        site.signal?.throwIfAborted();
        throw new WebLoraError('file_unreadable', `The connection broke while ${location} was fetched.`, { cause });
      }
    });
  const measure = async (name: string): Promise<number | undefined> => {
    const location = locate(name);
    // First a range of one byte: unlike HEAD it is never answered for a compressed transfer, whose length is another.
    const probe = await ask(name, { headers: FIRST_BYTE });
    await discard(probe);
    if (isAbsent(probe.status)) return undefined;
    const told = probe.status === 200 ? contentLength(probe) : contentRange(probe).total;
    if (told !== undefined && (probe.ok || probe.status === 416)) return told;
    if (!probe.ok && probe.status !== 405 && probe.status !== 416) throw refused(location, probe);
    const head = await ask(name, { method: 'HEAD' });
    const length = head.ok ? contentLength(head) : undefined;
    return length ?? (await download(name)).size;
  };

  return {
    location: base.href,
    fixed: 'no',
    size: (name) => keep(sizes, name, () => measure(name)),
    stamp: async (names) => joinStamps(await Promise.all(names.map((name) => currentTag(ask, name, locate(name))))),
    async read(name, start, end) {
      checkByteRange(start, end);
      const location = locate(name);
      if (!whole.has(name)) {
        if (start === end) return new Uint8Array(0);
        const response = await ask(name, { headers: { range: `bytes=${start}-${end - 1}` } });
        if (response.status === 206 && (contentRange(response).start ?? start) === start) {
          return collect(response, location, start, end - start, site.signal);
        }
        if (response.status === 200 && !whole.has(name)) await download(name, response);
        else await discard(response);
        if (isAbsent(response.status)) throw fileMissing(location);
        if (response.status === 416) throw fileTruncated(location, end, contentRange(response).total ?? start);
        if (!response.ok) throw refused(location, response);
      }
      const blob = await download(name);
      if (end > blob.size) throw fileTruncated(location, end, blob.size);
      return new Uint8Array(await blob.slice(start, end).arrayBuffer());
    },
  };
}
