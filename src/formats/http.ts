import { fileTruncated } from './folder-contract.ts';
import { WebLoraError } from '../errors.ts';
import { unlessAborted } from './hub-turns.ts';

/** True where the server says that there is no such file. */
export function isAbsent(status: number): boolean {
  return status === 404 || status === 410;
}

/** The error for an answer that is none. */
export function refused(location: string, response: Response): WebLoraError {
  const words = response.statusText ? ` ${response.statusText}` : '';
  return new WebLoraError('file_unreadable', `The server answered ${response.status}${words} for ${location}.`);
}

/** `fetch`. Throws the signal's reason, or `file_unreadable` where no answer comes, without what a query may hold: signatures. */
export async function request(location: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(location, init);
  } catch (cause) {
    init.signal?.throwIfAborted();
    const why = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
    const shown = location.replace(/[?#].*$/s, '');
    throw new WebLoraError('file_unreadable', `${shown} cannot be fetched: ${why.replaceAll(location, shown)}`, { cause });
  }
}

/** `bytes 0-99/1234` → first byte and length of the whole file, each where it is known. */
export function contentRange(response: Response): { readonly start: number | undefined; readonly total: number | undefined } {
  const match = /^bytes (?:(\d+)-\d+|\*)\/(?:(\d+)|\*)$/.exec(response.headers.get('content-range') ?? '');
  const number = (digits: string | undefined): number | undefined => (digits === undefined ? undefined : Number(digits));
  return { start: number(match?.[1]), total: number(match?.[2]) };
}

/** False where the bytes that travel are not those of the file. */
function isPlain(response: Response): boolean {
  return (response.headers.get('content-encoding') ?? 'identity') === 'identity';
}

/** Length of an answer's body as stored, or undefined where it is not told or the transfer is compressed. */
export function contentLength(response: Response): number | undefined {
  const length = response.headers.get('content-length');
  return length !== null && /^\d+$/.test(length) && isPlain(response) ? Number(length) : undefined;
}

/** The ETag of the file as stored; a compressed transfer may have one of its own, which says nothing here. */
export function entityTag(response: Response): string | undefined {
  return isPlain(response) ? (response.headers.get('etag') ?? undefined) : undefined;
}

/** Ends an answer whose body nobody wants; a failure to do so changes nothing. */
export async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined);
}

/**
 * Collects a body of exactly `length` bytes, those of the file from `start`; allocates only what arrives, and stops at the first byte
 * too many. Throws the signal's reason, `file_unreadable` or `file_truncated`.
 */
export async function collect(
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
    // A body that was aborted when its last byte had come may never end in Node.
    const next = async (): Promise<ReadableStreamReadResult<Uint8Array> | undefined> => reader && unlessAborted(reader.read(), signal);
    for (let part = await next(); part && !part.done; part = await next()) {
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
