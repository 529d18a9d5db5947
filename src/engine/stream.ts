import type { Chunk, Finish, Generation, Result, TokenLogprob, Usage } from './types.ts';

/** Both ends of one answer: the reader's, and what the engine feeds it with. */
export interface Stream {
  readonly generation: Generation;
  /** Gives the reader new text and tokens. Ignored once the stream has ended or failed, as `end` and `fail` are. */
  push(chunk: Chunk): void;
  end(result: Result): void;
  /** What was pushed before is still read; then the reader and `result()` get the error. */
  fail(error: unknown): void;
}

type Step = IteratorResult<Chunk, undefined>;

interface Waiter {
  resolve(step: Step): void;
  reject(error: unknown): void;
}

type State = { readonly kind: 'open' } | { readonly kind: 'ended' } | { readonly kind: 'failed'; readonly error: unknown };

/** Chunks that nobody has read yet, as one. */
function createUnread(): { add(chunk: Chunk): void; take(): Chunk | undefined } {
  let any: 'none' | 'some' = 'none';
  let text = '';
  let tokens: number[] = [];
  let logprobs: TokenLogprob[] | undefined;
  let finish: Finish | undefined;
  let usage: Usage | undefined;
  return {
    add(chunk) {
      any = 'some';
      text += chunk.text;
      for (const token of chunk.tokens) tokens.push(token);
      if (chunk.logprobs !== undefined) {
        logprobs ??= [];
        for (const logprob of chunk.logprobs) logprobs.push(logprob);
      }
      finish = chunk.finish ?? finish;
      usage = chunk.usage ?? usage;
    },
    take() {
      if (any === 'none') return undefined;
      const chunk: Chunk = {
        text,
        tokens,
        ...(logprobs === undefined ? {} : { logprobs }),
        ...(finish === undefined ? {} : { finish }),
        ...(usage === undefined ? {} : { usage }),
      };
      any = 'none';
      text = '';
      tokens = [];
      logprobs = finish = usage = undefined;
      return chunk;
    },
  };
}

function createDeferred<T>(): { readonly promise: Promise<T>; resolve(value: T): void; reject(error: unknown): void } {
  let settle: { resolve(value: T): void; reject(error: unknown): void } | undefined;
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  return { promise, resolve: (value) => settle?.resolve(value), reject: (error) => settle?.reject(error) };
}

/**
 * Makes the stream of one answer. Chunks that arrive while nobody reads are merged into one. Leaving the loop before the end calls
 * `cancel` with an `AbortError`; whoever runs the request then ends the stream with `end` or `fail`. A second iteration while one is
 * open throws `TypeError`; a later one reads on where the first stopped.
 */
export function createStream(cancel: (reason: unknown) => void): Stream {
  const unread = createUnread();
  const outcome = createDeferred<Result>();
  outcome.promise.catch(() => {}); // a reader who only iterates gets the error there: it must not count as unhandled here
  const waiters: Waiter[] = [];
  let state: State = { kind: 'open' };
  let reader: AsyncIterator<Chunk, undefined> | undefined;

  /** Ends the iteration that is open: every read that waits is answered. */
  const closeReader = (): void => {
    reader = undefined;
    for (const waiter of waiters.splice(0)) waiter.resolve({ done: true, value: undefined });
  };

  const read = (self: AsyncIterator<Chunk, undefined>): Promise<Step> => {
    if (reader !== self) return Promise.resolve({ done: true, value: undefined });
    const chunk = unread.take();
    if (chunk !== undefined) return Promise.resolve({ done: false, value: chunk });
    if (state.kind === 'open') return new Promise<Step>((resolve, reject) => waiters.push({ resolve, reject }));
    closeReader();
    return state.kind === 'failed' ? Promise.reject(state.error) : Promise.resolve({ done: true, value: undefined });
  };

  const leave = (self: AsyncIterator<Chunk, undefined>): Promise<Step> => {
    if (reader === self) {
      closeReader();
      if (state.kind === 'open') cancel(new DOMException('The reader left before the answer ended.', 'AbortError'));
    }
    return Promise.resolve({ done: true, value: undefined });
  };

  const open = (): AsyncIterator<Chunk, undefined> => {
    if (reader !== undefined) throw new TypeError('This answer is being read already: iterate a generation once at a time.');
    const self: AsyncIterator<Chunk, undefined> = { next: () => read(self), return: () => leave(self) };
    reader = self;
    return self;
  };

  return {
    generation: { [Symbol.asyncIterator]: open, result: async () => outcome.promise },
    push(chunk) {
      if (state.kind !== 'open') return;
      unread.add(chunk);
      const next = waiters.shift();
      if (next === undefined) return;
      next.resolve({ done: false, value: unread.take()! });
    },
    end(result) {
      if (state.kind !== 'open') return;
      state = { kind: 'ended' };
      outcome.resolve(result);
      if (waiters.length > 0) closeReader();
    },
    fail(error) {
      if (state.kind !== 'open') return;
      state = { kind: 'failed', error };
      outcome.reject(error);
      const next = waiters.shift();
      if (next === undefined) return;
      next.reject(error);
      closeReader();
    },
  };
}
