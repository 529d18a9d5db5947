import type { ModelConfig } from './config.ts';
import { placePlane, placeVector, type Placing, type Plane, type WeightLoading } from './planes.ts';
import type { ModelShape } from './shape.ts';

export interface LayerWeights {
  readonly inputNorm: GPUBuffer;
  readonly qkv: Plane;
  readonly o: Plane;
  readonly postNorm: GPUBuffer;
  readonly gateUp: Plane;
  readonly down: Plane;
}

export interface ModelWeights {
  readonly embedding: Plane;
  readonly head: Plane;
  readonly finalNorm: GPUBuffer;
  readonly layers: readonly LayerWeights[];
}

/** Weights that have their places on the GPU, and what fills these. */
export interface PlacedWeights {
  readonly weights: ModelWeights;
  /**
   * Streams the checkpoint into them, once.
   * @throws WebLoraError `tensor_not_finite`, `model_unsupported`, and what reading throws.
   */
  fill(): Promise<void>;
}

/**
 * Makes room for a checkpoint by what its headers say: what computes with the weights can be compiled while they arrive. Names
 * are those of transformers' Llama.
 * @throws WebLoraError `tensor_missing`, `tensor_shape`, `tensor_dtype`, `out_of_memory`.
 */
export async function placeWeights(given: WeightLoading, config: ModelConfig, { groups, table }: ModelShape): Promise<PlacedWeights> {
  const loading: Placing = { ...given, fills: [] };
  const { hiddenSize, vocabSize } = config;
  const embedding = await placePlane(loading, ['model.embed_tokens.weight'], [vocabSize], hiddenSize, 'vocabulary');
  const head = config.tiedEmbeddings ? embedding : await placePlane(loading, ['lm_head.weight'], [vocabSize], hiddenSize, 'vocabulary');
  const finalNorm = await placeVector(loading, 'model.norm.weight', hiddenSize);
  const layers: LayerWeights[] = [];
  for (let layer = 0; layer < config.layers; layer++) {
    const name = `${table.prefix}${layer}.`;
    const group = ({ modules, inWidth, siteFirst }: ModelShape['groups']['qkv']): Promise<Plane> =>
      placePlane(
        loading,
        modules.map((module) => `${name}${module}.weight`),
        modules.map((_, i) => table.sites[siteFirst + i]!.outWidth),
        inWidth,
        'layers',
      );
    layers.push({
      inputNorm: await placeVector(loading, `${name}input_layernorm.weight`, hiddenSize),
      qkv: await group(groups.qkv),
      o: await group(groups.o),
      postNorm: await placeVector(loading, `${name}post_attention_layernorm.weight`, hiddenSize),
      gateUp: await group(groups.gateUp),
      down: await group(groups.down),
    });
  }
  await loading.buffers.settled();
  const fill = async (): Promise<void> => {
    for (const next of loading.fills) await next();
  };
  return { weights: { embedding, head, finalNorm, layers }, fill };
}
