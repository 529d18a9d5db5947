import { jsonObject, numberField, saysNothing, show, wrongField } from '../formats/json.ts';
import { parseEndTokens } from './config.ts';

/** What generation_config.json says of sampling. */
export interface GenerationConfig {
  /** Tokens that end an answer; empty where the file names none. */
  readonly endTokens: readonly number[];
  readonly temperature?: number;
  /** Sampling values that would change an answer and are not served, as `top_p=0.9`. */
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
  ['top_k', [0, -1]],
  ['top_p', [1]],
  ['min_p', [0]],
  ['typical_p', [1]],
  ['epsilon_cutoff', [0]],
  ['eta_cutoff', [0]],
  ['repetition_penalty', [1]],
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

/**
 * Reads generation_config.json. End tokens and temperature are served; every other value that would change an answer is named in
 * `ignored`, so that whoever serves the model can say so once.
 *
 * @param json what `readJson` returned. @param location the file, for messages.
 * Throws `file_invalid` for a field of the wrong type.
 */
export function parseGenerationConfig(json: unknown, location: string): GenerationConfig {
  const config = jsonObject(json, location);
  const temperature = numberField(config, 'temperature', location, undefined);
  if (temperature !== undefined && temperature < 0) throw wrongField(location, 'temperature', temperature, '0 or more');
  const ignored: string[] = [];
  for (const [key, value] of config) {
    if (key === 'eos_token_id' || key === 'temperature' || INERT_KEYS.has(key)) continue;
    if (!saysNothing(value) && !NEUTRAL_VALUES.get(key)?.includes(value)) ignored.push(`${key}=${show(value)}`);
  }
  return { endTokens: parseEndTokens(config, location, []), ...(temperature === undefined ? {} : { temperature }), ignored };
}
