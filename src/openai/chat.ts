import type { CoreEngine, Result, TokenLogprob } from '../engine/types.ts';
import { ending, envelope, spelling, usageOf } from './answer.ts';
import { chatLogprobs, promptLogprobs } from './logprobs.ts';
import { runWhole } from './run.ts';
import type { Running, ServeOptions, Served } from './run.ts';
import type { ChunkShapes } from './stream.ts';
import { tokenNames } from './tokens.ts';
import type { ChatChoice, ChatChunkChoice, ChatCompletion, ChatCompletionChunk, ChatLogprobs } from './types.ts';

/**
 * Serves the body of a `/v1/chat/completions` request, whole. Throws `WebLoraError`: `request_invalid` (with `param`),
 * `context_length_exceeded`, `adapter_unknown`, and what the engine throws; `errorResponse` turns any of them into an HTTP answer.
 */
export async function createChatCompletion(engine: CoreEngine, body: unknown, options: ServeOptions = {}): Promise<ChatCompletion> {
  return chatAnswer(await runWhole(engine, 'chat', body, options));
}

/** The body of a request that ran. */
export function chatAnswer(served: Served): ChatCompletion {
  const { request, text } = served;
  const [answers] = served.answers;
  const prompt = answers?.promptLogprobs;
  const results = answers?.results ?? [];
  return {
    ...envelope(request, 'chat.completion', 'chatcmpl-'),
    choices: results.map((result, index) => choice(served, result, index)),
    usage: usageOf(served.answers),
    ...(prompt === undefined ? {} : { prompt_logprobs: promptLogprobs(prompt, tokenNames(text.tokenizer)) }),
    ...(request.returnTokenIds ? { prompt_token_ids: [...(answers?.promptTokens ?? [])] } : {}),
  };
}

function choice(served: Served, result: Result, index: number): ChatChoice {
  return {
    index,
    message: { role: 'assistant', content: result.text, refusal: null },
    logprobs: result.logprobs === undefined ? null : logprobsOf(served, result.logprobs),
    ...ending(result),
    ...(served.request.returnTokenIds ? { token_ids: [...result.tokens] } : {}),
  };
}

/** The chunks of a request that runs. */
export function chatChunks(running: Running): ChunkShapes<ChatCompletionChunk> {
  const { request, prompts } = running;
  const shared = envelope(request, 'chat.completion.chunk', 'chatcmpl-');
  const usage = request.stream?.usage === 'last' ? { usage: null } : {};
  const chunk = (part: ChatChunkChoice): ChatCompletionChunk => ({ ...shared, choices: [part], ...usage });
  const open = { logprobs: null, finish_reason: null, stop_reason: null };
  return {
    opening: (index) => {
      const role = chunk({ index, delta: { role: 'assistant', content: '' }, ...open });
      const wantsIds = index === 0 && request.returnTokenIds;
      return wantsIds ? { ...role, prompt_token_ids: [...(prompts[0]?.promptTokens ?? [])] } : role;
    },
    delta: (index, { text, tokens, logprobs = [] }) => {
      const ids = request.returnTokenIds && tokens.length > 0 ? { token_ids: [...tokens] } : {};
      if (text === '' && logprobs.length === 0 && !('token_ids' in ids)) return undefined;
      const told = logprobs.length === 0 ? {} : { logprobs: logprobsOf(running, logprobs) };
      return chunk({ index, delta: { content: text }, ...open, ...told, ...ids });
    },
    closing: (index, result) => chunk({ index, delta: {}, logprobs: null, ...ending(result) }),
    usage: (total) => ({ ...shared, choices: [], usage: total }),
  };
}

function logprobsOf({ request, text }: Pick<Running, 'request' | 'text'>, entries: readonly TokenLogprob[]): ChatLogprobs {
  return chatLogprobs(entries, tokenNames(text.tokenizer), spelling(request));
}
