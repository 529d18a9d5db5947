import type { Finish, Result } from '../engine/types.ts';
import type { Served } from './run.ts';
import type { Spelling } from './logprobs.ts';

/** OpenAI's token counts of one request: a prompt counts once however many answers it has. */
export interface UsageBody {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/** What every answer's body begins with. */
export interface Envelope<Kind extends string> {
  readonly id: string;
  readonly object: Kind;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

/** How a choice ended. */
export interface Ending {
  readonly finish_reason: Finish;
  /** The stop string or stop token id that ended it; null for an end token and for `length`. */
  readonly stop_reason: string | number | null;
}

/** A random id such as `cmpl-0f3c…`: 96 bits. */
export function randomId(prefix: string): string {
  const words = crypto.getRandomValues(new Uint32Array(3));
  return prefix + Array.from(words, (word) => word.toString(16).padStart(8, '0')).join('');
}

/** The beginning of a body. */
export function envelope<Kind extends string>(served: Served, object: Kind, prefix: string): Envelope<Kind> {
  return { id: randomId(prefix), object, created: Math.floor(Date.now() / 1000), model: served.request.model };
}

/** The token counts of a request that ran. */
export function usageOf(served: Served): UsageBody {
  const prompt = served.answers.reduce((sum, answers) => sum + answers.promptTokens.length, 0);
  const completion = served.answers.flatMap((answers) => answers.results).reduce((sum, result) => sum + result.tokens.length, 0);
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

/** `finish_reason` and `stop_reason` of a result. */
export function ending(result: Result): Ending {
  return { finish_reason: result.finish, stop_reason: result.stopReason ?? null };
}

/** How a request wants its tokens written. */
export function spelling(served: Served): Spelling {
  return served.request.tokensAsIds ? 'ids' : 'text';
}
