import type { ModelConfig } from './config.ts';
import { ggufTensorNames, permutedRows, type GgufArchitecture } from './gguf-config-tensors.ts';

/** What files of each family call themselves: `general.architecture` by `model_type`. */
const ARCHITECTURES: Readonly<Record<string, GgufArchitecture>> = {
  llama: 'llama',
  mistral: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
  gemma2: 'gemma2',
  gemma3_text: 'gemma3',
  phi3: 'phi3',
};

/**
 * What a GGUF LoRA for this model calls its tensors: their names, the order of their rows, and whether norms are as they multiply.
 * Throws `RangeError` for a family that has no architecture in GGUF: there is none that is served.
 */
export function ggufNamesOf({ family, heads, kvHeads, headDim }: Pick<ModelConfig, 'family' | 'heads' | 'kvHeads' | 'headDim'>) {
  const architecture = ARCHITECTURES[family];
  if (architecture === undefined) throw new RangeError(`No architecture of GGUF is known for the family ${family}`);
  const orders = { num_attention_heads: permutedRows(heads, headDim), num_key_value_heads: permutedRows(kvHeads, headDim) };
  const tensors = ggufTensorNames(architecture).map(({ name, gguf, permuted, holdsOne }) => ({
    ...{ name, gguf },
    ...(permuted && { order: orders[permuted] }),
    ...(holdsOne && { norm: 'whole' as const }),
  }));
  return { architecture, tensors };
}
