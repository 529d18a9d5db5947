import type { Engine, Generation, GenerateOptions } from 'weblora';

/** Random tokens that start with one of their own for each seed: no two of these prompts share a page. */
export function randomTokens(count: number, seed: number): number[] {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  const next = (): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) >>> 8;
  // below 64 lie the special tokens and the bytes; the vocabulary has 4,096
  return Array.from({ length: count }, (_, i) => (i === 0 ? 64 + (seed % 4000) : 64 + (next() % 4000)));
}

/** A request whose tokens are noted as they come. */
export interface Timeline {
  /** When each token came, by `performance.now()`. */
  readonly times: readonly number[];
  readonly tokens: readonly number[];
  /** Resolves once so many tokens came; rejects with what the request failed with, or `Error` where it ends before. */
  reached(count: number): Promise<void>;
  /** Ends the request where it has not ended, and resolves when it has. */
  stop(): Promise<void>;
  /** Resolves at the end of the answer. */
  readonly done: Promise<void>;
}

/** Starts a request that no end token ends and reads its chunks as they come. */
export function follow(engine: Engine, prompt: readonly number[], options: GenerateOptions): Timeline {
  const leave = new AbortController();
  const times: number[] = [];
  const tokens: number[] = [];
  const waits: { readonly count: number; readonly resolve: () => void }[] = [];
  const generation: Generation = engine.generate(prompt, { ignoreEos: true, ...options, signal: leave.signal });
  const read = async (): Promise<void> => {
    for await (const chunk of generation) {
      const now = performance.now();
      tokens.push(...chunk.tokens);
      times.push(...chunk.tokens.map(() => now));
      for (const wait of waits) if (wait.count <= times.length) wait.resolve();
    }
  };
  const done = read();
  done.catch(() => undefined); // whoever waits for tokens hears it
  const reached = async (count: number): Promise<void> => {
    if (times.length >= count) return;
    const enough = new Promise<void>((resolve) => waits.push({ count, resolve }));
    await Promise.race([enough, done]);
    if (times.length < count) throw new Error(`An answer ended after ${times.length} tokens; ${count} were awaited`);
  };
  const stop = async (): Promise<void> => {
    leave.abort();
    await done.catch(() => undefined);
  };
  return { times, tokens, reached, stop, done };
}

/** Milliseconds between two tokens of an answer, of those gaps that lie in a span of time, or reach into it. */
export function gaps({ times }: Timeline, from: number, to: number): number[] {
  return times.slice(1).flatMap((time, i) => (time >= from && times[i]! <= to ? [time - times[i]!] : []));
}
