import { entriesOf, TRAITS } from '../adapters/sites.ts';
import { loadPart } from '../errors.ts';
import type { Bound } from '../gpu/pipelines.ts';
import { embed, embedThreads } from '../kernels/embed.ts';
import { COMMON, DESCRIPTORS, planeLayout, POOL, STATE, WEIGHTS } from '../kernels/libraries.ts';
import { SPLIT_COLUMNS } from '../kernels/lora-shrink.ts';
import type { ExpandVariant, ShrinkVariant } from '../kernels/variants.ts';
import { siluMul, siluMulThreads } from '../kernels/silu-mul.ts';
import { attend } from './forward-attention.ts';
import { sampleLaunches } from './forward-sample.ts';
import { constants, fixed, type ForwardParts, type Launch } from './launch.ts';
import type { Plan } from './plan.ts';
import { padded, type Group } from './shape.ts';
import type { Plane } from './planes.ts';

/** The network of a Llama-shaped decoder from top to bottom, as the launches of one step. (rows, hidden) flows through `x`. */
export async function buildForward(parts: ForwardParts): Promise<Launch[]> {
  const { shape, weights, activations: a } = parts;
  const { qkv, o, gateUp, down } = shape.groups;
  const launches: Launch[] = [];
  const add = (...more: readonly Launch[]): void => void launches.push(...more);

  add(...(await embedLaunches(parts)));
  for (const [index, layer] of weights.layers.entries()) {
    // attention: x += o(attend(rope(qkv(norm(x)))))
    add(await norm(parts, a.x, layer.inputNorm, a.normed, index, 'input_layernorm'));
    add(...(await project(parts, index, layer.qkv, qkv, a.normed, a.qkv, 'replace')));
    add(...(await attend(parts, index)));
    add(...(await project(parts, index, layer.o, o, a.attended, a.x, 'add')));
    // feed-forward: x += down(silu(gate(norm(x))) * up(norm(x)))
    add(await norm(parts, a.x, layer.postNorm, a.normed, index, 'post_attention_layernorm'));
    add(...(await project(parts, index, layer.gateUp, gateUp, a.normed, a.gateUp, 'replace')));
    add(await gate(parts));
    add(...(await project(parts, index, layer.down, down, a.gated, a.x, 'add')));
  }
  // logits of the rows that need them, then one token a sampler
  add(await norm(parts, a.x, weights.finalNorm, a.heads, weights.layers.length, '', 'logit rows'));
  add(...(await matmul(parts, weights.head, a.heads, a.logits, a.logitsStride, 'replace', 'logit rows')));
  add(...(await sampleLaunches(parts)));
  return launches;
}

type Rows = 'batch rows' | 'logit rows';

/** What is left out of steps and models in which every adapter is low-rank pairs in the layers. */
const ownParts = () => loadPart(() => import('./forward-own.ts'));

async function embedLaunches(parts: ForwardParts): Promise<Launch[]> {
  const { pipelines, config, weights, activations: a } = parts;
  const { chunks } = weights.embedding;
  const width8 = padded(config.hiddenSize) / 8;
  return Promise.all(
    chunks.map(async ({ type, buffer, firstRow, rows }) => {
      const pipeline = await pipelines.get(embed, {
        constants: constants(parts, {
          VOCABULARY: config.vocabSize,
          FIRST: firstRow,
          COUNT: rows,
          WIDTH8: width8,
          SCALES_AT: planeLayout(type, Math.ceil(rows / 4) * 4, width8 * 8).scalesAtWord,
        }),
        libraries: [...COMMON, STATE, WEIGHTS[type]],
      });
      const dispatch = pipelines.bind(pipeline, { step: a.step, weights: buffer, state: a.state, x: a.x });
      return fixed(dispatch, (plan) => embedThreads(plan.rows, width8));
    }),
  );
}

/** A norm; `layer` and `module` are its place in the site table, the last layer's number plus one for the norm behind it. */
async function norm(
  parts: ForwardParts,
  x: GPUBuffer,
  weight: GPUBuffer,
  y: GPUBuffer,
  layer: number,
  module: string,
  rows: Rows = 'batch rows',
): Promise<Launch> {
  const { pipelines, kernels, config, activations: a, shape } = parts;
  const { kernel, threads } = kernels.rmsNorm;
  const own = {
    WIDTH4: config.hiddenSize / 4,
    STRIDE4: padded(config.hiddenSize) / 4,
    EPSILON: { f32: config.normEpsilon },
    GATHER: rows === 'logit rows',
  };
  const pipeline = await pipelines.get(kernel, { constants: constants(parts, own), libraries: COMMON });
  const dispatch = pipelines.bind(pipeline, { step: a.step, x, weight, y });
  const launch = fixed(dispatch, (plan) => threads({ rows: rows === 'logit rows' ? plan.logitRows : plan.rows }));
  const outside = layer === shape.table.layers;
  if ((parts.traits & (outside ? TRAITS.finalNorm : TRAITS.norms)) === 0) return launch;
  const { savedNormLaunch } = await ownParts();
  const place = outside ? 0 : shape.table.norms.findIndex((each) => each.module === module);
  return savedNormLaunch(parts, { buffers: { x, weight, y }, constants: own, layer, norm: place, launch });
}

/** A base matmul with what the batch's adapters add to it: at most three dispatches, one where no row has an adapter. */
async function project(
  parts: ForwardParts,
  layer: number,
  plane: Plane,
  group: Group,
  x: GPUBuffer,
  y: GPUBuffer,
  output: 'replace' | 'add',
): Promise<Launch[]> {
  const stride = output === 'add' ? padded(group.outWidth) : group.outWidth;
  const launches = [
    ...(await matmul(parts, plane, x, y, stride, output, 'batch rows')),
    ...(await lora(parts, layer, group, x, y, stride)),
  ];
  if (output === 'replace' || (parts.traits & TRAITS.gains) === 0) return launches;
  const { setAsideLaunches } = await ownParts();
  const [away, back] = await setAsideLaunches(parts, layer, group, y, parts.activations.normed);
  return [away, ...launches, back];
}

async function matmul(
  parts: ForwardParts,
  plane: Plane,
  x: GPUBuffer,
  y: GPUBuffer,
  yStride: number,
  output: 'replace' | 'add',
  rows: Rows,
): Promise<Launch[]> {
  const { pipelines, kernels, activations: a } = parts;
  return Promise.all(
    plane.chunks.map(async (chunk) => {
      const out4 = Math.ceil(chunk.rows / 4);
      const specialisation = {
        constants: constants(parts, {
          WIDTH8: padded(plane.width) / 8,
          OUT4: out4,
          OUT_AT4: chunk.firstRow / 4,
          Y_STRIDE4: yStride / 4,
          ADD: output === 'add',
          LOGITS: rows === 'logit rows',
          SCALES_AT: planeLayout(chunk.type, out4 * 4, padded(plane.width)).scalesAtWord,
        }),
        libraries: [...COMMON, WEIGHTS[chunk.type]],
      };
      const buffers = { step: a.step, weights: chunk.buffer, x, y };
      const choices = await Promise.all(
        kernels.matmul.map(async ({ mostRows, variant: { kernel, threads } }) => {
          return { mostRows, threads, dispatch: pipelines.bind(await pipelines.get(kernel, specialisation), buffers) };
        }),
      );
      const count = (plan: Plan): number => (rows === 'logit rows' ? plan.logitRows : plan.rows);
      const choose = (plan: Plan) => choices.find(({ mostRows }) => count(plan) <= mostRows)!;
      return {
        dispatch: (plan: Plan) => choose(plan).dispatch,
        threads: (plan: Plan) => choose(plan).threads({ rows: count(plan), out4 }),
      };
    }),
  );
}

async function lora(parts: ForwardParts, layer: number, group: Group, x: GPUBuffer, y: GPUBuffer, yStride: number): Promise<Launch[]> {
  const { pipelines, kernels, shape, activations: a, pool, poolType, v } = parts;
  const libraries = [...COMMON, POOL[poolType], DESCRIPTORS];
  const { sites: count, splits } = group;
  const sites = { SITE_FIRST: group.siteFirst, SITES: count, SITES_IN_MODEL: entriesOf(shape.table), SPLITS: splits };
  const size = pool.descriptorLayerBytes;
  const descriptors: Bound = { buffer: pool.descriptors, offset: layer * size, size };
  const shared = { step: a.step, descriptors, pool: pool.layers[layer]! };
  const out4 = group.outWidth / 4;
  const shrink = async ({ kernel, threads }: ShrinkVariant): Promise<Launch> => {
    const widths = { WIDTH4: group.inWidth / 4, STRIDE4: padded(group.inWidth) / 4, SPLIT4: SPLIT_COLUMNS / 4 };
    const pipeline = await pipelines.get(kernel, { constants: constants(parts, { ...sites, ...widths }), libraries });
    const dispatch = pipelines.bind(pipeline, { ...shared, x, v });
    return fixed(dispatch, ({ segments, rankQuads }) => threads({ segments, sites: count, splits, rankQuads }));
  };
  const expand = async ({ kernel, threads }: ExpandVariant): Promise<Launch> => {
    const widths = { OUT4: out4, Y_STRIDE4: yStride / 4 };
    const pipeline = await pipelines.get(kernel, { constants: constants(parts, { ...sites, ...widths }), libraries });
    return fixed(pipelines.bind(pipeline, { ...shared, v, y }), ({ segments }) => threads({ segments, out4 }));
  };
  return [
    bySegments(await shrink(kernels.shrink), kernels.shrinkOne && (await shrink(kernels.shrinkOne))),
    bySegments(await expand(kernels.expand), kernels.expandOne && (await expand(kernels.expandOne))),
  ];
}

/** The second where it is there and every segment has one row. */
function bySegments(any: Launch, one: Launch | undefined): Launch {
  if (!one) return any;
  const choose = ({ segmentRows }: Plan): Launch => (segmentRows > 1 ? any : one);
  return { dispatch: (plan) => choose(plan).dispatch(plan), threads: (plan) => choose(plan).threads(plan) };
}

async function gate(parts: ForwardParts): Promise<Launch> {
  const { pipelines, config, activations: a } = parts;
  const width4 = config.intermediateSize / 4;
  const pipeline = await pipelines.get(siluMul, {
    constants: constants(parts, { WIDTH4: width4, GATE_STRIDE4: 2 * width4, Y_STRIDE4: padded(config.intermediateSize) / 4 }),
    libraries: COMMON,
  });
  const dispatch = pipelines.bind(pipeline, { step: a.step, gate_up: a.gateUp, y: a.gated });
  return fixed(dispatch, (plan) => siluMulThreads(plan.rows, width4));
}
