/** Architectures whose GGUF files are read, as `general.architecture` names them. */
export const ggufArchitectures = ['llama', 'qwen2', 'qwen3', 'gemma2', 'gemma3', 'phi3'] as const;
export type GgufArchitecture = (typeof ggufArchitectures)[number];

/** One tensor under both its names; `{layer}` stands for a layer's number, from 0. */
export interface GgufTensorName {
  /** As transformers names it. */
  readonly name: string;
  /** As the GGUF file names it. */
  readonly gguf: string;
  /** The rows of each head are stored in another order (`permutedRows`); how many heads, config.json says under this key. */
  readonly permuted?: 'num_attention_heads' | 'num_key_value_heads';
  /** The norm's stored weight is transformers' plus 1, so it multiplies as it is. */
  readonly holdsOne?: true;
}

type Pair = readonly [name: string, gguf: string];

/** Outside the layers. */
const outer: readonly Pair[] = [
  ['model.embed_tokens.weight', 'token_embd.weight'],
  ['model.norm.weight', 'output_norm.weight'],
  ['lm_head.weight', 'output.weight'],
];
const queryKeyValue: readonly Pair[] = [
  ['self_attn.q_proj', 'attn_q'],
  ['self_attn.k_proj', 'attn_k'],
  ['self_attn.v_proj', 'attn_v'],
];
const output: Pair = ['self_attn.o_proj', 'attn_output'];
const gatedMlp: readonly Pair[] = [
  ['mlp.gate_proj', 'ffn_gate'],
  ['mlp.up_proj', 'ffn_up'],
  ['mlp.down_proj', 'ffn_down'],
];
const normsBefore: readonly Pair[] = [
  ['input_layernorm', 'attn_norm'],
  ['post_attention_layernorm', 'ffn_norm'],
];
const normsAround: readonly Pair[] = [
  ['input_layernorm', 'attn_norm'],
  ['post_attention_layernorm', 'post_attention_norm'],
  ['pre_feedforward_layernorm', 'ffn_norm'],
  ['post_feedforward_layernorm', 'post_ffw_norm'],
];
const queryKeyNorms: readonly Pair[] = [
  ['self_attn.q_norm', 'attn_q_norm'],
  ['self_attn.k_norm', 'attn_k_norm'],
];

interface Layer {
  readonly weights: readonly Pair[];
  readonly biases: readonly Pair[];
}

const layers: Readonly<Record<GgufArchitecture, Layer>> = {
  llama: {
    weights: [...normsBefore, ...queryKeyValue, output, ...gatedMlp],
    biases: [...queryKeyValue, output, ...gatedMlp],
  },
  qwen2: { weights: [...normsBefore, ...queryKeyValue, output, ...gatedMlp], biases: queryKeyValue },
  qwen3: { weights: [...normsBefore, ...queryKeyNorms, ...queryKeyValue, output, ...gatedMlp], biases: [...queryKeyValue, output] },
  gemma2: { weights: [...normsAround, ...queryKeyValue, output, ...gatedMlp], biases: [] },
  gemma3: { weights: [...normsAround, ...queryKeyNorms, ...queryKeyValue, output, ...gatedMlp], biases: [] },
  phi3: {
    // The fused pair keeps its order: the gate's rows, then those of up.
    weights: [...normsBefore, ['self_attn.qkv_proj', 'attn_qkv'], output, ['mlp.gate_up_proj', 'ffn_up'], ['mlp.down_proj', 'ffn_down']],
    biases: [],
  },
};

function described(name: string, gguf: string, architecture: GgufArchitecture): GgufTensorName {
  if (architecture === 'llama' && name.includes('.q_proj.')) return { name, gguf, permuted: 'num_attention_heads' };
  if (architecture === 'llama' && name.includes('.k_proj.')) return { name, gguf, permuted: 'num_key_value_heads' };
  const isNorm = name.endsWith('norm.weight');
  return isNorm && (architecture === 'gemma2' || architecture === 'gemma3') ? { name, gguf, holdsOne: true } : { name, gguf };
}

/**
 * Every tensor that a file of this architecture may have, under transformers' name and GGUF's. Biases and `lm_head.weight` may be absent;
 * rope's factors are no part of it.
 */
export function ggufTensorNames(architecture: GgufArchitecture): readonly GgufTensorName[] {
  const { weights, biases } = layers[architecture];
  const inLayers = [...weights.map((pair) => [pair, 'weight'] as const), ...biases.map((pair) => [pair, 'bias'] as const)];
  // Gemma 2's files have no head of their own.
  const around = outer.filter(([name]) => architecture !== 'gemma2' || name !== 'lm_head.weight');
  return [
    ...around.map(([name, gguf]) => described(name, gguf, architecture)),
    ...inLayers.map(([[name, gguf], kind]) =>
      described(`model.layers.{layer}.${name}.${kind}`, `blk.{layer}.${gguf}.${kind}`, architecture),
    ),
  ];
}

/**
 * The order of rows in `attn_q` and `attn_k` of the architecture `llama`. There the two halves of a head, which rope turns into each
 * other, are interleaved: the stored row `i` is the row `permutedRows(heads, headDim)[i]` of transformers' weight (or bias, or of a
 * LoRA's B).
 *
 * @param heads of the projection: query heads, or key and value heads. @param headDim rows of a head, even.
 * @returns heads · headDim indices.
 */
export function permutedRows(heads: number, headDim: number): Uint32Array {
  if (!Number.isSafeInteger(headDim / 2) || headDim < 2) throw new RangeError(`permutedRows: headDim is ${headDim}; it must be even`);
  const rows = new Uint32Array(heads * headDim);
  for (let row = 0; row < rows.length; row++) {
    const within = row % headDim;
    rows[row] = row - within + (within % 2) * (headDim / 2) + (within >> 1);
  }
  return rows;
}
