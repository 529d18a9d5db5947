import { show } from '../formats/json.ts';
import {
  ENDING_TOKENS,
  ENDING_WORDS,
  GGUF_KEYS_OF,
  INERT_GGUF_KEYS,
  NEUTRAL_GGUF_VALUES,
  TURN_ENDS,
  UNDERSTOOD_GGUF_KEYS,
} from './gguf-config-keys.ts';
import { familySettings, type GgufSizes, slidingWindow } from './gguf-config-family.ts';
import { ropeFactorTensors, ropeParameters } from './gguf-config-rope.ts';
import { type GgufArchitecture, ggufArchitectures, ggufTensorNames } from './gguf-config-tensors.ts';
import { countOf, type GgufSettings, isList, numberOf, shown, tokenIdOf, unsupported, wrong } from './gguf-config-values.ts';

type Config = Readonly<Record<string, unknown>>;

const mostLayers = 1024;

/** What config.json calls an architecture of GGUF. */
const families: Readonly<Record<GgufArchitecture, { readonly type: string; readonly architecture: string }>> = {
  llama: { type: 'llama', architecture: 'LlamaForCausalLM' },
  qwen2: { type: 'qwen2', architecture: 'Qwen2ForCausalLM' },
  qwen3: { type: 'qwen3', architecture: 'Qwen3ForCausalLM' },
  gemma2: { type: 'gemma2', architecture: 'Gemma2ForCausalLM' },
  gemma3: { type: 'gemma3_text', architecture: 'Gemma3ForCausalLM' },
  phi3: { type: 'phi3', architecture: 'Phi3ForCausalLM' },
};
/** A file of the architecture `llama` with a window. */
const mistral = { type: 'mistral', architecture: 'MistralForCausalLM' };

/**
 * The config.json of the model in a GGUF file, as transformers 5 would write it, from the file's metadata, its tensors' names, and
 * llama.cpp's own values where the file has neither: Gemma's pattern of windows, base of local rope, soft caps and attention scale.
 * Every key under the architecture's name and every tensor is understood, inert, or refused by name. `rope_parameters` may name tensors:
 * `withRopeFactors` puts their values in. `eos_token_id` lists every token that ends a turn or a text.
 *
 * @param metadata the file's. @param tensorNames names of all its tensors. @param location the file, for messages.
 * Throws `gguf_metadata` for a value that contradicts the format, `model_unsupported` for an architecture, setting or tensor that is not served.
 */
export function configOfGguf(metadata: ReadonlyMap<string, unknown>, tensorNames: Iterable<string>, location: string): Config {
  const architecture = architectureOf(metadata, location);
  const settings: GgufSettings = { metadata, architecture, location };
  const sizes = readSizes(settings, new Set(tensorNames));
  const rope = ropeParameters(settings, sizes);
  checkKeys(settings);
  checkTensors(architecture, sizes, location);
  const window = slidingWindow(settings, sizes);
  const { type, architecture: name } = architecture === 'llama' && window !== null ? mistral : families[architecture];
  const epsilon = numberOf(settings, 'attention.layer_norm_rms_epsilon');
  if (epsilon === undefined) throw wrong(location, `${architecture}.attention.layer_norm_rms_epsilon`, epsilon, 'a number');
  return {
    architectures: [name],
    model_type: type,
    vocab_size: sizes.vocabSize,
    hidden_size: sizes.hiddenSize,
    intermediate_size: countOf(settings, 'feed_forward_length'),
    num_hidden_layers: sizes.layers,
    num_attention_heads: sizes.heads,
    num_key_value_heads: countOf(settings, 'attention.head_count_kv', sizes.heads),
    head_dim: sizes.headDim,
    rms_norm_eps: epsilon,
    max_position_embeddings: sizes.contextLength,
    tie_word_embeddings: !sizes.tensors.has('output.weight'),
    rope_parameters: rope,
    ...familySettings(settings, sizes, window, rope),
    ...specialTokens(settings, sizes),
  };
}

function architectureOf(metadata: ReadonlyMap<string, unknown>, location: string): GgufArchitecture {
  const kind = metadata.get('general.type') ?? 'model';
  if (kind !== 'model') throw unsupported(location, `general.type is ${show(kind)}; a model is expected here.`);
  const name = metadata.get('general.architecture');
  if (typeof name !== 'string') throw wrong(location, 'general.architecture', name, 'a text such as "llama"');
  const known = ggufArchitectures.find((each) => each === name);
  if (known === undefined)
    throw unsupported(location, `general.architecture is ${show(name)}; ${ggufArchitectures.join(', ')} are served.`);
  return known;
}

function readSizes(settings: GgufSettings, tensors: ReadonlySet<string>): GgufSizes {
  const { architecture, location, metadata } = settings;
  const hiddenSize = countOf(settings, 'embedding_length');
  const layers = countOf(settings, 'block_count');
  if (layers > mostLayers) throw unsupported(location, `${architecture}.block_count is ${layers}; at most ${mostLayers} is served.`);
  const heads = countOf(settings, 'attention.head_count');
  const headDim = countOf(settings, 'attention.key_length', hiddenSize / heads);
  const valueLength = countOf(settings, 'attention.value_length', headDim);
  if (valueLength !== headDim) {
    throw unsupported(
      location,
      `${architecture}.attention.value_length is ${valueLength}, and key_length ${headDim}; only equal ones are served.`,
    );
  }
  const tokens = metadata.get('tokenizer.ggml.tokens');
  const vocabSize = isList(tokens) ? tokens.length : countOf(settings, 'vocab_size');
  return { hiddenSize, layers, heads, headDim, vocabSize, contextLength: countOf(settings, 'context_length'), tensors };
}

function checkKeys({ metadata, architecture, location }: GgufSettings): void {
  const prefix = `${architecture}.`;
  for (const [key, value] of metadata) {
    if (!key.startsWith(prefix)) continue;
    const name = key.slice(prefix.length);
    const neutral = NEUTRAL_GGUF_VALUES.get(name);
    if (neutral?.includes(value) || INERT_GGUF_KEYS.has(name)) continue;
    if (neutral) throw unsupported(location, `${key} is ${shown(value)}, which is not served, only ${neutral.map(show).join(' or ')}.`);
    const owners = GGUF_KEYS_OF.get(name);
    if (UNDERSTOOD_GGUF_KEYS.has(name) && (owners === undefined || owners.includes(architecture) || value === 0)) continue;
    throw unsupported(location, `${key} is ${shown(value)}, a setting that WebLoRA does not know for ${architecture}.`);
  }
}

function checkTensors(architecture: GgufArchitecture, { tensors, layers }: GgufSizes, location: string): void {
  const known = new Set([...ggufTensorNames(architecture).map((each) => each.gguf), ...ropeFactorTensors]);
  for (const name of tensors) {
    const [, layer, rest] = /^blk\.(\d+)\.(.+)$/.exec(name) ?? [];
    const pattern = layer === undefined ? name : `blk.{layer}.${rest}`;
    if (layer !== undefined && Number(layer) >= layers) {
      throw unsupported(location, `there is a tensor ${name}, and ${architecture}.block_count is ${layers}.`);
    }
    if (!known.has(pattern)) throw unsupported(location, `the tensor ${show(name)} is not known for ${architecture}.`);
  }
}

/** What begins a text, and all that ends one. */
function specialTokens(settings: GgufSettings, { vocabSize }: GgufSizes): Config {
  const { metadata } = settings;
  const isSentencePiece = metadata.get('tokenizer.ggml.model') === 'llama';
  const id = (name: string): number | undefined => tokenIdOf(settings, `tokenizer.ggml.${name}_token_id`, vocabSize);
  const first = id('bos') ?? (isSentencePiece && vocabSize > 1 ? 1 : undefined);
  const last = id('eos') ?? (isSentencePiece && vocabSize > 2 ? 2 : undefined);
  const ends = [last, id('eot'), id('eom'), ...endingTokens(metadata)].filter((each) => each !== undefined);
  const padding = metadata.get('tokenizer.ggml.padding_token_id');
  const isPadding = Number.isInteger(padding) && Number(padding) >= 0 && Number(padding) < vocabSize; // it pads nothing here
  return { bos_token_id: first ?? null, eos_token_id: [...new Set(ends)], pad_token_id: isPadding ? padding : null };
}

function endingTokens(metadata: ReadonlyMap<string, unknown>): readonly number[] {
  const tokens = metadata.get('tokenizer.ggml.tokens');
  const types = metadata.get('tokenizer.ggml.token_type');
  if (!isList(tokens) || !isList(types)) return [];
  // Control tokens, and those of a fine-tune that its converter took for user-defined ones.
  const marks: ReadonlyMap<unknown, ReadonlySet<unknown>> = new Map([
    [1, TURN_ENDS],
    [3, ENDING_TOKENS],
    [4, ENDING_WORDS],
  ]);
  const ids: number[] = [];
  for (let id = 0; id < tokens.length; id++) if (marks.get(types[id])?.has(tokens[id])) ids.push(id);
  return ids;
}
