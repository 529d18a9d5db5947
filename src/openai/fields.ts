import { field, invalid, jsonOf, shown } from './values.ts';
import type { Body } from './values.ts';

export type Endpoint = 'chat' | 'completions';

/** Every field that an endpoint knows is on exactly one of three lists; nothing is silently ignored. */
export interface FieldLists {
  /** Read and obeyed. */
  readonly honoured: ReadonlySet<string>;
  /** Accepted with any value: they change nothing in an answer, wherever they are sent. */
  readonly inert: ReadonlySet<string>;
  /** Known and not served: accepted only at one of these values, which change nothing (`null` always does). */
  readonly refused: ReadonlyMap<string, readonly unknown[]>;
}

const HONOURED = [
  'model',
  'n',
  'seed',
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'presence_penalty',
  'frequency_penalty',
  'repetition_penalty',
  'logit_bias',
  'stop',
  'stop_token_ids',
  'logprobs',
  'prompt_logprobs',
  'ignore_eos',
  'return_token_ids',
  'return_tokens_as_token_ids',
  'stream',
  'stream_options',
  'lora',
  'tenant',
  'priority',
  'first_token_deadline_ms',
  'cache_salt',
];

const INERT = [
  'user',
  'metadata',
  'store',
  'safety_identifier',
  'service_tier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'prompt_cache_options',
  'request_id',
];

const REFUSED: readonly (readonly [string, readonly unknown[]])[] = [
  ['length_penalty', [1]],
  ['use_beam_search', [false]],
  ['min_tokens', [0]],
  ['include_stop_str_in_output', [false]],
  ['skip_special_tokens', [true]],
  ['spaces_between_special_tokens', [true]],
  ['truncate_prompt_tokens', []],
  ['allowed_token_ids', []],
  ['bad_words', [[]]],
  ['response_format', [{ type: 'text' }]],
  ['structured_outputs', []],
  ['guided_json', []],
  ['guided_regex', []],
  ['guided_choice', []],
  ['guided_grammar', []],
  ['guided_decoding_backend', []],
  ['guided_whitespace_pattern', []],
  ['structural_tag', []],
  ['logits_processors', [[]]],
  ['kv_transfer_params', []],
  ['vllm_xargs', []],
  ['echo', [false]],
];

const COMPLETIONS_REFUSED: readonly (readonly [string, readonly unknown[]])[] = [
  ['best_of', [1]],
  ['suffix', ['']],
  ['add_special_tokens', [true]],
  ['prompt_embeds', []],
];

const CHAT_REFUSED: readonly (readonly [string, readonly unknown[]])[] = [
  ['best_of', [1]],
  ['tools', [[]]],
  ['tool_choice', ['none', 'auto']],
  ['parallel_tool_calls', [true, false]],
  ['functions', [[]]],
  ['function_call', ['none', 'auto']],
  ['modalities', [['text']]],
  ['audio', []],
  ['prediction', []],
  ['moderation', []],
  ['reasoning_effort', []],
  ['verbosity', []],
  ['web_search_options', []],
  ['include_reasoning', [true]],
  ['add_special_tokens', [false]],
  ['add_generation_prompt', [true]],
  ['continue_final_message', [false]],
  ['documents', [[]]],
  ['chat_template', []],
  ['chat_template_kwargs', [{}]],
  ['mm_processor_kwargs', [{}]],
];

/**
 * The fields of each endpoint, OpenAI's and vLLM's. `null` counts as absent; a field on no list is refused as unknown.
 *
 * Honoured: `model`, `messages` (chat), `prompt` (completions), `n`, `seed`, `max_tokens` and `max_completion_tokens`, `temperature`,
 * `top_p`, `top_k`, `min_p`, `presence_penalty`, `frequency_penalty`, `repetition_penalty`, `logit_bias`, `stop`, `stop_token_ids`,
 * `ignore_eos`, `logprobs`, `top_logprobs` (chat), `prompt_logprobs` (not with `stream`), `return_token_ids`,
 * `return_tokens_as_token_ids`, `stream` (not in batch files), `stream_options.include_usage`, `priority`, `cache_salt`; and our own
 * `lora` (with `model` = the base), `tenant`, `first_token_deadline_ms`.
 *
 * Inert, accepted with any value: `user`, `metadata`, `store`, `safety_identifier`, `service_tier`, `request_id`, `prompt_cache_key`,
 * `prompt_cache_retention`, `prompt_cache_options`.
 *
 * Refused: all the others below, but at the values beside them, which change nothing.
 */
export const FIELDS: Readonly<Record<Endpoint, FieldLists>> = {
  chat: {
    honoured: new Set([...HONOURED, 'messages', 'top_logprobs']),
    inert: new Set(INERT),
    refused: new Map([...REFUSED, ...CHAT_REFUSED]),
  },
  completions: {
    honoured: new Set([...HONOURED, 'prompt']),
    inert: new Set(INERT),
    refused: new Map([...REFUSED, ...COMPLETIONS_REFUSED]),
  },
};

/** Throws `request_invalid` (`param` names the field) for the first field that is unknown, or known and not served at its value. */
export function checkFields(endpoint: Endpoint, body: Body): void {
  const lists = FIELDS[endpoint];
  for (const name of Object.keys(body)) {
    if (lists.honoured.has(name) || lists.inert.has(name)) continue;
    const neutral = lists.refused.get(name);
    if (neutral === undefined) throw invalid(name, unknownField(endpoint, name));
    const value = field(body, name);
    if (value === undefined || isNeutral(body, name, value, neutral)) continue;
    throw invalid(name, refusedField(name, value, neutral));
  }
}

function isNeutral(body: Body, name: string, value: unknown, neutral: readonly unknown[]): boolean {
  // The best of n candidates, all n of them returned, is what n alone does.
  if (name === 'best_of' && value === (field(body, 'n') ?? 1)) return true;
  const text = jsonOf(value);
  return neutral.some((allowed) => JSON.stringify(allowed) === text);
}

function unknownField(endpoint: Endpoint, name: string): string {
  const url = endpoint === 'chat' ? '/v1/chat/completions' : '/v1/completions';
  const hint = name === 'top_logprobs' ? ' (here logprobs is the number of tokens)' : '';
  return `unknown field ${shown(name)}: ${url} does not have it${hint}; leave it out`;
}

function refusedField(name: string, value: unknown, neutral: readonly unknown[]): string {
  const allowed = neutral.length === 0 ? '' : ` or set it to ${neutral.map(shown).join(' or ')}`;
  return `${name} is not served: leave it out${allowed}; it was ${shown(value)}`;
}
