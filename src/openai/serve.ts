import { requireOptions, requireSignal } from '../engine/option-checks.ts';
import type { CoreEngine } from '../engine/types.ts';
import { chatAnswer, chatChunks } from './chat.ts';
import { completionAnswer, completionChunks } from './completions.ts';
import type { Endpoint } from './fields.ts';
import { startRequest, wholeAnswers } from './run.ts';
import { streamChunks } from './stream.ts';
import type { ChatCompletion, ChatCompletionChunk, Completion, CompletionChunk, CreateOptions } from './types.ts';

export { listModels } from './models.ts';

/** What a request is answered with: whole, or in chunks where it asked for a stream. */
export type Answer = ChatCompletion | Completion | AsyncIterable<ChatCompletionChunk> | AsyncIterable<CompletionChunk>;

/** A request that the engine has. */
export interface Started {
  /** To be called once. Throws `adapter_unknown` (param `model`) and what the engine throws. */
  answer(): Promise<Answer>;
}

/**
 * Checks a body and hands it to the engine. `aliases` are names of the base model beside its own.
 * Throws `TypeError` for an unknown option; `request_invalid`, `context_length_exceeded`, and whatever the engine throws.
 */
export async function start(
  engine: CoreEngine,
  endpoint: Endpoint,
  body: unknown,
  options: CreateOptions = {},
  aliases: readonly string[] = [],
): Promise<Started> {
  requireOptions(`${endpoint}.create`, options, { signal: true });
  requireSignal(options.signal);
  const running = await startRequest(engine, endpoint, body, { ...options, aliases });
  const { stream } = running.request;
  if (stream === undefined) {
    const answer = endpoint === 'chat' ? chatAnswer : completionAnswer;
    return { answer: async () => answer(await wholeAnswers(running)) };
  }
  if (endpoint === 'chat') return { answer: () => streamChunks(running, chatChunks(running), stream) };
  return { answer: () => streamChunks(running, completionChunks(running), stream) };
}
