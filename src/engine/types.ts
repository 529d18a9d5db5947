import type { Store } from '../adapters/store.ts';
import type { ModelConfig } from '../model/config.ts';
import type { ChatTemplate } from '../text/chat-template.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import type { EngineEvent, Stats, Tier } from './report-types.ts';
import type { Progress, Source } from './source.ts';

export type { Store } from '../adapters/store.ts';
export type { Progress, Source } from './source.ts';
export type { AdapterEvent, DiskStats, EngineEvent, KernelStats, RequestEvent, Spread, Stats, Tier, TierStats } from './report-types.ts';

/** Anything with WebGPU's `requestAdapter`: `navigator.gpu`, or what `dawn()` of `weblora/node` returns. */
export interface GpuProvider {
  requestAdapter(options?: object): Promise<unknown>;
}

export interface EngineOptions {
  readonly model: Source;
  /** Default: `navigator.gpu`. */
  readonly gpu?: GpuProvider;
  /** `exact`: weights as stored, f32 KV and adapters. `half`: f16 for KV, adapters and wider weights. Default: `half` on hardware, `exact` in software. */
  readonly precision?: 'exact' | 'half';
  /**
   * Rounds the base's weights to 8 or 4 bits as they are loaded, with a scale for each 32 of a row: `q8` takes 9/16 of f16's memory, `q4`
   * 5/16, but for embedding and head, which keep 8 bits. Norms, adapters, keys, values and sums stay what they are, and so do the blocks of a
   * GGUF file; one that has nothing else is refused (`request_invalid`). Default: not rounded.
   */
  readonly quantize?: 'q8' | 'q4';
  /**
   * The family of kernels that computes where it computes soundly, which is checked on the device at its first use: `narrow` for devices that
   * run on the CPU, `wide` for GPUs, `plain`, one loop an output, for comparison. Default, `auto`: by the kind of device. See `stats().kernels`.
   */
  readonly kernels?: 'auto' | 'narrow' | 'wide' | 'plain';
  /** A request's logits are the same, bit for bit, in any batch and any chunking; checked on this device at start (`not_deterministic`). */
  readonly deterministic?: boolean;
  /** Tokens of prompt and answer together. Default: the config's length or what the pool can hold, whichever is less. */
  readonly maxModelLength?: number;
  /** Bytes. */
  readonly memory?: {
    /** KV pages and resident adapters together. */
    readonly pool?: number;
    /** Adapters in memory, packed: those that are not there are read from the store or from their origin again. Default 256 MiB. */
    readonly heap?: number;
    /** What the store may hold, adapters of all its models together; who was not used for longest leaves. Default 4 GiB. */
    readonly disk?: number;
  };
  readonly limits?: {
    /** Requests that run at once; others wait. Default 64. */
    readonly sequences?: number;
    /** Rows (tokens) of one step. Default 128. */
    readonly batchRows?: number;
    /** Prompt tokens of one request in one step. Default 64. */
    readonly prefillChunk?: number;
    /** Requests that wait; one more fails with `overloaded`. Default 4096. */
    readonly queue?: number;
    /** Distinct adapters among the requests that run at once. Default 32. */
    readonly adapters?: number;
    /**
     * Milliseconds that a step may take while answers stream, by a running estimate: prompts are cut so that streams stay smooth. A step
     * may always take 1.75 times what its decode rows alone take, and ten times this where nothing streams. Default 40.
     */
    readonly stepMs?: number;
  };
  /** Shares of the device by name, under load: who has weight 2 gets twice what a weight of 1 gets. Default 1 for every name. */
  readonly fairness?: {
    readonly tenants?: Readonly<Record<string, number>>;
    readonly adapters?: Readonly<Record<string, number>>;
  };
  /** False: no request takes keys and values that an earlier one computed for the same beginning. Default true. */
  readonly prefixCache?: boolean;
  /** In place of the folder's own tokenizer; one of transformers.js comes through `fromTransformers`. */
  readonly tokenizer?: Tokenizer;
  /**
   * Where adapters that were read once are kept, packed: a later engine of the same model has them under their ids without asking
   * their origin. Absent: nothing is kept. A store that fails never fails an adapter that can be read from its origin; `stats().tiers.disk` tells.
   */
  readonly store?: Store;
  /**
   * Asked for an id that is not registered, once for all requests that wait for it: the source that it answers is registered as by
   * `add`. Undefined: there is no such adapter. It is asked anew at the next use of an id for which it answered undefined or threw.
   */
  readonly resolve?: (id: string) => Source | undefined | Promise<Source | undefined>;
  /**
   * Milliseconds after which an adapter whose origin may change is asked for again, beside the request that uses it: that one and all
   * before the answer are served what is there. Default 3,600,000; 0: at each use. Dropped files, bytes and hub ids with a commit never change.
   */
  readonly revalidateAfter?: number;
  /**
   * Sent to the hub, and to nobody else, with what is read by hub id. Default: the one that Hugging Face's tools would send, where there is
   * one (`HF_TOKEN`, or what `hf auth login` wrote); '' sends none.
   */
  readonly hubToken?: string;
  /** Where hub ids are read from. Default: the environment's `HF_ENDPOINT`, where there is one, else https://huggingface.co. */
  readonly hubEndpoint?: string;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
}

export interface Message {
  readonly role: string;
  readonly content: string;
}

/** Text, token ids, or a conversation for the chat template. */
export type Prompt = string | readonly number[] | readonly Message[];

/** An adapter of a blend, and a finite factor on its deltas. */
export interface AdapterPart {
  readonly id: string;
  readonly scale: number;
}

export interface GenerateOptions {
  /** Id of a registered adapter, or up to 8 whose scaled deltas are summed; absent, or an empty list: the base model. */
  readonly adapter?: string | readonly AdapterPart[];
  /** Default: the rest of the context. */
  readonly maxTokens?: number;
  /** 0 (default) is greedy, as is anything below 1e-5; ties go to the lowest id. */
  readonly temperature?: number;
  /** Only the k most likely tokens are drawn from (ties with the last of them too); 0 (default) and −1: all. */
  readonly topK?: number;
  /** Only the most likely tokens whose probabilities sum to at least this, after top-k; above 0, up to 1 (default). */
  readonly topP?: number;
  /** Only tokens at least this times as likely as the most likely one; 0 (default) to 1. */
  readonly minP?: number;
  /** Divides positive logits, multiplies negative ones, of tokens in prompt or answer; above 0, default 1 (Keskar et al., "CTRL"). */
  readonly repetitionPenalty?: number;
  /** Subtracted from the logits of tokens in the answer so far; −2 to 2, default 0. */
  readonly presencePenalty?: number;
  /** The same, times how often; −2 to 2, default 0. */
  readonly frequencyPenalty?: number;
  /** Added to the raw logits of these token ids before everything else; −100 to 100. */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** A non-negative integer up to 2^53 − 1; drawn at random if absent. */
  readonly seed?: number;
  /** Texts that end the answer and are no part of it; they need a tokenizer. */
  readonly stop?: readonly string[];
  readonly stopTokenIds?: readonly number[];
  /** End tokens do not end the answer. */
  readonly ignoreEos?: boolean;
  /** How many of the most likely tokens to report at each generated position; −1: the whole vocabulary; 0: the chosen token only. */
  readonly logprobs?: number;
  /** The same for every prompt position but the first. */
  readonly promptLogprobs?: number;
  /** Whose share of the device it takes; default ''. */
  readonly tenant?: string;
  /** An integer; lower goes first, default 0. */
  readonly priority?: number;
  /**
   * Milliseconds after the call in which its first token must come: fails with `deadline_exceeded`, waiting or running, once it can no
   * longer. Not looked at while a lost device is built again.
   */
  readonly firstTokenDeadlineMs?: number;
  /** Requests share computed beginnings only with those of the same salt; default ''. */
  readonly cacheSalt?: string;
  readonly signal?: AbortSignal;
}

/** Log-probabilities at one position, from raw logits (before temperature), float32 values. */
export interface TokenLogprob {
  readonly token: number;
  readonly logprob: number;
  /** 1 for the most likely token of the vocabulary. */
  readonly rank: number;
  /** The most likely tokens, best first; ties by lowest id. */
  readonly topTokens: Uint32Array;
  readonly topLogprobs: Float32Array;
}

export interface Usage {
  readonly promptTokens: number;
  /** Prompt tokens whose keys and values an earlier request had computed. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

/** `stop`: an end token, stop token or stop string; `length`: maxTokens or the context was reached. */
export type Finish = 'stop' | 'length';

export interface Chunk {
  /** New text; text that may be the beginning of a stop string is held back. */
  readonly text: string;
  /** New tokens, those whose text is still held back included. */
  readonly tokens: readonly number[];
  /** One per new token, where `logprobs` was asked. */
  readonly logprobs?: readonly TokenLogprob[];
  /** In the last chunk only. */
  readonly finish?: Finish;
  readonly usage?: Usage;
}

export interface Result {
  /** The answer without end tokens and without the stop string. */
  readonly text: string;
  /** All generated tokens, the end token included. */
  readonly tokens: readonly number[];
  readonly promptTokens: readonly number[];
  readonly finish: Finish;
  /** The stop string or stop token id that ended it; undefined for an end token of the model and for `length`. */
  readonly stopReason?: string | number;
  readonly usage: Usage;
  /** One per generated token, where asked. */
  readonly logprobs?: readonly TokenLogprob[];
  /** One per prompt token, undefined for the first, where asked. */
  readonly promptLogprobs?: readonly (TokenLogprob | undefined)[];
}

/** Iterate for chunks, or ask for the whole result. Leaving the loop cancels the request. */
export interface Generation extends AsyncIterable<Chunk> {
  result(): Promise<Result>;
}

export interface AdapterInfo {
  readonly id: string;
  /** Where it was registered from, for people: an address, a path, or the name of a dropped folder. */
  readonly source: string;
  /** The nearest that has its bytes. `gpu`: in the pool; `heap`: packed in memory; `disk`: packed in the store; `origin`: to be read from there. */
  readonly tier: Tier;
  readonly pinned: boolean;
  /** Known once read, by this engine or by the one that wrote the store. Adapters of one digest compute the same and share all memory. */
  readonly digest?: string;
  readonly rank?: number;
  /** In memory, and in the pool before it is rounded up to pages. */
  readonly bytes?: number;
}

export interface LoadOptions {
  /** Ends downloads that nobody else waits for. */
  readonly signal?: AbortSignal;
  /** Told of what is read from the origin; nothing where the bytes are nearer. */
  readonly onProgress?: (progress: Progress) => void;
  /** True: its origin is asked first whether it changed. Where it cannot be asked, that is thrown and what is there stays. */
  readonly revalidate?: boolean;
}

export interface Adapters {
  /**
   * Registers an id; nothing is read before `load` or the first use. Adding the same source again changes nothing; another source
   * throws `adapter_exists` unless `replace` is true: then requests that start later use it, and those that are open keep what they started
   * with. A folder that was dropped in an earlier session is kept as bytes: dropping one of the same name again, or
   * any source once those bytes are lost, takes its place.
   */
  add(id: string, source: Source, options?: { readonly replace?: boolean }): Promise<void>;
  /** Reads, checks and uploads it. Throws a typed error that names the file and the reason; nothing stays behind. */
  load(id: string, options?: LoadOptions): Promise<AdapterInfo>;
  /** The same, and keeps it on the GPU until `unpin`, `unload` or `remove`. */
  pin(id: string, options?: LoadOptions): Promise<AdapterInfo>;
  /** It may make room for others again; nothing happens where it is not pinned. */
  unpin(id: string): Promise<void>;
  /**
   * Frees its place on the GPU, pinned or not; it stays registered. Throws `adapter_busy` while requests run on it. Where another id of the
   * same bytes is pinned, the place stays for that one.
   */
  unload(id: string): Promise<void>;
  /** Forgets it, in the store too (`store_failed` where that cannot be). Requests that run keep what they started with. */
  remove(id: string): Promise<void>;
  /** Registered adapters, at most `limit`, those whose nearest tier is `tier`. Nothing is read for it. */
  list(options?: { readonly tier?: Tier; readonly limit?: number }): Promise<readonly AdapterInfo[]>;
}

/** What an engine serves, as plain data. */
export interface ModelInfo {
  readonly name: string;
  readonly config: ModelConfig;
  readonly maxModelLength: number;
  /** Whether texts, and whether conversations, are served beside token ids. */
  readonly serves: { readonly text: boolean; readonly chat: boolean };
  /** Values of generation_config.json that this engine serves; others are in `ignoredDefaults`. */
  readonly defaults: Pick<GenerateOptions, 'temperature' | 'topK' | 'topP' | 'minP' | 'repetitionPenalty'>;
  /** Sampling values of generation_config.json that are not served, as `top_p=0.9`. */
  readonly ignoredDefaults: readonly string[];
}

export interface ModelText {
  readonly tokenizer: Tokenizer | undefined;
  readonly chatTemplate: ChatTemplate | undefined;
}

/** Serves prompts; what OpenAI's shapes are mapped onto. */
export interface CoreEngine extends AsyncDisposable {
  readonly adapters: Adapters;
  /**
   * Starts a request. What is wrong with it comes out of the generation: `request_invalid`, `context_length_exceeded`, `tokenizer_missing`,
   * `adapter_unknown`, what reading its adapter throws, `overloaded`, `deadline_exceeded`, `out_of_memory`, `not_finite`, `device_lost`,
   * `closed`; a `TypeError` for an unknown option; its signal's reason.
   */
  generate(prompt: Prompt, options?: GenerateOptions): Generation;
  /** Token ids of a prompt as `generate` would run them. */
  tokenize(prompt: Prompt): Promise<readonly number[]>;
  model(): Promise<ModelInfo>;
  stats(): Promise<Stats>;
  /** What happens from now on. Any number of readers; each sees everything. */
  events(): AsyncIterable<EngineEvent>;
  /** Tokenizer and template, where the model has them. Only in the engine's own thread. */
  text(): ModelText;
  /** Ends open requests with `closed` and frees the GPU. */
  close(): Promise<void>;
}
