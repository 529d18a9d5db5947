import { WebLoraError } from '../errors.ts';
import { contentRange } from './http.ts';
import type { HashMaker } from './hash.ts';
import { followHash } from './download-hash.ts';
import type { FileHash } from './download-hash.ts';
import type { Gate } from './download-gate.ts';
import { bodyReader, isFailure, patience, pauseAfter, watch } from './hub-retry.ts';
import type { Failure, Patience, Watch } from './hub-retry.ts';
import { pieceCount, pieceLength } from './hub-store.ts';
import type { HubPart } from './hub-store.ts';

/** An answer with bytes (200 or 206), or what kept it from coming this time. */
export type RangeAnswer = { readonly response: Response } | Failure;

/** Where the bytes of one file come from. */
export interface RangeSource {
  /** For messages. */
  readonly location: string;
  /** Asks for the bytes from `start` to `end` (exclusive), or for all. Throws what another attempt would not change. */
  ask(range: { readonly start: number; readonly end: number } | undefined, signal: AbortSignal): Promise<RangeAnswer>;
}

export interface DownloadOptions {
  /** Bytes that the file must have. */
  readonly size: number;
  readonly hash: FileHash;
  readonly hashes: HashMaker;
  /** Connections that this file and others share. */
  readonly gate: Gate;
  readonly patience: Patience;
  /** Called as bytes come, with those of this file that are here, also from before; fewer after a restart. What it throws ends the download. */
  readonly onBytes?: ((loaded: number) => void) | undefined;
}

/** What one download's functions share. */
interface Job extends DownloadOptions {
  readonly source: RangeSource;
  readonly part: HubPart;
  /** Bytes of pieces that are on their way. */
  readonly flying: Map<number, number>;
  /** Ends all that is under way for this file, and throws. */
  stop(error: unknown): never;
}

/** Connections for one file. */
const CONNECTIONS = 4;

/**
 * Brings a part to its end: fetches the pieces that it lacks over a few connections, or the whole file in one stream where the server
 * knows no ranges; checks size and hash; finishes the part. Broken connections go on where they broke, busy servers are asked again. Wrong
 * bytes are thrown away and fetched once more.
 *
 * Throws `file_corrupt` where they are wrong again, `file_unreadable` where patience ends, what the source and the part throw, and the
 * signal's reason; the pieces that are there by then stay.
 */
export async function downloadFile(source: RangeSource, part: HubPart, options: DownloadOptions): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const found = await fetchAndHash(source, part, options);
    if (found === options.hash.hex) return part.finish();
    await part.clear();
    if (attempt < 2) continue;
    const hash = `${options.hash.kind === 'sha256' ? 'SHA-256' : "git's SHA-1"} ${found}, the hub says ${options.hash.hex}`;
    const message = `${source.location} arrived twice with other bytes than it should have (${hash}): something on the way changes them; try again later or from another network.`;
    throw new WebLoraError('file_corrupt', message);
  }
}

/** Fetches what is missing while what is there is hashed; the hash in hexadecimal digits. Where one of them fails the other ends. */
async function fetchAndHash(source: RangeSource, part: HubPart, options: DownloadOptions): Promise<string> {
  const controller = new AbortController();
  const given = options.patience.signal;
  const ended = (): void => controller.abort(given!.reason);
  given?.addEventListener('abort', ended, { once: true });
  if (given?.aborted) ended();
  const stop = (error: unknown): never => {
    controller.abort(error);
    throw error;
  };
  const inner = patience({ ...options.patience, signal: controller.signal });
  const job: Job = { ...options, source, part, flying: new Map(), patience: inner, stop };
  try {
    tell(job);
    const hashing = followHash(part, options.size, options.hash, options.hashes, controller.signal);
    const results = await Promise.allSettled([fetchPieces(job, hashing.kept).catch(stop), hashing.hex.catch(stop)]);
    controller.signal.throwIfAborted(); // with the error that came first
    return (results[1] as PromiseFulfilledResult<string>).value;
  } finally {
    given?.removeEventListener('abort', ended);
  }
}

async function fetchPieces(job: Job, kept: () => void): Promise<void> {
  const { part, size } = job;
  const count = pieceCount(size, part.pieceBytes);
  const missing = missingPieces(part, count);
  const first = missing.next();
  if (first.done) return;
  // One piece alone shows what the server can; a file of one piece needs no range.
  if (count === 1 || (await fetchPiece(job, first.value, kept)) === 'no ranges') return fetchStream(job, kept);
  let ranges: 'yes' | 'no ranges' = 'yes';
  const worker = async (): Promise<void> => {
    for (let piece = missing.next(); !piece.done && ranges === 'yes'; piece = missing.next()) {
      if ((await fetchPiece(job, piece.value, kept)) === 'no ranges') ranges = 'no ranges';
    }
  };
  // All have ended before the part may be closed, whichever fails first.
  await Promise.allSettled(Array.from({ length: CONNECTIONS }, () => worker().catch(job.stop)));
  job.patience.signal?.throwIfAborted();
  // Another host may answer later than the first piece's, and know no ranges.
  if ((ranges as 'yes' | 'no ranges') === 'no ranges') return fetchStream(job, kept);
}

/** One after the other: a file's size is what somebody says, and no list of its pieces is made before its bytes come. */
function* missingPieces({ kept }: HubPart, count: number): Generator<number, undefined> {
  for (let piece = 0; piece < count; piece++) if (!kept.has(piece)) yield piece;
}

/** Fetches one piece; a connection that breaks goes on where it broke. */
async function fetchPiece(job: Job, piece: number, kept: () => void): Promise<'kept' | 'no ranges'> {
  const { part, size, source, gate } = job;
  const from = piece * part.pieceBytes;
  const release = await gate(size, job.patience.signal);
  try {
    const bytes = new Uint8Array(pieceLength(size, part.pieceBytes, piece));
    for (let at = 0, failures = 0; at < bytes.length;) {
      const before = at;
      const result = await attempt(job, { start: from + at, end: from + bytes.length }, async (response, watching) => {
        if (response.status === 200) return 'no ranges';
        const told = contentRange(response);
        if ((told.start ?? from + at) !== from + at || (told.total ?? size) !== size) {
          return failureOf(
            `${source.location} answered ${response.headers.get('content-range')} where bytes from ${from + at} of ${size} were asked.`,
          );
        }
        return pour(response, source.location, watching, (chunk) => {
          if (at + chunk.length > bytes.length) return failureOf(`${source.location} sent more bytes than were asked.`);
          bytes.set(chunk, at);
          at += chunk.length;
          fly(job, piece, at);
          return undefined;
        });
      });
      if (result === 'no ranges') return result;
      if (at === bytes.length) break;
      failures = at > before ? 1 : failures + 1;
      await pauseAfter(
        result ?? failureOf(`${source.location} ended after ${from + at} of ${from + bytes.length} bytes.`),
        failures,
        job.patience,
      );
    }
    await part.put(piece, bytes);
    job.patience.signal?.throwIfAborted();
    kept();
    return 'kept';
  } finally {
    job.flying.delete(piece);
    release();
  }
}

/** Fetches the file from its first byte to its last, as often as it takes; pieces that are kept already are passed over. */
async function fetchStream(job: Job, kept: () => void): Promise<void> {
  const { part, size, source, gate } = job;
  const release = await gate(size, job.patience.signal);
  try {
    for (let most = 0, failures = 0; ;) {
      let at = 0;
      let bytes = new Uint8Array(pieceLength(size, part.pieceBytes, 0));
      const result = await attempt(job, undefined, (response, watching) =>
        pour(response, source.location, watching, async (chunk) => {
          for (let done = 0; done < chunk.length;) {
            if (at === size) return failureOf(`${source.location} is longer than the ${size} bytes that it should have.`);
            const piece = Math.floor(at / part.pieceBytes);
            const inPiece = at - piece * part.pieceBytes;
            const some = chunk.subarray(done, done + bytes.length - inPiece);
            bytes.set(some, inPiece);
            at += some.length;
            done += some.length;
            if (!part.kept.has(piece)) fly(job, piece, inPiece + some.length);
            if (inPiece + some.length < bytes.length) continue;
            if (!part.kept.has(piece)) await part.put(piece, bytes);
            job.flying.delete(piece);
            kept();
            bytes = new Uint8Array(Math.max(0, pieceLength(size, part.pieceBytes, piece + 1)));
          }
          return undefined;
        }),
      );
      if (result === undefined && at === size) return;
      failures = at > most ? 1 : failures + 1;
      most = Math.max(most, at);
      job.flying.clear();
      const why = result ?? failureOf(`${source.location} ended after ${at} of ${size} bytes.`);
      await pauseAfter(why, failures, job.patience);
    }
  } finally {
    release();
  }
}

function failureOf(message: string, cause?: unknown): Failure {
  return { failure: new WebLoraError('file_unreadable', message, { cause }) };
}

/** One request: asks, has the answer used, and ends it. What `use` does not return for is in the failure. */
async function attempt<T>(
  job: Job,
  range: { readonly start: number; readonly end: number } | undefined,
  use: (response: Response, watching: Watch) => Promise<T | Failure>,
): Promise<T | Failure> {
  const watching = watch(job.source.location, job.patience);
  try {
    const answer = await job.source.ask(range, watching.signal);
    if (isFailure(answer)) return answer;
    const result = await use(answer.response, watching);
    watching.stop(); // what is left of the answer, nobody reads
    return result;
  } finally {
    watching.end();
  }
}

/** Gives an answer's bytes to `take`, until that finds a failure. A connection that breaks is one. */
async function pour(
  response: Response,
  location: string,
  watching: Watch,
  take: (chunk: Uint8Array) => Failure | undefined | Promise<Failure | undefined>,
): Promise<Failure | undefined> {
  const next = bodyReader(response, watching);
  for (;;) {
    let chunk: Uint8Array | undefined;
    try {
      chunk = await next();
    } catch (cause) {
      return failureOf(`The connection broke while ${location} was fetched.`, cause);
    }
    if (!chunk) return undefined;
    const failure = await take(chunk);
    if (failure) return failure;
  }
}

function fly(job: Job, piece: number, bytes: number): void {
  job.flying.set(piece, bytes);
  tell(job);
}

function tell({ part, size, flying, onBytes }: Job): void {
  if (!onBytes) return;
  const last = pieceCount(size, part.pieceBytes) - 1;
  let loaded = part.kept.size * part.pieceBytes;
  if (part.kept.has(last)) loaded += pieceLength(size, part.pieceBytes, last) - part.pieceBytes;
  for (const [piece, bytes] of flying) if (!part.kept.has(piece)) loaded += bytes;
  onBytes(loaded);
}
