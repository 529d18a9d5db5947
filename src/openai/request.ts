import type { AdapterPart, GenerateOptions, Message, ModelInfo } from '../engine/types.ts';
import { checkFields } from './fields.ts';
import type { Endpoint } from './fields.ts';
import { parseMessages } from './messages.ts';
import { parsePrompts, tokenIds } from './prompts.ts';
import type { CompletionPrompt } from './prompts.ts';
import { parseSampling } from './sampling.ts';
import type { Sampling } from './sampling.ts';
import { parseLora, parseServing } from './serving.ts';
import type { Serving } from './serving.ts';
import { asBody, field, flagField, integerField, invalid, shown } from './values.ts';
import type { Body } from './values.ts';

/** The most answers to one prompt, as OpenAI. */
export const MAX_CHOICES = 128;
/** The most stop strings; each of them is looked for after every token. */
const MAX_STOPS = 64;
/** What completions generate where `max_tokens` is absent. */
const COMPLETION_TOKENS = 16;

/** How a streamed answer is written. */
export interface StreamSettings {
  /** `last`: a last chunk has the usage. */
  readonly usage: 'last' | 'none';
}

/** A request after all checks that need no tokenizer. */
export interface ParsedRequest {
  /** `model` as the request wrote it. */
  readonly model: string;
  /** Adapters to blend; they need a `model` that is the base. */
  readonly lora: readonly AdapterPart[] | undefined;
  readonly prompts: readonly (CompletionPrompt | readonly Message[])[];
  /** Answers to each prompt; answer i is drawn with `seed` + i. */
  readonly n: number;
  readonly seed: number;
  /** `explicit` together with the prompt must fit the context; `atMost` is cut to what is left of it; undefined: all that is left. */
  readonly maxTokens: { readonly explicit: number } | { readonly atMost: number } | undefined;
  readonly options: Sampling & Serving & Pick<GenerateOptions, 'stop' | 'stopTokenIds' | 'ignoreEos' | 'logprobs' | 'promptLogprobs'>;
  readonly returnTokenIds: boolean;
  /** Tokens in log-probabilities as `token_id:7`. */
  readonly tokensAsIds: boolean;
  /** Undefined: the answer comes whole. */
  readonly stream: StreamSettings | undefined;
}

/**
 * Checks a request's body and turns it into what the engine understands.
 * Throws `request_invalid` whose `param` names the field that is wrong, unknown or not served.
 */
export function parseRequest(endpoint: Endpoint, value: unknown, info: ModelInfo): ParsedRequest {
  const body = asBody(value);
  checkFields(endpoint, body);
  const model = field(body, 'model');
  if (typeof model !== 'string' || model === '')
    throw invalid('model', `model must name the base model or an adapter, not ${shown(model)}`);
  const { vocabSize } = info.config;
  const n = integerField(body, 'n', 1, MAX_CHOICES) ?? 1;
  return {
    model,
    lora: parseLora(body),
    prompts: endpoint === 'chat' ? [parseMessages(field(body, 'messages'))] : parsePrompts(field(body, 'prompt'), vocabSize),
    n,
    seed: integerField(body, 'seed', 0, Number.MAX_SAFE_INTEGER - (n - 1)) ?? drawSeed(),
    maxTokens: parseMaxTokens(body, endpoint),
    options: parseOptions(body, endpoint, info),
    returnTokenIds: flagField(body, 'return_token_ids'),
    tokensAsIds: flagField(body, 'return_tokens_as_token_ids'),
    stream: parseStream(body),
  };
}

function parseOptions(body: Body, endpoint: Endpoint, info: ModelInfo): ParsedRequest['options'] {
  const { vocabSize } = info.config;
  const logprobs = endpoint === 'chat' ? chatLogprobs(body, vocabSize) : integerField(body, 'logprobs', -1, vocabSize);
  const promptLogprobs = integerField(body, 'prompt_logprobs', -1, vocabSize);
  return {
    ...parseSampling(body, info),
    ...parseServing(body),
    stop: parseStop(body, info),
    stopTokenIds: parseStopTokenIds(body, vocabSize),
    ignoreEos: flagField(body, 'ignore_eos'),
    ...(logprobs === undefined ? {} : { logprobs }),
    ...(promptLogprobs === undefined ? {} : { promptLogprobs }),
  };
}

/** 48 random bits: below 2^53 − 1 with room for every answer's own seed. */
function drawSeed(): number {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  return (high & 0xffff) * 2 ** 32 + low;
}

function parseMaxTokens(body: Body, endpoint: Endpoint): ParsedRequest['maxTokens'] {
  const older = integerField(body, 'max_tokens', 1, Number.MAX_SAFE_INTEGER);
  const newer = integerField(body, 'max_completion_tokens', 1, Number.MAX_SAFE_INTEGER);
  if (older !== undefined && newer !== undefined && older !== newer) {
    throw invalid('max_tokens', `max_tokens is ${older} and max_completion_tokens is ${newer}: they mean the same; give one of them`);
  }
  const explicit = newer ?? older;
  if (explicit !== undefined) return { explicit };
  return endpoint === 'completions' ? { atMost: COMPLETION_TOKENS } : undefined;
}

function chatLogprobs(body: Body, vocabSize: number): number | undefined {
  const wanted = flagField(body, 'logprobs');
  const top = integerField(body, 'top_logprobs', -1, vocabSize) ?? 0;
  if (wanted) return top;
  if (top !== 0) throw invalid('top_logprobs', `top_logprobs is ${top}, which needs logprobs: true`);
  return undefined;
}

/** What of `stream_options` would change nothing, and so may be given. */
const NEUTRAL_STREAM_OPTIONS = new Set(['include_obfuscation', 'continuous_usage_stats']);

function parseStream(body: Body): StreamSettings | undefined {
  const options = field(body, 'stream_options');
  if (!flagField(body, 'stream')) {
    if (options === undefined) return undefined;
    throw invalid('stream_options', `stream_options is ${shown(options)}, which needs stream: true`);
  }
  if (field(body, 'prompt_logprobs') !== undefined) {
    throw invalid('prompt_logprobs', 'prompt_logprobs is not served with stream: true: leave one of them out');
  }
  if (options === undefined) return { usage: 'none' };
  if (typeof options !== 'object' || Array.isArray(options)) {
    throw invalid('stream_options', `stream_options must be an object like { "include_usage": true }, not ${shown(options)}`);
  }
  const given = options as Body;
  for (const name of Object.keys(given)) {
    if (name === 'include_usage') continue;
    if (NEUTRAL_STREAM_OPTIONS.has(name) && (field(given, name) ?? false) === false) continue;
    throw invalid('stream_options', `stream_options.${name} is not served: leave it out; it was ${shown(given[name])}`);
  }
  const usage = field(given, 'include_usage') ?? false;
  if (typeof usage !== 'boolean') {
    throw invalid('stream_options', `stream_options.include_usage must be true or false, not ${shown(usage)}`);
  }
  return { usage: usage ? 'last' : 'none' };
}

function parseStop(body: Body, info: ModelInfo): readonly string[] {
  const value = field(body, 'stop') ?? [];
  const stops: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (stops.length > MAX_STOPS) throw invalid('stop', `stop has ${stops.length} strings; at most ${MAX_STOPS} are served`);
  for (const stop of stops) {
    if (typeof stop !== 'string' || stop === '')
      throw invalid('stop', `stop must be a non-empty string or a list of them, not ${shown(stop)}`);
  }
  if (stops.length > 0 && !info.serves.text) {
    throw invalid('stop', 'stop needs text, and this model came without a tokenizer: use stop_token_ids');
  }
  return stops as readonly string[];
}

function parseStopTokenIds(body: Body, vocabSize: number): readonly number[] {
  const value = field(body, 'stop_token_ids') ?? [];
  if (!Array.isArray(value)) throw invalid('stop_token_ids', `stop_token_ids must be a list of token ids, not ${shown(value)}`);
  return tokenIds(value, 'stop_token_ids', 'stop_token_ids', vocabSize);
}
