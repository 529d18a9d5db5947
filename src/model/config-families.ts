/** What a `model_type` alone says of a model, and what its config.json means where it is silent. */
export interface Family {
  /** The class in transformers whose weights are read. */
  readonly architecture: string;
  /** Settings that the family has beyond those of all; elsewhere they are refused. */
  readonly keys: readonly string[];
  /** transformers' values of keys that the file lacks. */
  readonly defaults: Readonly<Record<string, unknown>>;
  readonly norms: 'before' | 'around';
  /** What transformers adds to a norm's weights. */
  readonly normOffset: number;
  readonly queryKeyNorm: 'no' | 'each head';
  /** q, k and v have biases whatever config.json says. */
  readonly qkvBias: boolean;
  readonly fused: boolean;
  readonly activation: 'silu' | 'gelu-tanh';
  /** What embeddings are multiplied with, by the hidden size. */
  readonly embeddingScale: (hiddenSize: number) => number;
  /** Which layers see `sliding_window` positions where `layer_types` does not say; a number: all but each that many-th. */
  readonly windows: 'none' | 'all' | 'upper' | number;
  /** `by kind`: layers with a window turn q and k by a rope of their own. */
  readonly ropes: 'one' | 'by kind';
  /** Other names of rope types. */
  readonly ropeTypes: Readonly<Record<string, string>>;
  /** `original_max_position_embeddings` where the file lacks it; else that is `max_position_embeddings`. */
  readonly originalLength?: number;
}

const LLAMA: Family = {
  architecture: 'LlamaForCausalLM',
  keys: ['attention_bias', 'mlp_bias'],
  defaults: { max_position_embeddings: 2048, rms_norm_eps: 1e-6, bos_token_id: 1, eos_token_id: 2, tie_word_embeddings: false },
  norms: 'before',
  normOffset: 0,
  queryKeyNorm: 'no',
  qkvBias: false,
  fused: false,
  activation: 'silu',
  embeddingScale: () => 1,
  windows: 'none',
  ropes: 'one',
  ropeTypes: {},
};
const QWEN_KEYS = ['sliding_window', 'use_sliding_window', 'max_window_layers'];
const QWEN_DEFAULTS = {
  num_key_value_heads: 32,
  max_position_embeddings: 32_768,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: false,
  use_sliding_window: false,
  sliding_window: 4096,
  max_window_layers: 28,
  bos_token_id: null,
  eos_token_id: null,
};
const QWEN2: Family = {
  ...LLAMA,
  architecture: 'Qwen2ForCausalLM',
  keys: QWEN_KEYS,
  defaults: QWEN_DEFAULTS,
  qkvBias: true,
  windows: 'upper',
};
const GEMMA_KEYS = ['hidden_activation', 'query_pre_attn_scalar', 'attention_bias', 'sliding_window', 'final_logit_softcapping'];
const GEMMA_DEFAULTS = {
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  rms_norm_eps: 1e-6,
  hidden_activation: 'gelu_pytorch_tanh',
  query_pre_attn_scalar: 256,
  sliding_window: 4096,
  tie_word_embeddings: true,
  bos_token_id: 2,
  eos_token_id: 1,
};
const GEMMA2: Family = {
  ...LLAMA,
  architecture: 'Gemma2ForCausalLM',
  // its 9B and 27B have the window under a second name, too, which transformers does not read
  keys: [...GEMMA_KEYS, 'attn_logit_softcapping', 'sliding_window_size'],
  defaults: { ...GEMMA_DEFAULTS, max_position_embeddings: 8192, attn_logit_softcapping: 50, final_logit_softcapping: 30 },
  norms: 'around',
  normOffset: 1,
  activation: 'gelu-tanh',
  embeddingScale: Math.sqrt,
  windows: 2,
};

/**
 * By `model_type`. Values are those of the configuration classes of transformers 5.18,
 * https://github.com/huggingface/transformers/tree/v5.18.0/src/transformers/models.
 */
export const FAMILIES: ReadonlyMap<string, Family> = new Map([
  ['llama', LLAMA],
  [
    'mistral',
    {
      ...LLAMA,
      architecture: 'MistralForCausalLM',
      keys: ['sliding_window'],
      defaults: { ...LLAMA.defaults, num_key_value_heads: 8, max_position_embeddings: 131_072, sliding_window: 4096 },
      windows: 'all',
    },
  ],
  ['qwen2', QWEN2],
  [
    'qwen3',
    {
      ...QWEN2,
      architecture: 'Qwen3ForCausalLM',
      keys: [...QWEN_KEYS, 'attention_bias'],
      defaults: { ...QWEN_DEFAULTS, head_dim: 128 },
      qkvBias: false,
      queryKeyNorm: 'each head',
    },
  ],
  ['gemma2', GEMMA2],
  [
    'gemma3_text',
    {
      ...GEMMA2,
      architecture: 'Gemma3ForCausalLM',
      keys: [...GEMMA_KEYS, 'sliding_window_pattern', '_sliding_window_pattern', 'rope_local_base_freq'],
      // text_config of a model that sees pictures is saved without what is at its default, sizes included
      defaults: {
        ...GEMMA_DEFAULTS,
        vocab_size: 262_208,
        hidden_size: 2304,
        intermediate_size: 9216,
        num_hidden_layers: 26,
        max_position_embeddings: 131_072,
      },
      queryKeyNorm: 'each head',
      windows: 6,
      ropes: 'by kind',
    },
  ],
  [
    'phi3',
    {
      ...LLAMA,
      architecture: 'Phi3ForCausalLM',
      keys: ['sliding_window', 'partial_rotary_factor', 'original_max_position_embeddings'],
      defaults: { ...LLAMA.defaults, max_position_embeddings: 4096, rms_norm_eps: 1e-5, eos_token_id: 32_000 },
      fused: true,
      windows: 'all',
      // what early versions of its files call it
      ropeTypes: { su: 'longrope', yarn: 'longrope' },
      originalLength: 4096,
    },
  ],
]);
