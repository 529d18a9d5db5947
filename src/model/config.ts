import { booleanField, numberField, show, wrongField } from '../formats/json.ts';
import type { JsonObject } from '../formats/json.ts';
import { checkConfig, type CheckedConfig } from './config-family.ts';
import { readLayers, type LayerKind } from './config-layers.ts';
import { readRopes, type Rope } from './config-rope.ts';
import { checkMultiple, dimension, positive, unsupported } from './config-values.ts';

export { windowOf, type LayerKind } from './config-layers.ts';
export { ropeFrequencies, type Rope } from './config-rope.ts';

/**
 * The numbers of a decoder, whoever wrote its config.json. A family is nothing but a choice of these: the forward pass knows no names of
 * families.
 */
export interface ModelConfig {
  /** config.json's `model_type`. */
  readonly family: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly normEpsilon: number;
  /** `around`: each block's output is normed, too, before it is added (Gemma 2 and 3). */
  readonly norms: 'before' | 'around';
  /** What is added to a norm's weights as stored: 1 for Gemma's in transformers' checkpoints. */
  readonly normOffset: number;
  /** `each head`: q and k are normed over each head before they turn (Qwen3, Gemma 3). */
  readonly queryKeyNorm: 'no' | 'each head';
  /** Linear layers with biases. */
  readonly biases: { readonly qkv: boolean; readonly o: boolean; readonly mlp: boolean };
  /** Whether the checkpoint has q, k, v (`qkv_proj`) and gate, up (`gate_up_proj`) as one tensor each (Phi-3). */
  readonly fused: boolean;
  readonly activation: 'silu' | 'gelu-tanh';
  /** What embeddings are multiplied with. */
  readonly embeddingScale: number;
  /** What scores are multiplied with. */
  readonly attentionScale: number;
  /** `cap * tanh(score / cap)`; 0: none. */
  readonly attentionCap: number;
  readonly logitCap: number;
  readonly ropes: readonly Rope[];
  /** One a layer. */
  readonly layerKinds: readonly LayerKind[];
  readonly tiedEmbeddings: boolean;
  /** max_position_embeddings */
  readonly contextLength: number;
  readonly bosToken: number | undefined;
  /** config.json's alone; generation_config.json and the chat template may name more. */
  readonly endTokens: readonly number[];
}

/** True for something that can be the id of a token. */
export function isTokenId(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value < 2 ** 31;
}

/**
 * `eos_token_id` of config.json or generation_config.json: a number, a list, or null. `fallback` where the key is absent.
 * Throws `file_invalid`.
 */
export function parseEndTokens(config: JsonObject, location: string, fallback: readonly number[]): readonly number[] {
  const value = config.has('eos_token_id') ? config.get('eos_token_id') : fallback;
  const list: unknown[] = value === null ? [] : Array.isArray(value) ? value : [value];
  if (!list.every(isTokenId)) throw wrongField(location, 'eos_token_id', value, 'a token id, a list of them, or null');
  return [...new Set(list)];
}

function bosToken(config: JsonObject, location: string): number | undefined {
  const value = config.get('bos_token_id') ?? undefined;
  if (value !== undefined && !isTokenId(value)) throw wrongField(location, 'bos_token_id', value, 'a token id or null');
  return value;
}

function headDimension(config: JsonObject, location: string, hiddenSize: number, heads: number): number {
  if ((config.get('head_dim') ?? undefined) === undefined && hiddenSize % heads !== 0) {
    throw unsupported(location, `hidden_size ${hiddenSize} is no multiple of num_attention_heads ${heads}, and there is no head_dim.`);
  }
  const headDim = dimension(config, 'head_dim', location, 512, hiddenSize / heads);
  checkMultiple(location, 'the head dimension (head_dim, or hidden_size / num_attention_heads)', headDim, 8);
  return headDim;
}

type Sizes = Pick<
  ModelConfig,
  'vocabSize' | 'hiddenSize' | 'intermediateSize' | 'layers' | 'heads' | 'kvHeads' | 'headDim' | 'contextLength'
>;

function readSizes({ config, location }: CheckedConfig): Sizes {
  const hiddenSize = dimension(config, 'hidden_size', location, 1 << 16);
  const intermediateSize = dimension(config, 'intermediate_size', location, 1 << 18);
  const heads = dimension(config, 'num_attention_heads', location, 1024);
  const kvHeads = dimension(config, 'num_key_value_heads', location, 1024, heads);
  const headDim = headDimension(config, location, hiddenSize, heads);
  checkMultiple(location, 'hidden_size', hiddenSize, 4);
  checkMultiple(location, 'intermediate_size', intermediateSize, 4);
  if (heads % kvHeads !== 0) {
    throw unsupported(location, `num_attention_heads is ${heads}, no multiple of num_key_value_heads ${kvHeads}.`);
  }
  const layers = dimension(config, 'num_hidden_layers', location, 1024);
  const vocabSize = dimension(config, 'vocab_size', location, 1 << 24);
  const contextLength = dimension(config, 'max_position_embeddings', location, 1 << 24);
  return { vocabSize, hiddenSize, intermediateSize, layers, heads, kvHeads, headDim, contextLength };
}

/** What `hidden_act`, and Gemma's `hidden_activation`, may say for each activation. */
const ACTIVATIONS = { silu: ['silu', 'swish'], 'gelu-tanh': ['gelu_pytorch_tanh'] };

function checkActivation({ config, location, family }: CheckedConfig): void {
  const names = ACTIVATIONS[family.activation];
  for (const key of ['hidden_act', 'hidden_activation']) {
    const value = config.get(key) ?? undefined;
    if (value === undefined || names.includes(String(value))) continue;
    throw unsupported(location, `${key} is ${show(value)}, which is not served for this model_type, only ${names.map(show).join(' or ')}.`);
  }
}

function readEpsilon({ config, location }: CheckedConfig): number {
  const epsilon = numberField(config, 'rms_norm_eps', location, undefined);
  if (epsilon === undefined) throw wrongField(location, 'rms_norm_eps', epsilon, 'a number');
  if (!(epsilon > 0 && epsilon < 1)) throw unsupported(location, `rms_norm_eps is ${epsilon}; it must be between 0 and 1.`);
  return epsilon;
}

/**
 * Reads config.json of a model of any family that is served (`FAMILIES`, and the text of `gemma3`), as transformers 5
 * (`rope_parameters`, `dtype`, `layer_types`) and older versions (`rope_theta`, `rope_scaling`, `torch_dtype`) write it; absent keys have
 * the family's defaults in transformers. Every key is understood, changes nothing, or is refused by name (`checkConfig`).
 *
 * @param json what `readJson` or `configOfGguf` returned. @param location the file, for messages.
 * Throws `file_invalid` for a field of the wrong type, `model_unsupported` for a value that is not served.
 */
export function parseModelConfig(json: unknown, location: string): ModelConfig {
  const checked = checkConfig(json, location);
  const { type, family, config } = checked;
  checkActivation(checked);
  const sizes = readSizes(checked);
  const where = checked.location;
  const { headDim, contextLength } = sizes;
  const attentionBias = booleanField(config, 'attention_bias', where, false);
  const scalar = positive(config, 'query_pre_attn_scalar', where) ?? headDim;
  return {
    family: type,
    ...sizes,
    normEpsilon: readEpsilon(checked),
    norms: family.norms,
    normOffset: family.normOffset,
    queryKeyNorm: family.queryKeyNorm,
    biases: {
      qkv: family.qkvBias || attentionBias,
      o: attentionBias,
      mlp: booleanField(config, 'mlp_bias', where, false),
    },
    fused: family.fused,
    activation: family.activation,
    embeddingScale: family.embeddingScale(sizes.hiddenSize),
    attentionScale: 1 / Math.sqrt(scalar),
    attentionCap: positive(config, 'attn_logit_softcapping', where) ?? 0,
    logitCap: positive(config, 'final_logit_softcapping', where) ?? 0,
    ...readLayers(checked, sizes.layers, contextLength, readRopes(checked, headDim, contextLength)),
    tiedEmbeddings: booleanField(config, 'tie_word_embeddings', where, false),
    bosToken: bosToken(config, where),
    endTokens: parseEndTokens(config, where, []),
  };
}
