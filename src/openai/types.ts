import type { CoreEngine, Finish } from '../engine/types.ts';

/** An engine with OpenAI's face: the same in this thread (`createEngine`) and across a worker (`connectEngine`). */
export interface Engine extends Omit<CoreEngine, 'text'> {
  /** OpenAI's `/v1/chat/completions`. */
  readonly chat: { readonly completions: ChatCompletions };
  /** OpenAI's `/v1/completions`. */
  readonly completions: Completions;
  /** OpenAI's `/v1/models`. */
  readonly models: Models;
}

/** What a call takes beside its body. */
export interface CreateOptions {
  /** Ends the request; the call, or the loop over its chunks, then throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Checks a body, runs it, and answers whole or, with `stream: true`, in chunks. The promise of a stream is kept when its first tokens
 * are there, so that whatever refuses a request rejects it. Leaving the loop over the chunks cancels every choice.
 *
 * Throws `WebLoraError`: `request_invalid` (with `param`) for a field that is unknown, wrong or not served, `context_length_exceeded`,
 * `adapter_unknown`, `overloaded`, `deadline_exceeded`, and what the engine throws. `TypeError` for an option that does not exist.
 */
export interface ChatCompletions {
  create(body: ChatCompletionRequest & { readonly stream?: false | null }, options?: CreateOptions): Promise<ChatCompletion>;
  create(body: ChatCompletionRequest & { readonly stream: true }, options?: CreateOptions): Promise<AsyncIterable<ChatCompletionChunk>>;
  create(body: ChatCompletionRequest, options?: CreateOptions): Promise<ChatCompletion | AsyncIterable<ChatCompletionChunk>>;
}

/** As `ChatCompletions`, for prompts without a template. */
export interface Completions {
  create(body: CompletionRequest & { readonly stream?: false | null }, options?: CreateOptions): Promise<Completion>;
  create(body: CompletionRequest & { readonly stream: true }, options?: CreateOptions): Promise<AsyncIterable<CompletionChunk>>;
  create(body: CompletionRequest, options?: CreateOptions): Promise<Completion | AsyncIterable<CompletionChunk>>;
}

export interface Models {
  /** The base model and every registered adapter. */
  list(): Promise<ModelList>;
}

/** Fields of both requests. Those that OpenAI or vLLM have and that are not named here are refused when they would change an answer. */
export interface RequestFields {
  /** The base model's name, or an adapter's id; the base where both are the same. */
  readonly model: string;
  /** Answers to each prompt, 1 (default) to 128; answer i is drawn with `seed` + i. */
  readonly n?: number | null;
  readonly seed?: number | null;
  /** `max_completion_tokens` is the same. Default: what is left of the context for chat, 16 for completions. */
  readonly max_tokens?: number | null;
  readonly max_completion_tokens?: number | null;
  /** 0 to 2; default: the model's own, else 1. So it is with the next four, whose neutral values are 1, 0, 0 and 1. */
  readonly temperature?: number | null;
  /** Above 0, up to 1: only the most likely tokens whose probabilities sum to at least this. */
  readonly top_p?: number | null;
  /** vLLM's: only so many of the most likely tokens; 0 and −1: all. */
  readonly top_k?: number | null;
  /** vLLM's, 0 to 1: only tokens at least this times as likely as the most likely one. */
  readonly min_p?: number | null;
  /** vLLM's, above 0: divides positive logits, multiplies negative ones, of tokens in prompt or answer. */
  readonly repetition_penalty?: number | null;
  /** −2 to 2: taken from the logits of tokens in the answer so far. */
  readonly presence_penalty?: number | null;
  /** −2 to 2: the same, times how often. */
  readonly frequency_penalty?: number | null;
  /** By token id, −100 to 100: added to the raw logits. */
  readonly logit_bias?: Readonly<Record<string, number>> | null;
  readonly stop?: string | readonly string[] | null;
  readonly stop_token_ids?: readonly number[] | null;
  readonly ignore_eos?: boolean | null;
  readonly stream?: boolean | null;
  readonly stream_options?: StreamOptions | null;
  /** vLLM's: at each prompt position so many of the most likely tokens; −1: all. Not with `stream`. */
  readonly prompt_logprobs?: number | null;
  /** vLLM's: adds `prompt_token_ids` and `token_ids` to the answer. */
  readonly return_token_ids?: boolean | null;
  /** vLLM's: tokens in log-probabilities read `token_id:7`. */
  readonly return_tokens_as_token_ids?: boolean | null;
  /** Ours: up to 8 adapters whose scaled deltas are summed; `model` then names the base. */
  readonly lora?: readonly LoraPart[] | null;
  /** Ours: whose share of the device it takes. */
  readonly tenant?: string | null;
  /** vLLM's: an integer; lower goes first, default 0. */
  readonly priority?: number | null;
  /** Ours: fails with `deadline_exceeded` once its first token can no longer come this soon. Milliseconds, above 0. */
  readonly first_token_deadline_ms?: number | null;
  /** vLLM's, not empty: computed beginnings are shared only with requests of the same salt. */
  readonly cache_salt?: string | null;
  readonly user?: string | null;
  readonly metadata?: object | null;
  readonly store?: boolean | null;
  readonly safety_identifier?: string | null;
  readonly service_tier?: string | null;
  readonly prompt_cache_key?: string | null;
  readonly prompt_cache_retention?: string | null;
  readonly request_id?: string | null;
}

/** An adapter of a blend by its id, and a finite factor on its deltas. */
export interface LoraPart {
  readonly name: string;
  readonly scale: number;
}

/** Only with `stream: true`. */
export interface StreamOptions {
  /** A last chunk without choices has the usage; the others have `usage: null`. */
  readonly include_usage?: boolean | null;
}

/** The body of a chat request. */
export interface ChatCompletionRequest extends RequestFields {
  readonly messages: readonly ChatMessage[];
  readonly logprobs?: boolean | null;
  /** Needs `logprobs: true`; −1: the whole vocabulary. */
  readonly top_logprobs?: number | null;
}

/** A turn of a conversation. */
export interface ChatMessage {
  readonly role: string;
  /** Text, or parts of type `text`, which are joined. */
  readonly content?: string | readonly ChatContentPart[] | null;
}

export interface ChatContentPart {
  readonly type: string;
  readonly text?: string;
}

/** The body of a completions request. */
export interface CompletionRequest extends RequestFields {
  /** Text, token ids, or a list of either. */
  readonly prompt: string | readonly string[] | readonly number[] | readonly (readonly number[])[] | null;
  /** How many of the most likely tokens to report at each position; −1: the whole vocabulary; 0: the chosen token only. */
  readonly logprobs?: number | null;
}

// Lists below are not `readonly`: then OpenAI's own types take them.

/** OpenAI's token counts of one request: a prompt counts once however many answers it has. */
export interface CompletionUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  /** Prompt tokens whose keys and values an earlier request had computed. */
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

/** What every answer and every chunk begins with; the chunks of one answer share it. */
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

/** `Ending` of a choice that goes on: both are null. */
export interface MaybeEnding {
  readonly finish_reason: Finish | null;
  readonly stop_reason: string | number | null;
}

/** One token in the log-probabilities of the chat endpoint. */
export interface ChatToken {
  readonly token: string;
  readonly logprob: number;
  /** The token's UTF-8 bytes; raw bytes for a part of a code point; null where the model has no tokenizer. */
  readonly bytes: number[] | null;
}

/** Log-probabilities of the chat endpoint. */
export interface ChatLogprobs {
  readonly content: (ChatToken & { readonly top_logprobs: ChatToken[] })[];
  readonly refusal: null;
}

/** Log-probabilities of the completions endpoint. All lists have one entry per generated token. */
export interface CompletionLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: number[];
  /** The most likely tokens, and the chosen one where it is not among them. */
  readonly top_logprobs: Readonly<Record<string, number>>[];
  /** Where each token begins in the answer, counted in code points of the tokens' own texts. */
  readonly text_offset: number[];
}

/** vLLM's log-probabilities of a prompt's tokens: null for the first, then token id → entry, the prompt's own token always among them. */
export type PromptLogprobs = (Readonly<
  Record<string, { readonly logprob: number; readonly rank: number; readonly decoded_token: string | null }>
> | null)[];

/** One answer of a chat request. */
export interface ChatChoice extends Ending {
  readonly index: number;
  readonly message: { readonly role: 'assistant'; readonly content: string; readonly refusal: null };
  readonly logprobs: ChatLogprobs | null;
  /** Where the request asked for token ids. */
  readonly token_ids?: number[];
}

/** The answer to a chat request. The optional fields are there where the request asked for them. */
export interface ChatCompletion extends Envelope<'chat.completion'> {
  readonly choices: ChatChoice[];
  readonly usage: CompletionUsage;
  readonly prompt_logprobs?: PromptLogprobs;
  readonly prompt_token_ids?: number[];
}

/** What a chunk adds to one choice: first the role, then text, last an empty one with the reason why it ended. */
export interface ChatChunkChoice extends MaybeEnding {
  readonly index: number;
  readonly delta: { readonly role?: 'assistant'; readonly content?: string };
  readonly logprobs: ChatLogprobs | null;
  /** New tokens, where the request asked for token ids. */
  readonly token_ids?: number[];
}

/** A part of the answer to a chat request with `stream: true`. */
export interface ChatCompletionChunk extends Envelope<'chat.completion.chunk'> {
  readonly choices: ChatChunkChoice[];
  /** With `stream_options.include_usage` only: null until the last chunk. */
  readonly usage?: CompletionUsage | null;
  /** In the first chunk, where the request asked for token ids. */
  readonly prompt_token_ids?: number[];
}

/** One answer of a completions request. The optional fields are there where the request asked for them. */
export interface CompletionChoice extends Ending {
  /** Prompt number × n + number of the answer. */
  readonly index: number;
  readonly text: string;
  readonly logprobs: CompletionLogprobs | null;
  readonly prompt_logprobs?: PromptLogprobs;
  readonly prompt_token_ids?: number[];
  readonly token_ids?: number[];
}

/** The answer to a completions request. */
export interface Completion extends Envelope<'text_completion'> {
  readonly choices: CompletionChoice[];
  readonly usage: CompletionUsage;
}

/** What a chunk adds to one choice; the last has the reason why it ended. */
export interface CompletionChunkChoice extends MaybeEnding {
  readonly index: number;
  readonly text: string;
  readonly logprobs: CompletionLogprobs | null;
  /** In a choice's first chunk, where the request asked for token ids. */
  readonly prompt_token_ids?: number[];
  /** New tokens, where the request asked for token ids. */
  readonly token_ids?: number[];
}

/** A part of the answer to a completions request with `stream: true`. */
export interface CompletionChunk extends Envelope<'text_completion'> {
  readonly choices: CompletionChunkChoice[];
  /** With `stream_options.include_usage` only: null until the last chunk. */
  readonly usage?: CompletionUsage | null;
}

/** A model that a request can name. */
export interface Model {
  readonly id: string;
  readonly object: 'model';
  /** Seconds since 1970: when the engine started. */
  readonly created: number;
  readonly owned_by: string;
  /** What it was read from, for people. */
  readonly root?: string;
  /** Of an adapter: the base model's id. */
  readonly parent?: string;
}

export interface ModelList {
  readonly object: 'list';
  readonly data: Model[];
}
