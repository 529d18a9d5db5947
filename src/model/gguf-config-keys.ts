/** Keys under an architecture's name that are read into the config. */
export const UNDERSTOOD_GGUF_KEYS: ReadonlySet<string> = new Set([
  'vocab_size',
  'context_length',
  'embedding_length',
  'block_count',
  'feed_forward_length',
  'attention.head_count',
  'attention.head_count_kv',
  'attention.key_length',
  'attention.value_length',
  'attention.layer_norm_rms_epsilon',
  'attention.sliding_window',
  'attention.sliding_window_pattern',
  'attn_logit_softcapping',
  'final_logit_softcapping',
  'rope.dimension_count',
  'rope.freq_base',
  'rope.freq_base_swa',
  'rope.scale_linear',
  'rope.scaling.type',
  'rope.scaling.factor',
  'rope.scaling.attn_factor',
  'rope.scaling.original_context_length',
]);

/** Keys that say nothing about what these architectures compute. */
export const INERT_GGUF_KEYS: ReadonlySet<string> = new Set([
  'tensor_data_layout',
  'rope.scaling.finetuned',
  // of the other kind of norm
  'attention.layer_norm_epsilon',
]);

/** Keys that change the computation, and the values at which they do not. */
export const NEUTRAL_GGUF_VALUES: ReadonlyMap<string, readonly unknown[]> = new Map<string, readonly unknown[]>([
  ['attention.causal', [true]],
  ['attention.scale', [0]],
  ['attention.clamp_kqv', [0]],
  ['attention.max_alibi_bias', [0]],
  ['attention.shared_kv_layers', [0]],
  ['expert_count', [0]],
  ['expert_used_count', [0]],
  ['leading_dense_block_count', [0]],
  ['nextn_predict_layers', [0]],
  ['pooling_type', [0]],
  ['use_parallel_residual', [false]],
  ['logit_scale', [0, 1]],
  ['residual_scale', [0, 1]],
  ['embedding_scale', [0, 1]],
]);

/** Keys that only these architectures have; under another name they are settings that nobody knows. */
export const GGUF_KEYS_OF: ReadonlyMap<string, readonly string[]> = new Map([
  ['attention.sliding_window', ['llama', 'gemma2', 'gemma3', 'phi3']],
  ['attention.sliding_window_pattern', ['gemma2', 'gemma3']],
  ['attn_logit_softcapping', ['gemma2']],
  ['final_logit_softcapping', ['gemma2', 'gemma3']],
  ['rope.freq_base_swa', ['gemma3']],
]);

/** What ends a turn even where a converter made a normal token of it, as some did with Gemma 3's. */
export const TURN_ENDS: ReadonlySet<string> = new Set(['<end_of_turn>', '<|im_end|>', '<|eot_id|>']);

/** Words with which a turn or a text ends, whatever else the file says; llama.cpp goes by the same. */
export const ENDING_WORDS: ReadonlySet<string> = new Set([
  ...TURN_ENDS,
  '<|eom_id|>',
  '<|end|>',
  '<|endoftext|>',
  '<|end_of_text|>',
  '<end_of_utterance>',
  '<EOT>',
  '_<EOT>',
  '<eos>',
  '<\uFF5Cend\u2581of\u2581sentence\uFF5C>',
]);

/** The same among control tokens. Gemma's vocabulary has HTML's tags as user-defined tokens, and there `</s>` ends struck-out text. */
export const ENDING_TOKENS: ReadonlySet<string> = new Set([...ENDING_WORDS, '</s>']);
