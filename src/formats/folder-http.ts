import { WebLoraError } from '../errors.ts';
import { checkByteRange, checkFileName, fileTruncated, fileMissing } from './folder-contract.ts';
import type { Folder } from './folder-contract.ts';

function isAbsent(status: number): boolean {
  return status === 404 || status === 410;
}

function refused(location: string, response: Response): WebLoraError {
  const words = response.statusText ? ` ${response.statusText}` : '';
  return new WebLoraError('file_unreadable', `The server answered ${response.status}${words} for ${location}.`);
}

async function request(location: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(location, init);
  } catch (cause) {
    init.signal?.throwIfAborted();
    const why = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
    throw new WebLoraError('file_unreadable', `${location} cannot be fetched: ${why}`, { cause });
  }
}

/** `bytes 0-99/1234` → first byte and length of the whole file, each where it is known. */
function contentRange(response: Response): { readonly start: number | undefined; readonly total: number | undefined } {
  const match = /^bytes (?:(\d+)-\d+|\*)\/(?:(\d+)|\*)$/.exec(response.headers.get('content-range') ?? '');
  const number = (digits: string | undefined): number | undefined => (digits === undefined ? undefined : Number(digits));
  return { start: number(match?.[1]), total: number(match?.[2]) };
}

/** Length of an answer's body as stored, or undefined where it is not told or the transfer is compressed. */
function contentLength(response: Response): number | undefined {
  const length = response.headers.get('content-length');
  const encoding = response.headers.get('content-encoding') ?? 'identity';
  return length !== null && /^\d+$/.test(length) && encoding === 'identity' ? Number(length) : undefined;
}

/** Ends an answer whose body nobody wants; a failure to do so changes nothing. */
async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined);
}

/** Collects a body of exactly `length` bytes; allocates only what arrives, and stops at the first byte too many. */
async function collect(
  response: Response,
  location: string,
  start: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  try {
    const reader = response.body?.getReader();
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      chunks.push(part.value);
      total += part.value.length;
      if (total > length) {
        await reader?.cancel().catch(() => undefined);
        throw new WebLoraError('file_unreadable', `The server sent more than the ${length} bytes asked of ${location}.`);
      }
    }
  } catch (cause) {
    if (cause instanceof WebLoraError) throw cause;
    signal?.throwIfAborted();
    throw new WebLoraError('file_unreadable', `The connection broke after ${total} of ${length} bytes of ${location}.`, { cause });
  }
  if (total < length) throw fileTruncated(location, start + length, start + total);
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/**
 * A folder on a web server. Parts of files come by Range requests; from a server that ignores them a file is fetched once, as a
 * whole, and kept as long as the folder. A query in the URL (a signature) is sent with every file.
 *
 * @param signal ends every request; what waits for one then throws the signal's reason.
 */
export function openHttpFolder(source: string | URL, signal?: AbortSignal): Folder {
  const base = new URL(source);
  const query = base.search;
  base.search = '';
  base.hash = '';
  if (!base.pathname.endsWith('/')) base.pathname += '/';

  const locate = (name: string): string => {
    checkFileName(name);
    return base.href + name.split('/').map(encodeURIComponent).join('/');
  };
  const ask = (location: string, init: RequestInit = {}): Promise<Response> => {
    return request(location + query, { ...init, ...(signal && { signal }) });
  };
  const sizes = new Map<string, Promise<number | undefined>>();
  const whole = new Map<string, Promise<Blob>>();

  const keep = <T>(map: Map<string, Promise<T>>, name: string, make: () => Promise<T>): Promise<T> => {
    const known = map.get(name);
    if (known) return known;
    const made = make();
    map.set(name, made);
    made.catch(() => map.delete(name)); // asked again next time
    return made;
  };
  const download = (name: string, answer?: Response): Promise<Blob> =>
    keep(whole, name, async () => {
      const location = locate(name);
      const response = answer ?? (await ask(location));
      if (isAbsent(response.status)) throw fileMissing(location);
      if (!response.ok) throw refused(location, response);
      try {
        return await response.blob();
      } catch (cause) {
        signal?.throwIfAborted();
        throw new WebLoraError('file_unreadable', `The connection broke while ${location} was fetched.`, { cause });
      }
    });
  const measure = async (name: string): Promise<number | undefined> => {
    const location = locate(name);
    // First a range of one byte: unlike HEAD it is never answered for a compressed transfer, whose length is another.
    const probe = await ask(location, { headers: { range: 'bytes=0-0' } });
    await discard(probe);
    if (isAbsent(probe.status)) return undefined;
    const told = probe.status === 200 ? contentLength(probe) : contentRange(probe).total;
    if (told !== undefined && (probe.ok || probe.status === 416)) return told;
    if (!probe.ok && probe.status !== 405 && probe.status !== 416) throw refused(location, probe);
    const head = await ask(location, { method: 'HEAD' });
    const length = head.ok ? contentLength(head) : undefined;
    return length ?? (await download(name)).size;
  };

  return {
    location: base.href,
    size: (name) => keep(sizes, name, () => measure(name)),
    async read(name, start, end) {
      checkByteRange(start, end);
      const location = locate(name);
      if (!whole.has(name)) {
        if (start === end) return new Uint8Array(0);
        const response = await ask(location, { headers: { range: `bytes=${start}-${end - 1}` } });
        if (response.status === 206 && (contentRange(response).start ?? start) === start) {
          return collect(response, location, start, end - start, signal);
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
