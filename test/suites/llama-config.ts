import type { ModelConfig } from '../../src/model/config.ts';

/** Frequencies of RoPE without scaling over `dimensions` numbers of a head. */
export const ropeFrequencies = (theta: number, dimensions: number): number[] =>
  Array.from({ length: dimensions / 2 }, (_, pair) => theta ** ((-2 * pair) / dimensions));

/** The config of a Llama of these sizes, with what else tests want otherwise. */
export function llamaConfig(
  given: Partial<ModelConfig> & Pick<ModelConfig, 'vocabSize' | 'hiddenSize' | 'intermediateSize' | 'layers' | 'heads' | 'headDim'>,
): ModelConfig {
  const { layers, headDim } = given;
  return {
    family: 'llama',
    kvHeads: given.heads,
    normEpsilon: 1e-5,
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
    ropes: [{ dimensions: headDim, frequencies: ropeFrequencies(10_000, headDim), factor: 1 }],
    layerKinds: Array.from({ length: layers }, () => ({ window: Infinity, rope: 0 })),
    tiedEmbeddings: false,
    contextLength: 512,
    bosToken: undefined,
    endTokens: [],
    ...given,
  };
}
