import type { CoreEngine, Result } from '../engine/types.ts';
import { ending, envelope, spelling, usageOf } from './answer.ts';
import { completionLogprobs, promptLogprobs, textLength } from './logprobs.ts';
import { runWhole } from './run.ts';
import type { Answers, Running, ServeOptions, Served } from './run.ts';
import type { ChunkShapes } from './stream.ts';
import { tokenNames } from './tokens.ts';
import type { Completion, CompletionChoice, CompletionChunk, CompletionChunkChoice } from './types.ts';

/**
 * Serves the body of a `/v1/completions` request, whole. Throws `WebLoraError`: `request_invalid` (with `param`),
 * `context_length_exceeded`, `adapter_unknown`, and what the engine throws; `errorResponse` turns any of them into an HTTP answer.
 */
export async function createCompletion(engine: CoreEngine, body: unknown, options: ServeOptions = {}): Promise<Completion> {
  return completionAnswer(await runWhole(engine, 'completions', body, options));
}

/** The body of a request that ran. */
export function completionAnswer(served: Served): Completion {
  const { request, answers } = served;
  const choices = answers.flatMap((group, prompt) =>
    group.results.map((result, index) => choice(served, group, result, prompt * request.n + index)),
  );
  return { ...envelope(request, 'text_completion', 'cmpl-'), choices, usage: usageOf(answers) };
}

function choice({ request, text }: Served, answers: Answers, result: Result, index: number): CompletionChoice {
  const names = tokenNames(text.tokenizer);
  return {
    index,
    text: result.text,
    logprobs: result.logprobs === undefined ? null : completionLogprobs(result.logprobs, names, spelling(request)),
    ...ending(result),
    ...(answers.promptLogprobs === undefined ? {} : { prompt_logprobs: promptLogprobs(answers.promptLogprobs, names) }),
    ...(request.returnTokenIds ? { prompt_token_ids: [...answers.promptTokens], token_ids: [...result.tokens] } : {}),
  };
}

/** The chunks of a request that runs. */
export function completionChunks(running: Running): ChunkShapes<CompletionChunk> {
  const { request, prompts, text: model } = running;
  const names = tokenNames(model.tokenizer);
  const shared = envelope(request, 'text_completion', 'cmpl-');
  const usage = request.stream?.usage === 'last' ? { usage: null } : {};
  const chunk = (part: CompletionChunkChoice): CompletionChunk => ({ ...shared, choices: [part], ...usage });
  const open = { logprobs: null, finish_reason: null, stop_reason: null };
  /** Code points of the tokens told so far, by choice. */
  const told = new Map<number, number>();
  return {
    opening: (index) => {
      if (!request.returnTokenIds) return undefined;
      const { promptTokens = [] } = prompts[Math.floor(index / request.n)] ?? {};
      return chunk({ index, text: '', ...open, prompt_token_ids: [...promptTokens] });
    },
    delta: (index, { text, tokens, logprobs = [] }) => {
      const ids = request.returnTokenIds && tokens.length > 0 ? { token_ids: [...tokens] } : {};
      if (text === '' && logprobs.length === 0 && !('token_ids' in ids)) return undefined;
      if (logprobs.length === 0) return chunk({ index, text, ...open, ...ids });
      const begin = told.get(index) ?? 0;
      told.set(index, begin + textLength(logprobs, names));
      return chunk({ index, text, ...open, logprobs: completionLogprobs(logprobs, names, spelling(request), begin), ...ids });
    },
    closing: (index, result) => chunk({ index, text: '', logprobs: null, ...ending(result) }),
    usage: (total) => ({ ...shared, choices: [], usage: total }),
  };
}
