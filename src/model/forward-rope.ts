import { loadPart } from '../errors.ts';
import { COMMON, POOL, STATE } from '../kernels/libraries.ts';
import { ropeKv, ropeKvThreads } from '../kernels/rope-kv.ts';
import { constants, fixed, type ForwardParts, type Launch } from './launch.ts';

/**
 * Biases of q, k and v, norms of each head of q and k, their turn by position, and k and v into their pages: one dispatch, of the kernel
 * whose threads have parts of a head where no number needs all others.
 */
export async function ropeLaunch(parts: ForwardParts, layer: number): Promise<Launch> {
  const { pipelines, config, shape, activations: a, pool, poolType, weights } = parts;
  const { heads, kvHeads, headDim } = config;
  const kind = config.layerKinds[layer]!.rope;
  const { dimensions } = config.ropes[kind]!;
  if (config.queryKeyNorm === 'each head' || dimensions % 8 !== 0) {
    return (await loadPart(() => import('./forward-rarely.ts'))).ropeHeadsLaunch(parts, layer);
  }
  const pipeline = await pipelines.get(ropeKv, {
    constants: constants(parts, {
      ...{ HEADS: heads, KV_HEADS: kvHeads, DIM4: headDim / 4, ROTARY8: dimensions / 8 },
      ...{ QKV_STRIDE4: shape.groups.qkv.outWidth / 4, PAGES_PER_ROW: a.pagesPerRow, BIAS: config.biases.qkv },
    }),
    libraries: [...COMMON, STATE, POOL[poolType]],
  });
  const rope = a.ropes[kind]!;
  const bias = weights.layers[layer]!.headVectors ?? rope; // where nothing is read, anything may be bound
  const buffers = { step: a.step, rope, blocks: a.blocks, state: a.state, bias, qkv: a.qkv, pool: pool.layers[layer]! };
  return fixed(pipelines.bind(pipeline, buffers), ({ rows }) => ropeKvThreads(rows, kvHeads, headDim));
}
