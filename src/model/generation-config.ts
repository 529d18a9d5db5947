import { jsonObject, numberField, saysNothing, show, wrongField } from '../formats/json.ts';
import { parseEndTokens } from './config.ts';

/** Defaults of a model's own. */
export interface SamplingDefaults {
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
}

/** What generation_config.json says of sampling. */
export interface GenerationConfig {
  /** Tokens that end an answer; empty where the file names none. */
  readonly endTokens: readonly number[];
  /** The sampling values that are served, as vLLM takes them: whatever a request leaves out. */
  readonly defaults: SamplingDefaults;
  /** Sampling values that would change an answer and are not served, as `typical_p=0.9`. */
  readonly ignored: readonly string[];
}

/** Keys that do not change which tokens are sampled, or that vLLM, whose defaults we follow, does not take from this file. */
const INERT_KEYS: ReadonlySet<string> = new Set([
  '_from_model_config',
  'transformers_version',
  'bos_token_id',
  'pad_token_id',
  'decoder_start_token_id',
  'do_sample',
  'max_length',
  'max_time',
  'use_cache',
  'cache_implementation',
  'cache_config',
  'max_cache_len',
  'compile_config',
  'disable_compile',
  'continuous_batching_config',
  'prefill_chunk_size',
  'low_memory',
  'output_attentions',
  'output_hidden_states',
  'output_scores',
  'output_logits',
  'return_dict_in_generate',
  'is_assistant',
  'num_assistant_tokens',
  'num_assistant_tokens_schedule',
  'assistant_confidence_threshold',
  'assistant_early_exit',
  'assistant_lookbehind',
  'target_lookbehind',
  'transformers.js_config',
  'trust_remote_code',
]);

/** Values at which a sampling option changes nothing, besides null, false and empty ones. */
const NEUTRAL_VALUES: ReadonlyMap<string, readonly unknown[]> = new Map<string, readonly unknown[]>([
  ['typical_p', [1]],
  ['epsilon_cutoff', [0]],
  ['eta_cutoff', [0]],
  ['encoder_repetition_penalty', [1]],
  ['frequency_penalty', [0]],
  ['presence_penalty', [0]],
  ['length_penalty', [1]],
  ['diversity_penalty', [0]],
  ['penalty_alpha', [0]],
  ['no_repeat_ngram_size', [0]],
  ['encoder_no_repeat_ngram_size', [0]],
  ['min_length', [0]],
  ['min_new_tokens', [0]],
  ['num_beams', [1]],
  ['num_beam_groups', [1]],
  ['num_return_sequences', [1]],
  ['guidance_scale', [1]],
  ['remove_invalid_values', [true]],
]);

interface Served {
  readonly name: keyof SamplingDefaults;
  readonly allows: (value: number) => boolean;
  readonly expected: string;
}

const SERVED: ReadonlyMap<string, Served> = new Map<string, Served>([
  ['temperature', { name: 'temperature', allows: (value) => value >= 0, expected: '0 or more' }],
  ['top_k', { name: 'topK', allows: (value) => Number.isSafeInteger(value) && value >= -1, expected: 'an integer of at least -1' }],
  ['top_p', { name: 'topP', allows: (value) => value > 0 && value <= 1, expected: 'above 0 and up to 1' }],
  ['min_p', { name: 'minP', allows: (value) => value >= 0 && value <= 1, expected: '0 to 1' }],
  ['repetition_penalty', { name: 'repetitionPenalty', allows: (value) => value > 0, expected: 'above 0' }],
]);

/**
 * Reads generation_config.json. End tokens and the sampling values that vLLM takes are served; every other value that would change
 * an answer is named in `ignored`, so that whoever serves the model can say so once.
 *
 * @param json what `readJson` returned. @param location the file, for messages.
 * Throws `file_invalid` for a field of the wrong type or a served one out of its range.
 */
export function parseGenerationConfig(json: unknown, location: string): GenerationConfig {
  const config = jsonObject(json, location);
  const defaults: { -readonly [Name in keyof SamplingDefaults]: SamplingDefaults[Name] } = {};
  for (const [key, { name, allows, expected }] of SERVED) {
    const value = numberField(config, key, location, undefined);
    if (value === undefined) continue;
    if (!allows(value)) throw wrongField(location, key, value, expected);
    defaults[name] = value;
  }
  const ignored: string[] = [];
  for (const [key, value] of config) {
    if (key === 'eos_token_id' || SERVED.has(key) || INERT_KEYS.has(key)) continue;
    if (!saysNothing(value) && !NEUTRAL_VALUES.get(key)?.includes(value)) ignored.push(`${key}=${show(value)}`);
  }
  return { endTokens: parseEndTokens(config, location, []), defaults, ignored };
}
