import { TRAITS } from '../adapters/sites.ts';
import { loadPart } from '../errors.ts';
import { addRows, addRowsThreads } from '../kernels/add-rows.ts';
import { COMMON, POOL, SOFTCAP, STATE } from '../kernels/libraries.ts';
import { ropeKvHeads, ropeKvHeadsThreads } from '../kernels/rope-kv-heads.ts';
import { softcap, softcapThreads } from '../kernels/softcap.ts';
import { constants, fixed, type ForwardParts, type Launch } from './launch.ts';
import { padded } from './shape.ts';

// What few families need is loaded with them.

/** Rows of the residual stream's width: x += y + bias, each where it is given. */
export async function addRowsTo(
  parts: ForwardParts,
  { y, bias, x }: { readonly y?: GPUBuffer; readonly bias: GPUBuffer | undefined; readonly x: GPUBuffer },
): Promise<Launch> {
  const { pipelines, config, activations: a } = parts;
  const width4 = config.hiddenSize / 4;
  const wanted = { Y: y !== undefined, BIAS: bias !== undefined };
  const pipeline = await pipelines.get(addRows, {
    constants: constants(parts, { WIDTH4: width4, STRIDE4: padded(config.hiddenSize) / 4, ...wanted }),
    libraries: COMMON,
  });
  // where nothing is read, anything may be bound
  const dispatch = pipelines.bind(pipeline, { step: a.step, y: y ?? a.attended, bias: bias ?? a.attended, x });
  return fixed(dispatch, (plan) => addRowsThreads(plan.rows, width4));
}

/** The soft cap on logits, before anything else looks at them. */
export async function capLogits(parts: ForwardParts): Promise<Launch> {
  const { pipelines, config, activations: a } = parts;
  const stride4 = a.logitsStride / 4;
  const pipeline = await pipelines.get(softcap, {
    constants: constants(parts, { STRIDE4: stride4, CAP: { f32: config.logitCap } }),
    libraries: [...COMMON, SOFTCAP],
  });
  return fixed(pipelines.bind(pipeline, { step: a.step, logits: a.logits }), (plan) => softcapThreads(plan.logitRows, stride4));
}

/** `ropeLaunch` where a thread needs a head whole: norms over it, or a width that turns in halves of no whole quads. */
export async function ropeHeadsLaunch(parts: ForwardParts, layer: number): Promise<Launch> {
  const { pipelines, kernels, config, shape, activations: a, pool, poolType, weights } = parts;
  const { kernel, threads } = kernels.ropeHeads ?? { kernel: ropeKvHeads, threads: ropeKvHeadsThreads };
  const { heads, kvHeads, headDim } = config;
  const kind = config.layerKinds[layer]!.rope;
  const isNormed = config.queryKeyNorm === 'each head';
  const own = {
    ...{ HEADS: heads, KV_HEADS: kvHeads, DIM4: headDim / 4, ROTARY: config.ropes[kind]!.dimensions },
    ...{ QKV_STRIDE4: shape.groups.qkv.outWidth / 4, PAGES_PER_ROW: a.pagesPerRow, BIAS: config.biases.qkv },
    ...{ NORM: isNormed, EPSILON: { f32: config.normEpsilon } },
  };
  const libraries = [...COMMON, STATE, POOL[poolType]];
  const pipeline = await pipelines.get(kernel, { constants: constants(parts, own), libraries });
  const rope = a.ropes[kind]!;
  const vectors = weights.layers[layer]!.headVectors ?? rope; // where nothing is read, anything may be bound
  const buffers = { step: a.step, rope, blocks: a.blocks, state: a.state, vectors, qkv: a.qkv, pool: pool.layers[layer]! };
  const launch = fixed(pipelines.bind(pipeline, buffers), ({ rows }) => threads({ rows, heads, kvHeads }));
  if (!isNormed || (parts.traits & TRAITS.norms) === 0) return launch;
  const { savedHeadNormsLaunch } = await loadPart(() => import('./forward-own.ts'));
  return savedHeadNormsLaunch(parts, { kernel, buffers, constants: own, libraries, layer, launch });
}
