import type { CoreEngine, Result } from '../engine/types.ts';
import { ending, envelope, spelling, usageOf } from './answer.ts';
import type { Ending, Envelope, UsageBody } from './answer.ts';
import { chatLogprobs, promptLogprobs } from './logprobs.ts';
import type { ChatLogprobs, PromptLogprobs } from './logprobs.ts';
import { runRequest } from './run.ts';
import type { ServeOptions, Served } from './run.ts';
import { tokenNames } from './tokens.ts';

/** One answer of a chat request. */
export interface ChatChoice extends Ending {
  readonly index: number;
  readonly message: { readonly role: 'assistant'; readonly content: string; readonly refusal: null };
  readonly logprobs: ChatLogprobs | null;
  /** Where the request asked for token ids. */
  readonly token_ids?: readonly number[];
}

/** The body of an answer of `/v1/chat/completions`. The optional fields are there where the request asked for them. */
export interface ChatCompletionBody extends Envelope<'chat.completion'> {
  readonly choices: readonly ChatChoice[];
  readonly usage: UsageBody;
  readonly prompt_logprobs?: PromptLogprobs;
  readonly prompt_token_ids?: readonly number[];
}

/**
 * Serves the body of a `/v1/chat/completions` request, whole. Throws `WebLoraError`: `request_invalid` (with `param`),
 * `context_length_exceeded`, `adapter_unknown`, and what the engine throws; `errorResponse` turns any of them into an HTTP answer.
 */
export async function createChatCompletion(engine: CoreEngine, body: unknown, options: ServeOptions = {}): Promise<ChatCompletionBody> {
  const served = await runRequest(engine, 'chat', body, options);
  const [answers] = served.answers;
  const prompt = answers?.promptLogprobs;
  return {
    ...envelope(served, 'chat.completion', 'chatcmpl-'),
    choices: (answers?.results ?? []).map((result, index) => choice(served, result, index)),
    usage: usageOf(served),
    ...(prompt === undefined ? {} : { prompt_logprobs: promptLogprobs(prompt, tokenNames(served.text.tokenizer)) }),
    ...(served.request.returnTokenIds ? { prompt_token_ids: answers?.promptTokens ?? [] } : {}),
  };
}

function choice(served: Served, result: Result, index: number): ChatChoice {
  const names = tokenNames(served.text.tokenizer);
  return {
    index,
    message: { role: 'assistant', content: result.text, refusal: null },
    logprobs: result.logprobs === undefined ? null : chatLogprobs(result.logprobs, names, spelling(served)),
    ...ending(result),
    ...(served.request.returnTokenIds ? { token_ids: result.tokens } : {}),
  };
}
