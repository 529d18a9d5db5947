type Step<T> = IteratorResult<T, undefined>;

interface Waiter<T> {
  resolve(step: Step<T>): void;
  reject(error: unknown): void;
}

/** Both ends of a list that arrives bit by bit. */
export interface Feed<T> {
  readonly values: AsyncIterableIterator<T, undefined>;
  push(value: T): void;
  /** What was pushed before is still read, then the loop ends. */
  end(): void;
  /** What was pushed before is still read, then the loop throws, once. */
  fail(error: unknown): void;
}

/**
 * A feed with one reader. `merge` makes one value of two that nobody has read yet; without it they wait in a row. `leave` is called
 * when the reader leaves before the end.
 */
export function createFeed<T>(leave: () => void, merge?: (earlier: T, later: T) => T): Feed<T> {
  const unread: T[] = [];
  const waiters: Waiter<T>[] = [];
  let over: (() => Promise<Step<T>>) | undefined;
  const done = (): Promise<Step<T>> => Promise.resolve({ done: true, value: undefined });

  const next = (): Promise<Step<T>> => {
    if (unread.length > 0) return Promise.resolve({ done: false, value: unread.shift()! });
    if (over === undefined) return new Promise((resolve, reject) => waiters.push({ resolve, reject }));
    const last = over;
    over = done;
    return last();
  };
  const finish = (last: () => Promise<Step<T>>): void => {
    if (over !== undefined) return;
    over = last;
    for (const { resolve, reject } of waiters.splice(0)) next().then(resolve, reject);
  };
  const values: AsyncIterableIterator<T, undefined> = {
    next,
    return: () => {
      unread.length = 0;
      if (over === undefined) leave();
      over ??= done;
      for (const { resolve } of waiters.splice(0)) resolve({ done: true, value: undefined });
      return done();
    },
    [Symbol.asyncIterator]: () => values,
  };
  return {
    values,
    push: (value) => {
      if (over !== undefined) return;
      const waiter = waiters.shift();
      if (waiter !== undefined) waiter.resolve({ done: false, value });
      else unread.push(merge !== undefined && unread.length > 0 ? merge(unread.pop()!, value) : value);
    },
    end: () => finish(done),
    fail: (error) => finish(() => thrown(error)),
  };
}

async function thrown(error: unknown): Promise<never> {
  throw error;
}
