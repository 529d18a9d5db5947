import { openSliceMemory } from '../formats/slice-memory-open.ts';
import type { ModelConfig } from './config.ts';
import { placePlane, placeVector, type Placing, type Plane, type VectorPart, type WeightLoading } from './planes.ts';
import type { Group, ModelShape } from './shape.ts';

/** What a layer has on the GPU. What its config does not ask for is undefined. */
export interface LayerWeights {
  /** Before attention. */
  readonly inputNorm: GPUBuffer;
  readonly qkv: Plane;
  /** What rope-kv does to q, k and v before they turn: their biases side by side, then the norms of a head of q and of k. */
  readonly headVectors: GPUBuffer | undefined;
  readonly o: Plane;
  readonly oBias: GPUBuffer | undefined;
  /** Of attention's output, before it is added. */
  readonly attentionNorm: GPUBuffer | undefined;
  /** Before the feed-forward block. */
  readonly postNorm: GPUBuffer;
  readonly gateUp: Plane;
  readonly gateUpBias: GPUBuffer | undefined;
  readonly down: Plane;
  readonly downBias: GPUBuffer | undefined;
  /** Of the feed-forward block's output, before it is added. */
  readonly feedForwardNorm: GPUBuffer | undefined;
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

/** Tensors that hold the modules of a group one below the other, where a checkpoint has them so. */
const FUSED: Partial<Record<Group['name'], string>> = { qkv: 'self_attn.qkv_proj', gateUp: 'mlp.gate_up_proj' };

/** One tensor of a group: its name without `.weight` or `.bias`, and its outputs. */
interface GroupTensor {
  readonly module: string;
  readonly outWidth: number;
}

function tensorsOf({ fused }: ModelConfig, { name, modules, outWidth, siteFirst }: Group, { table }: ModelShape): readonly GroupTensor[] {
  const one = fused ? FUSED[name] : undefined;
  if (one !== undefined) return [{ module: one, outWidth }];
  return modules.map((module, i) => ({ module, outWidth: table.sites[siteFirst + i]!.outWidth }));
}

/**
 * Makes room for a checkpoint by what its headers say: what computes with the weights can be compiled while they arrive. Names
 * are transformers'.
 * @throws WebLoraError `tensor_missing`, `tensor_shape`, `tensor_dtype`, `out_of_memory`.
 */
export async function placeWeights(given: WeightLoading, config: ModelConfig, shape: ModelShape): Promise<PlacedWeights> {
  const loading: Placing = { ...given, fills: [] };
  const { hiddenSize, vocabSize } = config;
  const embedding = await placePlane(loading, ['model.embed_tokens.weight'], [vocabSize], hiddenSize, 'vocabulary');
  const head = config.tiedEmbeddings ? embedding : await placePlane(loading, ['lm_head.weight'], [vocabSize], hiddenSize, 'vocabulary');
  const finalNorm = await placeVector(loading, [{ name: 'model.norm.weight', width: hiddenSize, offset: config.normOffset }]);
  const layers: LayerWeights[] = [];
  for (let layer = 0; layer < config.layers; layer++) layers.push(await placeLayer(loading, config, shape, layer));
  await loading.buffers.settled();
  const fill = (): Promise<void> => runAll(loading.fills);
  return { weights: { embedding, head, finalNorm, layers }, fill };
}

async function placeLayer(loading: Placing, config: ModelConfig, shape: ModelShape, layer: number): Promise<LayerWeights> {
  const { qkv, o, gateUp, down } = shape.groups;
  const { headDim, normOffset, norms, queryKeyNorm } = config;
  const prefix = `${shape.table.prefix}${layer}.`;
  const plane = (group: Group): Promise<Plane> => {
    const tensors = tensorsOf(config, group, shape);
    const names = tensors.map(({ module }) => `${prefix}${module}.weight`);
    const heights = tensors.map(({ outWidth }) => outWidth);
    return placePlane(loading, names, heights, group.inWidth, 'layers');
  };
  const normPart = (name: string, width: number): VectorPart => ({ name: `${prefix}${name}.weight`, width, offset: normOffset });
  const norm = (name: string): Promise<GPUBuffer> => placeVector(loading, [normPart(name, config.hiddenSize)]);
  const biasParts = (group: Group): VectorPart[] =>
    tensorsOf(config, group, shape).map(({ module, outWidth }) => ({ name: `${prefix}${module}.bias`, width: outWidth }));
  const bias = async (group: Group, wanted: boolean): Promise<GPUBuffer | undefined> =>
    wanted ? placeVector(loading, biasParts(group)) : undefined;
  const ofHeads = queryKeyNorm === 'each head' ? ['self_attn.q_norm', 'self_attn.k_norm'].map((name) => normPart(name, headDim)) : [];
  const headParts = [...(config.biases.qkv ? biasParts(qkv) : []), ...ofHeads];
  const around = norms === 'around';
  return {
    inputNorm: await norm('input_layernorm'),
    qkv: await plane(qkv),
    headVectors: headParts.length > 0 ? await placeVector(loading, headParts) : undefined,
    o: await plane(o),
    oBias: await bias(o, config.biases.o),
    attentionNorm: around ? await norm('post_attention_layernorm') : undefined,
    postNorm: await norm(around ? 'pre_feedforward_layernorm' : 'post_attention_layernorm'),
    gateUp: await plane(gateUp),
    gateUpBias: await bias(gateUp, config.biases.mlp),
    down: await plane(down),
    downBias: await bias(down, config.biases.mlp),
    feedForwardNorm: around ? await norm('post_feedforward_layernorm') : undefined,
  };
}

/** Runs all of them in their order, two at a time: while the bytes of one are converted and written, those of the next are read. */
async function runAll(fills: Placing['fills']): Promise<void> {
  const left = fills.values();
  let failed = false;
  const lane = async (): Promise<void> => {
    const memory = await openSliceMemory();
    for (const next of left) {
      if (failed) return;
      await next(memory).catch((error: unknown) => {
        failed = true;
        throw error;
      });
    }
  };
  // Who is told of a failure may take the buffers away: nobody writes any more by then.
  const ends = await Promise.allSettled([lane(), lane()]);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
