import { WebLoraError } from '../errors.ts';
import { booleanField, jsonObject, numberField, saysNothing, show, wrongField } from '../formats/json.ts';
import type { JsonObject } from '../formats/json.ts';
import { INERT_KEYS, NEUTRAL_VALUES } from './config-keys.ts';

/** How the positions of a layer turn q and k: pair `i` of a head's first `dimensions` numbers by `position * frequencies[i]`. */
export interface Rope {
  /** Numbers of a head that are turned, even; those behind stay (partial rotary). */
  readonly dimensions: number;
  /** Radians a position, `dimensions / 2` of them, scaling included; in double. */
  readonly frequencies: readonly number[];
  /** LongRoPE: what serves instead where the served length exceeds `original`. */
  readonly long?: { readonly original: number; readonly frequencies: readonly number[] };
  /** What cos and sin are multiplied with (LongRoPE's attention factor); else 1. */
  readonly factor: number;
}

/** What may differ between the layers of a model. */
export interface LayerKind {
  /** Positions that a row sees, its own included; Infinity: all before it. */
  readonly window: number;
  /** Index into `ModelConfig.ropes`. */
  readonly rope: number;
}

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

/** Keys that `parseModelConfig` reads. */
const UNDERSTOOD = new Set([
  'architectures',
  'model_type',
  'vocab_size',
  'hidden_size',
  'intermediate_size',
  'num_hidden_layers',
  'num_attention_heads',
  'num_key_value_heads',
  'head_dim',
  'rms_norm_eps',
  'rope_theta',
  'rope_scaling',
  'rope_parameters',
  'tie_word_embeddings',
  'max_position_embeddings',
  'bos_token_id',
  'eos_token_id',
  'layer_types',
]);

function unsupported(location: string, what: string): WebLoraError {
  return new WebLoraError('model_unsupported', `${location}: ${what}`);
}

function checkArchitecture(config: JsonObject, location: string): void {
  const type = config.get('model_type');
  if (typeof type !== 'string') throw wrongField(location, 'model_type', type, 'a text such as "llama"');
  if (type !== 'llama') throw unsupported(location, `model_type is ${show(type)}; only "llama" is served.`);
  const names = config.get('architectures') ?? [];
  if (!Array.isArray(names)) throw wrongField(location, 'architectures', names, 'a list');
  if (names.length > 0 && !names.some((name) => /^llamaforcausallm$/i.test(String(name)))) {
    throw unsupported(location, `architectures is ${show(names)}; only LlamaForCausalLM is served.`);
  }
}

function checkSettings(config: JsonObject, location: string): void {
  for (const [key, value] of config) {
    const neutral = NEUTRAL_VALUES.get(key);
    if (neutral) {
      if (saysNothing(value) || neutral.includes(value)) continue;
      const expected = neutral.length > 0 ? `, only ${neutral.map(show).join(' or ')}` : '';
      throw unsupported(location, `${key} is ${show(value)}, which is not served${expected}.`);
    }
    if (UNDERSTOOD.has(key) || INERT_KEYS.has(key) || saysNothing(value)) continue;
    throw unsupported(
      location,
      `${key} is ${show(value)}, a setting that WebLoRA does not know. If it does not change what the model computes, remove it.`,
    );
  }
  const kinds = config.get('layer_types') ?? [];
  if (!Array.isArray(kinds)) throw wrongField(location, 'layer_types', kinds, 'a list');
  const other: unknown = kinds.find((kind) => kind !== 'full_attention');
  if (other !== undefined) throw unsupported(location, `layer_types has ${show(other)}; only "full_attention" is served.`);
}

/** A positive integer up to `most`; `fallback` where absent or null. */
function dimension(config: JsonObject, key: string, location: string, most: number, fallback?: number): number {
  const value = numberField(config, key, location, fallback);
  if (value === undefined || !Number.isSafeInteger(value) || value < 1) throw wrongField(location, key, value, 'a positive integer');
  if (value > most) throw unsupported(location, `${key} is ${value}; at most ${most} is served.`);
  return value;
}

function checkMultiple(location: string, what: string, value: number, of: number): void {
  if (value % of !== 0) throw unsupported(location, `${what} is ${value}; it must be a multiple of ${of}.`);
}

/** Theta of unscaled RoPE, from `rope_parameters` (newer) or `rope_theta` and `rope_scaling` (older). */
function ropeTheta(config: JsonObject, location: string): number {
  const tops = numberField(config, 'rope_theta', location, undefined);
  let nested: number | undefined;
  for (const key of ['rope_parameters', 'rope_scaling']) {
    const value = config.get(key) ?? undefined;
    if (value === undefined) continue;
    const where = `${location}: ${key}`;
    const rope = jsonObject(value, where);
    const type = rope.get('rope_type') ?? rope.get('type') ?? 'default';
    if (type !== 'default') throw unsupported(location, `${key} is of type ${show(type)}; only plain RoPE ("default") is served.`);
    for (const [name, setting] of rope) {
      const isType = name === 'rope_type' || name === 'type';
      const isNeutral = name === 'rope_theta' || (name === 'partial_rotary_factor' && setting === 1) || setting === null;
      if (!isType && !isNeutral) {
        throw unsupported(location, `${key} has ${name} = ${show(setting)}, which plain RoPE has not.`);
      }
    }
    nested ??= numberField(rope, 'rope_theta', where, undefined);
  }
  if (tops !== undefined && nested !== undefined && tops !== nested) {
    throw unsupported(location, `rope_theta is ${tops}, but inside rope_parameters it is ${nested}.`);
  }
  const theta = nested ?? tops ?? 10_000;
  if (!(theta >= 1 && theta <= 1e12)) throw unsupported(location, `rope_theta is ${theta}; values from 1 to 1e12 are served.`);
  return theta;
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
  const value = config.has('bos_token_id') ? (config.get('bos_token_id') ?? undefined) : 1;
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

/**
 * Reads config.json of a Llama model, as older (`rope_theta`, `rope_scaling`, `torch_dtype`) and newer transformers
 * (`rope_parameters`, `dtype`) write it; absent keys have transformers' defaults for Llama.
 *
 * Every key is understood, inert (it says where the model comes from or how it was trained), or refused unless it is at the value that
 * changes nothing. A key of neither list is refused by name unless its value says nothing (null, false, an empty text, list or object):
 * a setting that we do not know may change what the model computes, and gibberish is worse than a refusal.
 *
 * @param json what `readJson` returned. @param location the file, for messages.
 * Throws `file_invalid` for a field of the wrong type, `model_unsupported` for a value that is not served.
 */
export function parseModelConfig(json: unknown, location: string): ModelConfig {
  const config = jsonObject(json, location);
  checkArchitecture(config, location);
  checkSettings(config, location);
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
  const normEpsilon = numberField(config, 'rms_norm_eps', location, 1e-6);
  if (!(normEpsilon > 0 && normEpsilon < 1)) throw unsupported(location, `rms_norm_eps is ${normEpsilon}; it must be between 0 and 1.`);
  const layers = dimension(config, 'num_hidden_layers', location, 1024);
  const theta = ropeTheta(config, location);
  const frequencies = Array.from({ length: headDim / 2 }, (_, pair) => theta ** ((-2 * pair) / headDim));
  return {
    family: 'llama',
    vocabSize: dimension(config, 'vocab_size', location, 1 << 24),
    hiddenSize,
    intermediateSize,
    layers,
    heads,
    kvHeads,
    headDim,
    normEpsilon,
    norms: 'before',
    normOffset: 0,
    queryKeyNorm: 'no',
    biases: { qkv: false, o: false, mlp: false },
    fused: false,
    activation: 'silu',
    embeddingScale: 1,
    attentionScale: 1 / Math.sqrt(headDim),
    attentionCap: 0,
    logitCap: 0,
    ropes: [{ dimensions: headDim, frequencies, factor: 1 }],
    layerKinds: Array.from({ length: layers }, () => ({ window: Infinity, rope: 0 })),
    tiedEmbeddings: booleanField(config, 'tie_word_embeddings', location, false),
    contextLength: dimension(config, 'max_position_embeddings', location, 1 << 24, 2048),
    bosToken: bosToken(config, location),
    endTokens: parseEndTokens(config, location, [2]),
  };
}
