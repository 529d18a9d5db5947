import type { Result } from '../engine/types.ts';
import type { Spelling } from './logprobs.ts';
import type { ParsedRequest } from './request.ts';
import type { CompletionUsage, Ending, Envelope } from './types.ts';

/** A random id such as `cmpl-0f3c…`: 96 bits. */
export function randomId(prefix: string): string {
  const words = crypto.getRandomValues(new Uint32Array(3));
  return prefix + Array.from(words, (word) => word.toString(16).padStart(8, '0')).join('');
}

/** The beginning of a body. */
export function envelope<Kind extends string>(request: ParsedRequest, object: Kind, prefix: string): Envelope<Kind> {
  return { id: randomId(prefix), object, created: Math.floor(Date.now() / 1000), model: request.model };
}

/** The token counts of a request that ran: its prompts, each once, and all of their answers. */
export function usageOf(
  prompts: readonly { readonly promptTokens: readonly number[]; readonly results: readonly Result[] }[],
): CompletionUsage {
  const prompt = sum(prompts, ({ promptTokens }) => promptTokens.length);
  const completion = sum(prompts, ({ results }) => sum(results, ({ tokens }) => tokens.length));
  // What one answer finds because another one of the same request computed it was not there before the request.
  const cached = sum(prompts, ({ results }) => Math.min(...results.map(({ usage }) => usage.cachedTokens)));
  const details = { prompt_tokens_details: { cached_tokens: cached } };
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion, ...details };
}

function sum<T>(values: readonly T[], count: (value: T) => number): number {
  return values.reduce((total, value) => total + count(value), 0);
}

/** `finish_reason` and `stop_reason` of a result. */
export function ending(result: Result): Ending {
  return { finish_reason: result.finish, stop_reason: result.stopReason ?? null };
}

/** How a request wants its tokens written. */
export function spelling(request: ParsedRequest): Spelling {
  return request.tokensAsIds ? 'ids' : 'text';
}
