import type { CoreEngine } from '../engine/types.ts';
import { WebLoraError } from '../errors.ts';
import { randomId } from './answer.ts';
import { createChatCompletion } from './chat.ts';
import { createCompletion } from './completions.ts';
import { errorResponse } from './errors.ts';
import type { ErrorBody } from './errors.ts';
import { answersOf, OPEN_ANSWERS, Room } from './room.ts';
import type { ServeOptions } from './run.ts';
import type { ChatCompletion, Completion } from './types.ts';
import { shown } from './values.ts';

/** A line of a batch file: its text, its bytes, or the size in bytes of one too long to be kept. */
export type BatchLine = string | Uint8Array | { readonly tooLong: number };

/** What one line of a batch file became: OpenAI's output record. */
export interface BatchRecord {
  readonly id: string;
  /** Null where the line has none. */
  readonly custom_id: string | null;
  /** The answer, refusals included; null where the line was no request. */
  readonly response: {
    readonly status_code: number;
    readonly request_id: string;
    readonly body: ChatCompletion | Completion | ErrorBody;
  } | null;
  /** Why the line was no request. */
  readonly error: { readonly code: BatchErrorCode; readonly message: string } | null;
}

/** Why a line is no request. */
export type BatchErrorCode = 'invalid_json_line' | 'missing_custom_id' | 'duplicate_custom_id' | 'invalid_method' | 'invalid_url';

/** How far a batch is: lines that were read (blank ones left out) and requests that ended, in whatever order. */
export interface BatchProgress {
  readonly read: number;
  readonly ended: number;
}

/** How a batch file is served. */
export interface BatchOptions extends ServeOptions {
  /** Answers that may be open at once, n of each prompt; a line that asks for more runs alone. Default 512. */
  readonly open?: number;
  readonly onProgress?: (progress: BatchProgress) => void;
}

const ENDPOINTS = new Map<unknown, typeof createChatCompletion | typeof createCompletion>([
  ['/v1/chat/completions', createChatCompletion],
  ['/v1/completions', createCompletion],
]);

/**
 * Runs a batch file: every request is handed to the engine as soon as its line is read, so that they share batches; lines are read
 * on while less than `open` answers are open. One record per non-empty line comes out in the order of the lines. A request that is
 * refused and a line that is no request have records of their own and never end the others. Throws what reading the lines throws,
 * and the signal's reason once it is aborted; requests still running are then cancelled, as they are when the caller leaves the loop.
 */
export async function* runBatch(
  engine: CoreEngine,
  lines: AsyncIterable<BatchLine> | Iterable<BatchLine>,
  options: BatchOptions = {},
): AsyncGenerator<BatchRecord, void, undefined> {
  const left = new AbortController();
  const signal = options.signal === undefined ? left.signal : AbortSignal.any([options.signal, left.signal]);
  const queue = new RecordQueue();
  const reading = readRequests(engine, lines, { ...options, signal }, queue);
  // Its failure is thrown below, after the records of the lines that were read: until then it is nobody's.
  reading.catch(() => undefined);
  try {
    yield* queue.records(signal);
    await reading;
  } finally {
    left.abort(new DOMException('the batch was left', 'AbortError'));
  }
}

/**
 * A record as its line of JSON, line feed included. An answer too large for one string (log-probabilities of a large vocabulary)
 * becomes the record of a refusal: the others go on.
 */
export function recordLine(record: BatchRecord): string {
  try {
    return `${JSON.stringify(record)}\n`;
  } catch (error) {
    if (!(error instanceof RangeError) || record.response === null) throw error;
    const tooLarge = new WebLoraError(
      'request_invalid',
      'the answer is too large to be written: ask for fewer log-probabilities or tokens',
    );
    const { status, body } = errorResponse(tooLarge);
    return `${JSON.stringify({ ...record, response: { ...record.response, status_code: status, body } })}\n`;
  }
}

/** Records in the order of their lines, while more are being added. */
class RecordQueue {
  #records: Promise<BatchRecord>[] = [];
  #closed = false;
  #wake: () => void = () => undefined;

  add(record: Promise<BatchRecord>): void {
    this.#records.push(record);
    this.#wake();
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  async *records(signal: AbortSignal): AsyncGenerator<BatchRecord, void, undefined> {
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    for (;;) {
      const batch = this.#records.toReversed();
      this.#records = [];
      for (let next = batch.pop(); next !== undefined; next = batch.pop()) {
        const record = await next;
        signal.throwIfAborted();
        yield record;
      }
      signal.throwIfAborted();
      if (this.#records.length > 0) continue;
      if (this.#closed) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

async function readRequests(
  engine: CoreEngine,
  lines: AsyncIterable<BatchLine> | Iterable<BatchLine>,
  options: BatchOptions & { readonly signal: AbortSignal },
  queue: RecordQueue,
): Promise<void> {
  const seen = new Set<string>();
  const room = new Room(options.open ?? OPEN_ANSWERS);
  let number = 0;
  let read = 0;
  let ended = 0;
  try {
    for await (const line of lines) {
      if (options.signal.aborted) return;
      number++;
      const request = readLine(line, number, seen);
      if (request === undefined) continue;
      read++;
      const answers = 'error' in request ? 0 : answersOf(request.body);
      await room.take(answers);
      const record = 'error' in request ? Promise.resolve(request) : answer(engine, request, options);
      const settled = (): void => {
        room.give(answers);
        options.onProgress?.({ read, ended: ++ended });
      };
      queue.add(record.finally(settled));
      options.onProgress?.({ read, ended });
    }
  } finally {
    queue.close();
  }
}

interface Request {
  readonly customId: string;
  readonly create: typeof createChatCompletion | typeof createCompletion;
  readonly body: unknown;
}

async function answer(engine: CoreEngine, request: Request, options: ServeOptions): Promise<BatchRecord> {
  const record = (status: number, body: NonNullable<BatchRecord['response']>['body']): BatchRecord => ({
    id: randomId('batch_req_'),
    custom_id: request.customId,
    response: { status_code: status, request_id: randomId('req_'), body },
    error: null,
  });
  try {
    return record(200, await request.create(engine, request.body, options));
  } catch (error) {
    const { status, body } = errorResponse(error);
    return record(status, body);
  }
}

/** A line as a request, as the record of what is wrong with it, or undefined where it is blank. */
function readLine(line: BatchLine, number: number, seen: Set<string>): Request | BatchRecord | undefined {
  const wrong = (code: BatchErrorCode, message: string, customId: string | null = null): BatchRecord => ({
    id: randomId('batch_req_'),
    custom_id: customId,
    response: null,
    error: { code, message: `line ${number}: ${message}` },
  });
  const parsed = parseLine(line);
  if (parsed === undefined) return undefined;
  if ('wrong' in parsed) return wrong('invalid_json_line', parsed.wrong);
  const { custom_id: customId, method, url, body } = parsed.fields;
  if (typeof customId !== 'string' || customId === '') {
    return wrong('missing_custom_id', `custom_id must be a non-empty string, not ${shown(customId)}`);
  }
  if (seen.has(customId)) return wrong('duplicate_custom_id', `custom_id ${shown(customId)} was used on an earlier line`, customId);
  seen.add(customId);
  if (method !== 'POST') return wrong('invalid_method', `method must be "POST", not ${shown(method)}`, customId);
  const create = ENDPOINTS.get(url);
  if (create === undefined) {
    return wrong('invalid_url', `url must be ${[...ENDPOINTS.keys()].map(shown).join(' or ')}, not ${shown(url)}`, customId);
  }
  return { customId, create, body };
}

type ParsedLine = { readonly fields: Readonly<Record<string, unknown>> } | { readonly wrong: string };

function parseLine(line: BatchLine): ParsedLine | undefined {
  if (typeof line === 'object' && 'tooLong' in line) return { wrong: `${line.tooLong} bytes are too many for one request` };
  let text: string;
  try {
    text = typeof line === 'string' ? line : new TextDecoder('utf-8', { fatal: true }).decode(line);
  } catch {
    return { wrong: 'the line is not UTF-8' };
  }
  const json = text.trim(); // of a byte order mark, too
  if (json === '') return undefined;
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { fields: value as Record<string, unknown> };
    return { wrong: `a request is a JSON object { custom_id, method, url, body }, not ${shown(value)}` };
  } catch (error) {
    return { wrong: `not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}
