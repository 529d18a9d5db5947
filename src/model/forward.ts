import { entriesOf, OUTER_TRAITS, TRAITS, WHOLE_TRAITS } from '../adapters/sites.ts';
import { loadPart } from '../errors.ts';
import type { Bound } from '../gpu/pipelines.ts';
import { embed, embedThreads } from '../kernels/embed.ts';
import { glu, gluThreads } from '../kernels/glu.ts';
import { COMMON, DESCRIPTORS, planeLayout, POOL, STATE, WEIGHTS } from '../kernels/libraries.ts';
import { isEven } from '../kernels/lora-expand.ts';
import { SPLIT_COLUMNS } from '../kernels/lora-shrink.ts';
import type { ExpandVariant, ShrinkVariant } from '../kernels/variants.ts';
import { attend } from './forward-attention.ts';
import { sampleLaunches } from './forward-sample.ts';
import { constants, fixed, type ForwardParts, type Launch } from './launch.ts';
import type { Plan } from './plan.ts';
import type { Plane } from './planes.ts';
import { padded, type Group } from './shape.ts';

/**
 * The network of a decoder from top to bottom, as the launches of one step. (rows, hidden) flows through `x`. What a config does not ask
 * for (norms after a block, biases, caps) is no launch and costs nothing.
 */
export async function buildForward(parts: ForwardParts): Promise<Launch[]> {
  const { config, shape, weights, activations: a } = parts;
  const { qkv, o, gateUp, down } = shape.groups;
  const around = config.norms === 'around';
  const way = around ? 'scratch' : 'add';
  const launches: Promise<Launch | readonly Launch[]>[] = [];
  // all are asked for before any is waited for: a device compiles several kernels at once
  const add = (some: (typeof launches)[number]): void => {
    some.catch(() => undefined); // it is waited for below, unless something is thrown before
    launches.push(some);
  };

  add(embedLaunches(parts));
  if ((parts.traits & APART) !== 0) add(ownParts().then(({ ownEmbeddings }) => ownEmbeddings(parts)));
  for (const [index, layer] of weights.layers.entries()) {
    const { inputNorm, oBias, attentionNorm, postNorm, gateUpBias, downBias, feedForwardNorm } = layer;
    // attention: x += o(attend(rope(qkv(norm(x))))), the sum's right side normed where the config has norms around
    const attentionEnd = { plane: layer.o, group: o, x: a.attended, bias: oBias, norm: attentionNorm, module: 'post_attention_layernorm' };
    add(norm(parts, { x: a.x, weight: inputNorm, y: a.normed, layer: index, module: 'input_layernorm' }));
    add(project(parts, index, layer.qkv, qkv, a.normed, { y: a.qkv, stride: qkv.outWidth, output: 'replace' }));
    add(attend(parts, index));
    add(intoResidual(parts, index, attentionEnd, way));
    // feed-forward: x += down(act(gate(norm(x))) * up(norm(x))), normed likewise
    const module = around ? 'pre_feedforward_layernorm' : 'post_attention_layernorm';
    const end = { plane: layer.down, group: down, x: a.gated, bias: downBias, norm: feedForwardNorm, module: 'post_feedforward_layernorm' };
    add(norm(parts, { x: a.x, weight: postNorm, y: a.normed, layer: index, module }));
    add(project(parts, index, layer.gateUp, gateUp, a.normed, { y: a.gateUp, stride: gateUp.outWidth, output: 'replace' }));
    add(gate(parts, gateUpBias));
    add(intoResidual(parts, index, end, way));
  }
  // logits of the rows that need them, then one token a sampler
  const last = { layer: weights.layers.length, module: '' };
  add(norm(parts, { x: a.x, weight: weights.finalNorm, y: a.heads, rows: 'logit rows', ...last }));
  add(matmul(parts, weights.head, a.heads, { y: a.logits, stride: a.logitsStride, output: 'replace', rows: 'logit rows' }));
  if ((parts.traits & APART) !== 0) add(ownParts().then(({ ownHeads }) => ownHeads(parts)));
  if (config.logitCap > 0) add(rarely().then(({ capLogits }) => capLogits(parts)));
  add(sampleLaunches(parts));
  return (await Promise.all(launches)).flat();
}

/** Traits of what adapters do outside the layers. */
const APART = OUTER_TRAITS | WHOLE_TRAITS;

/** What is left out of steps and models in which every adapter is low-rank pairs in the layers. */
const ownParts = () => loadPart(() => import('./forward-own.ts'));

/** Launches that few families have. */
const rarely = (): Promise<typeof import('./forward-rarely.ts')> => loadPart(() => import('./forward-rarely.ts'));

type Rows = 'batch rows' | 'logit rows';

/** Where a matmul's outputs go: rows of `stride` numbers, which they replace or are added to. */
interface Target {
  readonly y: GPUBuffer;
  readonly stride: number;
  readonly output: 'replace' | 'add';
  /** Default: batch rows. */
  readonly rows?: Rows;
}

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
          SCALE: { f32: config.embeddingScale },
        }),
        libraries: [...COMMON, STATE, WEIGHTS[type]],
      });
      const dispatch = pipelines.bind(pipeline, { step: a.step, weights: buffer, state: a.state, x: a.x });
      return fixed(dispatch, (plan) => embedThreads(plan.rows, width8));
    }),
  );
}

interface Norm {
  readonly x: GPUBuffer;
  readonly weight: GPUBuffer;
  readonly y: GPUBuffer;
  /** Its place in the site table; the last layer's number plus one for the norm behind it. */
  readonly layer: number;
  readonly module: string;
  /** Default: batch rows. */
  readonly rows?: Rows;
  /** What becomes of the normed rows in y; default: they replace what it holds. */
  readonly output?: Target['output'];
}

async function norm(parts: ForwardParts, { x, weight, y, layer, module, rows, output }: Norm): Promise<Launch> {
  const { pipelines, kernels, config, activations: a, shape } = parts;
  const { kernel, threads } = kernels.rmsNorm;
  const own = {
    WIDTH4: config.hiddenSize / 4,
    STRIDE4: padded(config.hiddenSize) / 4,
    EPSILON: { f32: config.normEpsilon },
    GATHER: rows === 'logit rows',
    ADD: output === 'add',
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

/** The end of a block: the layer that leads back into the residual stream, what is added to its outputs, and the norm of these. */
interface Closing {
  readonly plane: Plane;
  readonly group: Group;
  readonly x: GPUBuffer;
  readonly bias: GPUBuffer | undefined;
  readonly norm: GPUBuffer | undefined;
  /** What that norm is called. */
  readonly module: string;
}

/**
 * Adds a block's output to the residual stream. `add`: the matmul does that itself, the shortest way. `scratch`: the output is whole
 * before it is added, as a norm of it needs. The block's own input, normed, was read by then and makes room for it.
 */
async function intoResidual(parts: ForwardParts, layer: number, closing: Closing, way: 'add' | 'scratch'): Promise<Launch[]> {
  const { config, activations: a } = parts;
  const { plane, group, x, bias, norm: weight, module } = closing;
  const stride = padded(config.hiddenSize);
  if (way === 'add') {
    const launches = await project(parts, layer, plane, group, x, { y: a.x, stride, output: 'add' });
    return bias ? [...launches, await (await rarely()).addRowsTo(parts, { bias, x: a.x })] : launches;
  }
  const launches = await project(parts, layer, plane, group, x, { y: a.normed, stride, output: 'replace' });
  if (!weight) return [...launches, await (await rarely()).addRowsTo(parts, { y: a.normed, bias, x: a.x })];
  if (bias) launches.push(await (await rarely()).addRowsTo(parts, { bias, x: a.normed }));
  return [...launches, await norm(parts, { x: a.normed, weight, y: a.x, layer, module, output: 'add' })];
}

/** A base matmul with what the batch's adapters add to it: at most three dispatches, one where no row has an adapter. */
async function project(parts: ForwardParts, layer: number, plane: Plane, group: Group, x: GPUBuffer, to: Target): Promise<Launch[]> {
  const launches = (await Promise.all([matmul(parts, plane, x, to), lora(parts, layer, group, x, to.y, to.stride)])).flat();
  if (to.output === 'replace' || (parts.traits & TRAITS.gains) === 0) return launches;
  const { setAsideLaunches } = await ownParts();
  const [away, back] = await setAsideLaunches(parts, layer, group, to.y, parts.activations.normed);
  return [away, ...launches, back];
}

async function matmul(
  parts: ForwardParts,
  plane: Plane,
  x: GPUBuffer,
  { y, stride, output, rows = 'batch rows' }: Target,
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
          Y_STRIDE4: stride / 4,
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

/** What expand does besides adding low-rank pairs. */
const FINISHED = TRAITS.gains | TRAITS.biases;

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
  const even = isEven(shape.table.sites.slice(group.siteFirst, group.siteFirst + count));
  const expandOf = async ({ kernel, threads }: ExpandVariant, finish: boolean): Promise<Launch> => {
    const own = { OUT4: out4, Y_STRIDE4: yStride / 4, EVEN: even, FINISH: finish };
    const pipeline = await pipelines.get(kernel, { constants: constants(parts, { ...sites, ...own }), libraries });
    return fixed(pipelines.bind(pipeline, { ...shared, v, y }), ({ segments }) => threads({ segments, out4 }));
  };
  const expand = async (variant: ExpandVariant): Promise<Launch> => {
    if ((parts.traits & FINISHED) === 0) return expandOf(variant, false);
    const [plain, finishing, { withTraits }] = await Promise.all([expandOf(variant, false), expandOf(variant, true), ownParts()]);
    return withTraits(FINISHED, finishing, plain);
  };
  return Promise.all([
    bySegments(shrink(kernels.shrink), kernels.shrinkOne && shrink(kernels.shrinkOne)),
    bySegments(expand(kernels.expand), kernels.expandOne && expand(kernels.expandOne)),
  ]);
}

/** The second where it is there and every segment has one row. */
async function bySegments(several: Promise<Launch>, single: Promise<Launch> | undefined): Promise<Launch> {
  const [any, one] = await Promise.all([several, single]);
  if (!one) return any;
  const choose = ({ segmentRows }: Plan): Launch => (segmentRows > 1 ? any : one);
  return { dispatch: (plan) => choose(plan).dispatch(plan), threads: (plan) => choose(plan).threads(plan) };
}

async function gate(parts: ForwardParts, bias: GPUBuffer | undefined): Promise<Launch> {
  const { pipelines, config, activations: a } = parts;
  const width4 = config.intermediateSize / 4;
  const pipeline = await pipelines.get(glu, {
    constants: constants(parts, {
      WIDTH4: width4,
      GATE_STRIDE4: 2 * width4,
      Y_STRIDE4: padded(config.intermediateSize) / 4,
      GELU: config.activation === 'gelu-tanh',
      BIAS: bias !== undefined,
    }),
    libraries: COMMON,
  });
  // where nothing is read, anything may be bound
  const dispatch = pipelines.bind(pipeline, { step: a.step, gate_up: a.gateUp, bias: bias ?? a.gateUp, y: a.gated });
  return fixed(dispatch, (plan) => gluThreads(plan.rows, width4));
}
