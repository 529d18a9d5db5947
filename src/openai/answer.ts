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

/** The token counts of a request that ran: its prompts, each once, and its results. */
export function usageOf(prompts: readonly { readonly promptTokens: readonly number[] }[], results: readonly Result[]): CompletionUsage {
  const prompt = prompts.reduce((sum, { promptTokens }) => sum + promptTokens.length, 0);
  const completion = results.reduce((sum, { tokens }) => sum + tokens.length, 0);
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

/** `finish_reason` and `stop_reason` of a result. */
export function ending(result: Result): Ending {
  return { finish_reason: result.finish, stop_reason: result.stopReason ?? null };
}

/** How a request wants its tokens written. */
export function spelling(request: ParsedRequest): Spelling {
  return request.tokensAsIds ? 'ids' : 'text';
}
