import type { GgufArchitecture } from '../../src/model/gguf-config-tensors.ts';
import { count, integer, text, VALUE, type Entry } from '../unit/gguf-files.ts';

/** A parsed config.json, of before or after transformers 5. */
export type ConfigJson = Readonly<Record<string, unknown>>;

type Rope =
  | { readonly kind: 'default' }
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3';
      readonly theta: number;
      readonly factor: number;
      readonly lowFactor: number;
      readonly highFactor: number;
      readonly original: number;
    }
  | { readonly kind: 'longrope'; readonly long: readonly number[]; readonly short: readonly number[] };

/** What the converter reads of a config.json. */
export interface ModelSettings {
  readonly config: ConfigJson;
  readonly architecture: GgufArchitecture;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ropeDimensions: number;
  readonly theta: number;
  readonly rope: Rope;
  readonly tied: boolean;
}

const ARCHITECTURES: Readonly<Record<string, GgufArchitecture>> = {
  llama: 'llama',
  mistral: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
  gemma2: 'gemma2',
  gemma3_text: 'gemma3',
  phi3: 'phi3',
};

const numberIn = (json: ConfigJson, key: string, fallback?: number): number => {
  const value = json[key] ?? fallback;
  if (typeof value !== 'number') throw new Error(`${key} is ${String(value)}`);
  return value;
};

/** rope's settings of the layers that see all, wherever they stand. */
function ropeOf(config: ConfigJson): ConfigJson {
  const newer = config['rope_parameters'] as ConfigJson | undefined;
  const own = (newer?.['full_attention'] as ConfigJson | undefined) ?? newer;
  return own ?? { rope_theta: config['rope_theta'], ...(config['rope_scaling'] as ConfigJson | null) };
}

export function settingsOf(config: ConfigJson): ModelSettings {
  const type = String(config['model_type']);
  const architecture = ARCHITECTURES[type];
  if (architecture === undefined) throw new Error(`llama.cpp has no name for ${type}`);
  const heads = numberIn(config, 'num_attention_heads');
  const headDim = numberIn(config, 'head_dim', numberIn(config, 'hidden_size') / heads);
  const parameters = ropeOf(config);
  const theta = numberIn(parameters, 'rope_theta', 10_000);
  const partial = numberIn(config, 'partial_rotary_factor', numberIn(parameters, 'partial_rotary_factor', 1));
  return {
    config,
    architecture,
    layers: numberIn(config, 'num_hidden_layers'),
    heads,
    kvHeads: numberIn(config, 'num_key_value_heads', heads),
    headDim,
    ropeDimensions: Math.floor(headDim * partial),
    theta,
    rope: ropeKind(parameters, theta),
    tied: (config['tie_word_embeddings'] ?? architecture.startsWith('gemma')) === true,
  };
}

function ropeKind(parameters: ConfigJson, theta: number): Rope {
  const kind = parameters['rope_type'] ?? parameters['type'] ?? 'default';
  if (kind === 'default') return { kind };
  if (kind === 'linear') return { kind, factor: numberIn(parameters, 'factor') };
  if (kind === 'longrope' || kind === 'su') {
    return { kind: 'longrope', long: parameters['long_factor'] as number[], short: parameters['short_factor'] as number[] };
  }
  if (kind !== 'llama3') throw new Error(`rope of type ${JSON.stringify(kind)} is not written`);
  return {
    kind,
    theta,
    factor: numberIn(parameters, 'factor'),
    lowFactor: numberIn(parameters, 'low_freq_factor'),
    highFactor: numberIn(parameters, 'high_freq_factor'),
    original: numberIn(parameters, 'original_max_position_embeddings'),
  };
}

export const f32Entry = (key: string, value: number): Entry => [
  key,
  VALUE.f32,
  new Uint8Array(new DataView(Float32Array.of(value).buffer).buffer),
];
export const booleanEntry = (key: string, value: boolean): Entry => [key, VALUE.bool, integer(value ? 1 : 0, 1)];

/** The metadata of a model, in the order in which the recipe in tools/ adds it. */
export function modelEntries(settings: ModelSettings): Entry[] {
  const { architecture, config, layers, heads, kvHeads } = settings;
  const u32 = (name: string, value: number): Entry => count(`${architecture}.${name}`, value);
  const f32 = (name: string, value: number): Entry => f32Entry(`${architecture}.${name}`, value);
  return [
    text('general.architecture', architecture),
    text('general.type', 'model'),
    u32('vocab_size', numberIn(config, 'vocab_size')),
    u32('context_length', numberIn(config, 'max_position_embeddings')),
    u32('embedding_length', numberIn(config, 'hidden_size')),
    u32('block_count', layers),
    u32('feed_forward_length', numberIn(config, 'intermediate_size')),
    u32('attention.head_count', heads),
    u32('attention.head_count_kv', kvHeads),
    f32('attention.layer_norm_rms_epsilon', numberIn(config, 'rms_norm_eps')),
    ...headEntries(settings, u32),
    ...ropeEntries(settings, u32, f32),
    ...familyEntries(settings, u32, f32),
    count('general.file_type', 0),
    text('tokenizer.ggml.model', 'none'),
    ...(['bos', 'eos', 'pad'] as const).flatMap((name) => {
      const id = config[`${name}_token_id`];
      return typeof id === 'number' ? [count(`tokenizer.ggml.${name === 'pad' ? 'padding' : name}_token_id`, id)] : [];
    }),
    count('general.quantization_version', 2),
  ];
}

type Put = (name: string, value: number) => Entry;

function headEntries({ config, headDim }: ModelSettings, u32: Put): Entry[] {
  if (typeof config['head_dim'] !== 'number') return [];
  return [u32('attention.key_length', headDim), u32('attention.value_length', headDim)];
}

function ropeEntries({ architecture, config, rope, theta, ropeDimensions }: ModelSettings, u32: Put, f32: Put): Entry[] {
  const entries: Entry[] = [];
  // The converter leaves Gemma 2's out, which is llama.cpp's own value.
  if (architecture !== 'gemma2') entries.push(f32('rope.freq_base', theta));
  if (architecture === 'llama' || architecture === 'phi3') entries.push(u32('rope.dimension_count', ropeDimensions));
  if (rope.kind === 'linear') {
    entries.push(text(`${architecture}.rope.scaling.type`, 'linear'), f32('rope.scaling.factor', rope.factor));
  }
  if (architecture === 'phi3') {
    const original = numberIn(config, 'original_max_position_embeddings');
    entries.push(u32('rope.scaling.original_context_length', original));
    if (rope.kind === 'longrope') {
      const scale = numberIn(config, 'max_position_embeddings') / original;
      entries.push(f32('rope.scaling.attn_factor', scale > 1 ? Math.sqrt(1 + Math.log(scale) / Math.log(original)) : 1));
    }
  }
  return entries;
}

function familyEntries({ architecture, config, layers }: ModelSettings, u32: Put, f32: Put): Entry[] {
  const window = config['sliding_window'] as number | null | undefined;
  const entries: Entry[] = [];
  // A window of 0 tells Phi-4 from Phi-3.
  if (architecture === 'phi3') entries.push(u32('attention.sliding_window', window ?? 0));
  // llama.cpp's converter forgets Mistral's window; without it the file would be another model.
  else if (config['model_type'] === 'mistral' && window != null) entries.push(u32('attention.sliding_window', window));
  if (architecture !== 'gemma2' && architecture !== 'gemma3') return entries;
  if (typeof config['attn_logit_softcapping'] === 'number') entries.push(f32('attn_logit_softcapping', config['attn_logit_softcapping']));
  if (typeof config['final_logit_softcapping'] === 'number')
    entries.push(f32('final_logit_softcapping', config['final_logit_softcapping']));
  entries.push(u32('attention.sliding_window', window!));
  if (architecture === 'gemma3') entries.push(u32('attention.sliding_window_pattern', windowPattern(config, layers)));
  return entries;
}

/** Every how many layers one sees all. */
function windowPattern(config: ConfigJson, layers: number): number {
  const kinds = config['layer_types'] as readonly string[] | undefined;
  if (!kinds) return numberIn(config, 'sliding_window_pattern');
  const first = kinds.indexOf('full_attention') + 1;
  const fits = kinds.every((kind, layer) => kind === ((layer + 1) % first === 0 ? 'full_attention' : 'sliding_attention'));
  if (first === 0 || !fits || kinds.length !== layers) throw new Error(`llama.cpp has no number for ${JSON.stringify(kinds)}`);
  return first;
}
