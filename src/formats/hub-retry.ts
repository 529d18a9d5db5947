import { WebLoraError } from '../errors.ts';
import { refused } from './http.ts';
import { unlessAborted } from './hub-turns.ts';

/** Time, so that tests need not wait. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Resolves after so many milliseconds; rejects with the signal's reason as soon as that aborts. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** How much is put up with before an error is thrown. */
export interface Patience {
  readonly signal?: AbortSignal | undefined;
  readonly clock: Clock;
  /** Failures in a row after which the last one is thrown; 1 tries once. */
  readonly failures: number;
  /** Milliseconds without a byte after which a request counts as failed. */
  readonly stall: number;
}

/** What went wrong this time and may go well the next time. */
export interface Failure {
  readonly failure: WebLoraError;
  /** Milliseconds that the server asks to wait. */
  readonly wait?: number | undefined;
}

/** What a wait that a server asks for may last; a longer one is the caller's decision. */
const LONGEST_WAIT = 60_000;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8000;
const PASSING = [408, 425, 429, 500, 502, 503, 504];

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return void reject(signal.reason as Error);
      const ended = (): void => {
        clearTimeout(timer);
        reject(signal!.reason as Error);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', ended);
        resolve();
      }, milliseconds);
      signal?.addEventListener('abort', ended, { once: true });
    }),
};

/** The defaults: six failures in a row, half a minute of silence. */
export function patience(given: { readonly [key in keyof Patience]?: Patience[key] | undefined } = {}): Patience {
  return { signal: given.signal, clock: given.clock ?? systemClock, failures: given.failures ?? 6, stall: given.stall ?? 30_000 };
}

export function isFailure(value: object): value is Failure {
  return 'failure' in value;
}

/** A call whose `file_unreadable` may pass. Throws other errors, and the reason of patience's signal. */
export async function passing<T>(patient: Patience, call: () => Promise<T>): Promise<T | Failure> {
  try {
    return await call();
  } catch (error) {
    patient.signal?.throwIfAborted();
    if (error instanceof WebLoraError && error.code === 'file_unreadable') return { failure: error };
    throw error;
  }
}

/** The failure that an answer of a busy or broken server is; undefined for other answers. */
export function passingFailure(location: string, response: Response, clock: Clock): Failure | undefined {
  if (!PASSING.includes(response.status)) return undefined;
  return { failure: refused(location, response), wait: retryAfter(response, clock) };
}

/** Milliseconds of `Retry-After` (seconds or a date), else of the hub's own `RateLimit: "api";r=0;t=55` where nothing is left. */
function retryAfter(response: Response, clock: Clock): number | undefined {
  const text = response.headers.get('retry-after')?.trim();
  if (text !== undefined && /^\d+$/.test(text)) return Number(text) * 1000;
  const date = text === undefined ? NaN : Date.parse(text);
  if (!Number.isNaN(date)) return Math.max(0, date - clock.now());
  const seconds = response.status === 429 ? /(?:^|;)\s*t=(\d+)/.exec(response.headers.get('ratelimit') ?? '')?.[1] : undefined;
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}

const givenUp = new WeakSet<WebLoraError>();

/** True for the error with which patience ended: nobody refused, nobody answered. */
export function isGivenUp(error: unknown): error is WebLoraError {
  return error instanceof WebLoraError && givenUp.has(error);
}

function giveUp(failure: WebLoraError, words: string): WebLoraError {
  const error = new WebLoraError(failure.code, failure.message + words, { cause: failure });
  givenUp.add(error);
  return error;
}

/** Waits before the next attempt, longer each time; the server's word goes first. Throws the failure where patience ends, or the signal's reason. */
export async function pauseAfter({ failure, wait }: Failure, failures: number, { clock, signal, failures: most }: Patience): Promise<void> {
  signal?.throwIfAborted();
  if (wait !== undefined && wait > LONGEST_WAIT) {
    throw giveUp(failure, ` It asks to wait ${Math.ceil(wait / 1000)} s; try again then.`);
  }
  if (failures >= most) throw giveUp(failure, failures > 1 ? ` That was attempt ${failures}; try again later.` : '');
  const pause = Math.min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE) * (0.5 + Math.random());
  await clock.sleep(Math.max(wait ?? 0, pause), signal);
}

/** Tries until something other than a failure comes. Throws what `attempt` throws, and what `pauseAfter` does. */
export async function persist<T extends object>(attempt: () => Promise<T | Failure>, patient: Patience): Promise<T> {
  for (let failures = 1; ; failures++) {
    const result = await attempt();
    if (!isFailure(result)) return result;
    await pauseAfter(result, failures, patient);
  }
}

/** A signal of its own for one request, which also ends when nothing is heard for too long. */
export interface Watch {
  readonly signal: AbortSignal;
  /** Something came. */
  heard(): void;
  /** Ends the request. */
  stop(): void;
  /** Ends the watch. */
  end(): void;
}

/** Watches a request; its signal aborts with the caller's reason, or with `file_unreadable` after the silence that patience allows. */
export function watch(location: string, { signal, stall }: Patience): Watch {
  const controller = new AbortController();
  const silent = (): void => {
    controller.abort(new WebLoraError('file_unreadable', `Nothing came from ${location} for ${stall / 1000} s.`));
  };
  const ended = (): void => controller.abort(signal!.reason);
  let timer = setTimeout(silent, stall);
  if (signal?.aborted) ended();
  signal?.addEventListener('abort', ended, { once: true });
  return {
    signal: controller.signal,
    heard: () => {
      clearTimeout(timer);
      timer = setTimeout(silent, stall);
    },
    stop: () => controller.abort(),
    end: () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', ended);
    },
  };
}

/**
 * Reads a watched answer, chunk by chunk; undefined after the last one. Throws what reading throws, and the watch's reason: a body that
 * was aborted when its last byte had come may never end in Node.
 */
export function bodyReader(response: Response, watching: Watch): () => Promise<Uint8Array | undefined> {
  const reader = response.body?.getReader();
  return async () => {
    if (!reader) return undefined;
    const part = await unlessAborted(reader.read(), watching.signal);
    watching.heard();
    return part.done ? undefined : part.value;
  };
}
