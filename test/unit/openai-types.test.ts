import type OpenAI from 'openai';
import { expectTypeOf, test } from 'vitest';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletions,
  Completion,
  CompletionChunk,
  Completions,
  Model,
} from '../../src/openai/types.ts';

type Chat = OpenAI.Chat.Completions.ChatCompletionCreateParams;
type ChatWhole = OpenAI.Chat.Completions.ChatCompletionCreateParamsNonStreaming;
type ChatStreaming = OpenAI.Chat.Completions.ChatCompletionCreateParamsStreaming;
type Text = OpenAI.Completions.CompletionCreateParams;
type TextWhole = OpenAI.Completions.CompletionCreateParamsNonStreaming;
type TextStreaming = OpenAI.Completions.CompletionCreateParamsStreaming;

/** OpenAI's API sends `null` in the chunks of completions; the package's type, which whole answers share, does not say so. */
type TextChunk = Omit<OpenAI.Completion, 'choices' | 'usage'> & {
  choices: (Omit<OpenAI.CompletionChoice, 'finish_reason'> & { finish_reason: OpenAI.CompletionChoice['finish_reason'] | null })[];
  usage?: OpenAI.CompletionUsage | null;
};

// Nothing below runs: the compiler is the test.
const chat = (() => undefined) as unknown as ChatCompletions['create'];
const text = (() => undefined) as unknown as Completions['create'];

test('OpenAI’s requests are taken, and stream decides what comes', () => {
  expectTypeOf((body: ChatWhole) => chat(body)).returns.resolves.toEqualTypeOf<ChatCompletion>();
  expectTypeOf((body: ChatStreaming) => chat(body)).returns.resolves.toEqualTypeOf<AsyncIterable<ChatCompletionChunk>>();
  expectTypeOf((body: Chat) => chat(body)).returns.resolves.toEqualTypeOf<ChatCompletion | AsyncIterable<ChatCompletionChunk>>();
  expectTypeOf((body: TextWhole) => text(body)).returns.resolves.toEqualTypeOf<Completion>();
  expectTypeOf((body: TextStreaming) => text(body)).returns.resolves.toEqualTypeOf<AsyncIterable<CompletionChunk>>();
  expectTypeOf((body: Text) => text(body)).returns.resolves.toEqualTypeOf<Completion | AsyncIterable<CompletionChunk>>();
  const messages = [{ role: 'user', content: 'Hi' }] as const;
  expectTypeOf(() => chat({ model: 'x', messages })).returns.resolves.toEqualTypeOf<ChatCompletion>();
  expectTypeOf(() => chat({ model: 'x', messages, stream: true })).returns.resolves.toEqualTypeOf<AsyncIterable<ChatCompletionChunk>>();
  expectTypeOf(() => text({ model: 'x', prompt: [1, 2], stream: false })).returns.resolves.toEqualTypeOf<Completion>();
});

test('answers are OpenAI’s, and go back into a conversation', () => {
  expectTypeOf<ChatCompletion>().toExtend<OpenAI.ChatCompletion>();
  expectTypeOf<ChatCompletionChunk>().toExtend<OpenAI.ChatCompletionChunk>();
  expectTypeOf<Completion>().toExtend<OpenAI.Completion>();
  expectTypeOf<CompletionChunk>().toExtend<TextChunk>();
  expectTypeOf<Model>().toExtend<OpenAI.Model>();
  type Reply = ChatCompletion['choices'][number]['message'];
  expectTypeOf((reply: Reply) => chat({ model: 'x', messages: [reply] })).returns.resolves.toEqualTypeOf<ChatCompletion>();
});

test('vLLM’s fields and ours are typed', () => {
  const lora = [{ name: 'a', scale: 0.5 }];
  const fields = {
    top_k: 3,
    min_p: 0.1,
    repetition_penalty: 1.1,
    priority: 1,
    cache_salt: 'x',
    tenant: 'x',
    first_token_deadline_ms: 5,
    lora,
  };
  expectTypeOf(() => text({ model: 'x', prompt: 'x', ...fields })).returns.resolves.toEqualTypeOf<Completion>();
  expectTypeOf<Completion['usage']['prompt_tokens_details']['cached_tokens']>().toEqualTypeOf<number>();
});

test('what is not served does not compile', () => {
  // @ts-expect-error an unknown field
  expectTypeOf(() => chat({ model: 'x', messages: [], temperatur: 1 })).toBeFunction();
  // @ts-expect-error a field of the other endpoint
  expectTypeOf(() => text({ model: 'x', prompt: 'x', messages: [] })).toBeFunction();
  // @ts-expect-error nothing to go on from
  expectTypeOf(() => text({ model: 'x' })).toBeFunction();
});
