import type { CoreEngine, Result } from '../engine/types.ts';
import { ending, envelope, spelling, usageOf } from './answer.ts';
import type { Ending, Envelope, UsageBody } from './answer.ts';
import { completionLogprobs, promptLogprobs } from './logprobs.ts';
import type { CompletionLogprobs, PromptLogprobs } from './logprobs.ts';
import { runRequest } from './run.ts';
import type { Answers, ServeOptions, Served } from './run.ts';
import { tokenNames } from './tokens.ts';

/** One answer of a completions request. The optional fields are there where the request asked for them. */
export interface CompletionChoice extends Ending {
  /** Prompt number × n + number of the answer. */
  readonly index: number;
  readonly text: string;
  readonly logprobs: CompletionLogprobs | null;
  readonly prompt_logprobs?: PromptLogprobs;
  readonly prompt_token_ids?: readonly number[];
  readonly token_ids?: readonly number[];
}

/** The body of an answer of `/v1/completions`. */
export interface CompletionBody extends Envelope<'text_completion'> {
  readonly choices: readonly CompletionChoice[];
  readonly usage: UsageBody;
}

/**
 * Serves the body of a `/v1/completions` request, whole. Throws `WebLoraError`: `request_invalid` (with `param`),
 * `context_length_exceeded`, `adapter_unknown`, and what the engine throws; `errorResponse` turns any of them into an HTTP answer.
 */
export async function createCompletion(engine: CoreEngine, body: unknown, options: ServeOptions = {}): Promise<CompletionBody> {
  const served = await runRequest(engine, 'completions', body, options);
  const choices = served.answers.flatMap((answers, prompt) =>
    answers.results.map((result, index) => choice(served, answers, result, prompt * served.request.n + index)),
  );
  return { ...envelope(served, 'text_completion', 'cmpl-'), choices, usage: usageOf(served) };
}

function choice(served: Served, answers: Answers, result: Result, index: number): CompletionChoice {
  const names = tokenNames(served.text.tokenizer);
  const asked = served.request;
  return {
    index,
    text: result.text,
    logprobs: result.logprobs === undefined ? null : completionLogprobs(result.logprobs, names, spelling(served)),
    ...ending(result),
    ...(answers.promptLogprobs === undefined ? {} : { prompt_logprobs: promptLogprobs(answers.promptLogprobs, names) }),
    ...(asked.returnTokenIds ? { prompt_token_ids: answers.promptTokens, token_ids: result.tokens } : {}),
  };
}
