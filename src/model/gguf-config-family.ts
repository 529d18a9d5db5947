import { type GgufArchitecture } from './gguf-config-tensors.ts';
import { type GgufSettings, isList, numberOf, unsupported, valueOf, wrong } from './gguf-config-values.ts';

type Config = Readonly<Record<string, unknown>>;

/** Layers of the sizes whose attention scale is not that of a head. */
const largestGemma: ReadonlyMap<GgufArchitecture, number> = new Map<GgufArchitecture, number>([
  ['gemma2', 46],
  ['gemma3', 62],
]);

/** Sizes of a model that several parts of its config need. */
export interface GgufSizes {
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly tensors: ReadonlySet<string>;
}

/** Positions that a windowed layer sees; null without windows. Throws `gguf_metadata`. */
export function slidingWindow(settings: GgufSettings, { contextLength }: GgufSizes): number | null {
  const window = numberOf(settings, 'attention.sliding_window') ?? (settings.architecture === 'gemma2' ? 4096 : 0);
  if (!Number.isSafeInteger(window) || window < 0) {
    throw wrong(settings.location, `${settings.architecture}.attention.sliding_window`, window, 'an integer that is not negative');
  }
  const isGemma = settings.architecture === 'gemma2' || settings.architecture === 'gemma3';
  return window === 0 || (window >= contextLength && !isGemma) ? null : window;
}

/** Whether each layer of Gemma sees a window: in every group of `period` layers all but the last. */
function layerTypes(settings: GgufSettings, layers: number, window: number | null): readonly string[] {
  const key = `${settings.architecture}.attention.sliding_window_pattern`;
  const pattern = valueOf(settings, 'attention.sliding_window_pattern') ?? (settings.architecture === 'gemma2' ? 2 : 6);
  const named = (isWindowed: boolean): string => (isWindowed && window !== null ? 'sliding_attention' : 'full_attention');
  if (isList(pattern)) {
    const flags = pattern.length === layers ? Array.from(pattern) : [];
    const valid = flags.length === layers && flags.every((flag) => typeof flag === 'boolean' || flag === 0 || flag === 1);
    if (!valid) throw wrong(settings.location, key, pattern, `a list of ${layers}, one for each layer, true for a window`);
    return flags.map((flag) => named(flag === true || flag === 1));
  }
  if (typeof pattern !== 'number' || !Number.isSafeInteger(pattern) || pattern < 0) {
    throw wrong(settings.location, key, pattern, 'a number of layers, or a list with one for each layer');
  }
  return Array.from({ length: layers }, (_, layer) => named(pattern === 0 || layer % pattern < pattern - 1));
}

/**
 * What the architecture adds to, or says otherwise than, the settings that all have.
 *
 * @param window as `slidingWindow` gives it. @param rope `rope_parameters` of the layers that see all.
 */
export function familySettings(settings: GgufSettings, sizes: GgufSizes, window: number | null, rope: Config): Config {
  switch (settings.architecture) {
    case 'llama':
      if (window !== null) return { hidden_act: 'silu', sliding_window: window, ...noBiases(settings, sizes) };
      return { hidden_act: 'silu', ...llamaBiases(settings, sizes) };
    case 'qwen2':
      return { hidden_act: 'silu', use_sliding_window: false, sliding_window: null };
    case 'qwen3':
      return {
        hidden_act: 'silu',
        use_sliding_window: false,
        sliding_window: null,
        attention_bias: hasAll(settings, sizes, attentionBiases),
      };
    case 'phi3':
      return { hidden_act: 'silu', sliding_window: window, ...originalLength(settings) };
    case 'gemma2':
      return {
        ...gemma(settings, sizes, window),
        attn_logit_softcapping: softCap(settings, 'attn_logit_softcapping', 50),
        final_logit_softcapping: softCap(settings, 'final_logit_softcapping', 30),
      };
    case 'gemma3':
      return {
        ...gemma(settings, sizes, window),
        attn_logit_softcapping: null,
        final_logit_softcapping: softCap(settings, 'final_logit_softcapping', 0),
        rope_parameters: {
          full_attention: rope,
          sliding_attention: { rope_type: 'default', rope_theta: numberOf(settings, 'rope.freq_base_swa') ?? 10_000 },
        },
      };
  }
}

function originalLength(settings: GgufSettings): Config {
  const length = numberOf(settings, 'rope.scaling.original_context_length');
  return length === undefined ? {} : { original_max_position_embeddings: length };
}

function gemma(settings: GgufSettings, sizes: GgufSizes, window: number | null): Config {
  const isLargest = largestGemma.get(settings.architecture) === sizes.layers;
  return {
    hidden_activation: 'gelu_pytorch_tanh',
    attention_bias: false,
    query_pre_attn_scalar: isLargest ? Math.floor(sizes.hiddenSize / sizes.heads) : sizes.headDim,
    sliding_window: window,
    layer_types: layerTypes(settings, sizes.layers, window),
  };
}

/** A cap of logits; null for 0, which stands for none. */
function softCap(settings: GgufSettings, name: string, byDefault: number): number | null {
  const cap = numberOf(settings, name) ?? byDefault;
  if (cap < 0) throw wrong(settings.location, `${settings.architecture}.${name}`, cap, 'a number that is not negative');
  return cap === 0 ? null : cap;
}

const attentionBiases = ['attn_q', 'attn_k', 'attn_v', 'attn_output'];
const mlpBiases = ['ffn_gate', 'ffn_up', 'ffn_down'];

function llamaBiases(settings: GgufSettings, sizes: GgufSizes): Config {
  return { attention_bias: hasAll(settings, sizes, attentionBiases), mlp_bias: hasAll(settings, sizes, mlpBiases) };
}

/** Whether the layers have these biases; transformers' models have all of them, in all layers, or none. */
function hasAll({ location }: GgufSettings, { tensors, layers }: GgufSizes, names: readonly string[]): boolean {
  const wanted = Array.from({ length: layers }, (_, layer) => names.map((name) => `blk.${layer}.${name}.bias`)).flat();
  const missing = wanted.find((name) => !tensors.has(name));
  const found = wanted.find((name) => tensors.has(name));
  if (found !== undefined && missing !== undefined) {
    throw unsupported(location, `there is a tensor ${found}, and no ${missing}; only both or neither is served.`);
  }
  return found !== undefined;
}

function noBiases(settings: GgufSettings, sizes: GgufSizes): Config {
  if (hasAll(settings, sizes, attentionBiases) || hasAll(settings, sizes, mlpBiases)) {
    throw unsupported(settings.location, 'the layers have biases and a window; only one of them is served for llama.');
  }
  return {};
}
