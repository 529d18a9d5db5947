import { WebLoraError } from '../../src/errors.ts';
import { configOfGguf } from '../../src/model/gguf-config.ts';

export type Settings = Readonly<Record<string, unknown>>;

/** Settings that every architecture has, the given ones over them; names without a dot in front belong to the architecture. */
export function metadata(architecture: string, settings: Settings = {}): Map<string, unknown> {
  const all: Settings = {
    'general.architecture': architecture,
    'tokenizer.ggml.tokens': Array.from({ length: 300 }, (_, id) => `t${id}`),
    context_length: 8192,
    embedding_length: 64,
    block_count: 2,
    feed_forward_length: 160,
    'attention.head_count': 4,
    'attention.head_count_kv': 2,
    'attention.layer_norm_rms_epsilon': 1e-6,
    'rope.freq_base': 50_000,
    ...settings,
  };
  const entries = Object.entries(all).filter(([, value]) => value !== undefined);
  return new Map(entries.map(([key, value]) => [/^(general|tokenizer)\./.test(key) ? key : `${architecture}.${key}`, value]));
}

export function config(architecture: string, settings: Settings = {}, tensors: readonly string[] = ['output.weight']): Settings {
  return configOfGguf(metadata(architecture, settings), tensors, 'a.gguf');
}

export function refusal(architecture: string, settings: Settings, tensors: readonly string[] = []): { code: string; message: string } {
  try {
    config(architecture, settings, tensors);
  } catch (error) {
    if (error instanceof WebLoraError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('nothing was refused');
}

export const sizes = {
  vocab_size: 300,
  hidden_size: 64,
  intermediate_size: 160,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 16,
  rms_norm_eps: 1e-6,
  max_position_embeddings: 8192,
  bos_token_id: null,
  eos_token_id: [],
  pad_token_id: null,
};
export const plainRope = { rope_type: 'default', rope_theta: 50_000 };
