import type { Chunk, Generation, Result } from '../engine/types.ts';
import { usageOf } from './answer.ts';
import { inOrderOfArrival } from './arrivals.ts';
import type { Arrival } from './arrivals.ts';
import type { StreamSettings } from './request.ts';
import type { Running } from './run.ts';
import type { CompletionUsage } from './types.ts';

/** How an endpoint writes its chunks. */
export interface ChunkShapes<Body> {
  /** The chunk that comes before a choice's text, where it has one. */
  opening(choice: number): Body | undefined;
  /** New text and tokens of a choice; undefined where there is nothing to tell yet. */
  delta(choice: number, chunk: Chunk): Body | undefined;
  /** How a choice ended. */
  closing(choice: number, result: Result): Body;
  /** After the last, where the request asked for it. */
  usage(usage: CompletionUsage): Body;
}

/**
 * A request's choices as chunks, in the order in which their tokens arrive. Resolves when the first are there; what fails before
 * rejects, what fails later ends the loop. Either way, and when the reader leaves, every choice is cancelled.
 */
export async function streamChunks<Body>(
  running: Running,
  shapes: ChunkShapes<Body>,
  settings: StreamSettings,
): Promise<AsyncIterable<Body>> {
  const generations = running.prompts.flatMap((prompt) => prompt.generations);
  const arrivals = inOrderOfArrival(generations);
  try {
    const first = await arrivals.next();
    return leavable(running, write(running, generations, shapes, settings, first, arrivals));
  } catch (error) {
    running.cancel(error);
    throw await running.explain(error);
  }
}

async function* write<Body>(
  running: Running,
  generations: readonly Generation[],
  shapes: ChunkShapes<Body>,
  settings: StreamSettings,
  first: IteratorResult<Arrival<Chunk>, void>,
  arrivals: AsyncGenerator<Arrival<Chunk>, void, undefined>,
): AsyncGenerator<Body, undefined, undefined> {
  const results: Result[] = [];
  try {
    for (const choice of generations.keys()) yield* some(shapes.opening(choice));
    for (let next = first; !next.done; next = await arrivals.next()) {
      const { index, value } = next.value;
      yield* some(shapes.delta(index, value));
      if (value.finish === undefined) continue;
      const result = await generations[index]!.result();
      results[index] = result;
      yield shapes.closing(index, result);
    }
    if (settings.usage === 'last') yield shapes.usage(usageOf(byPrompt(running, results)));
  } catch (error) {
    running.cancel(error);
    throw await running.explain(error);
  }
}

/** The results of choices 0, 1, … with the prompts that they answer. */
function byPrompt({ prompts, request: { n } }: Running, results: readonly Result[]): Parameters<typeof usageOf>[0] {
  return prompts.map(({ promptTokens }, index) => ({ promptTokens, results: results.slice(index * n, (index + 1) * n) }));
}

function some<T>(value: T | undefined): readonly T[] {
  return value === undefined ? [] : [value];
}

/** Chunks whose reader can leave while it waits for one: a generator alone would go on to its next. */
function leavable<Body>(running: Running, chunks: AsyncGenerator<Body, undefined, undefined>): AsyncIterableIterator<Body, undefined> {
  const done = { done: true, value: undefined } as const;
  let reader: 'here' | 'gone' = 'here';
  const gone = (): boolean => reader === 'gone';
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: async () => {
      if (gone()) return done;
      const [outcome] = await Promise.allSettled([chunks.next()]);
      // Asked anew: the reader may have left while it waited.
      if (gone()) return done;
      if (outcome.status === 'rejected') throw outcome.reason;
      return outcome.value;
    },
    return: async () => {
      reader = 'gone';
      running.cancel(new DOMException('The reader left before the answer ended.', 'AbortError'));
      return done;
    },
  };
}
