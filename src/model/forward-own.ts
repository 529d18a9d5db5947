import { DESCRIPTOR_WORDS, entriesOf, normAt, OUTER, TRAITS } from '../adapters/sites.ts';
import type { Bound } from '../gpu/pipelines.ts';
import { embedPair, embedPairThreads } from '../kernels/embed-pair.ts';
import { COMMON, DESCRIPTORS, POOL, STATE } from '../kernels/libraries.ts';
import { SPLIT_COLUMNS, splitsOf } from '../kernels/lora-shrink.ts';
import { savedNorm } from '../kernels/rms-norm.ts';
import { savedHeadNorms, type ropeKvHeads, type RopeHeadsKernel } from '../kernels/rope-kv-heads.ts';
import { setAside, setAsideThreads } from '../kernels/set-aside.ts';
import { logitSegments } from '../kernels/step-layout.ts';
import { constants, fixed, type ForwardParts, type Launch, type OwnLaunch, type WholeKind } from './launch.ts';
import type { Plan } from './plan.ts';
import { padded, type Group } from './shape.ts';

/** Launches that only steps have in which some row's adapter does more than add low-rank pairs. */

/** A layer's descriptors; `layers` is what adapters change outside the layers. */
export function descriptorsOf({ pool }: ForwardParts, layer: number): Bound {
  const { descriptors, descriptorLayerBytes: size } = pool;
  return { buffer: descriptors, offset: layer * size, size };
}

/** A launch where the step has rows with these traits; else the other, or nothing. */
export function withTraits(traits: number, launch: Launch, otherwise?: Launch): Launch {
  const choose = (plan: Plan): Launch => ((plan.traits & traits) !== 0 ? launch : (otherwise ?? launch));
  return {
    dispatch: (plan) => choose(plan).dispatch(plan),
    threads: (plan) => ((plan.traits & traits) === 0 && !otherwise ? 0 : choose(plan).threads(plan)),
  };
}

/** Buffers and constants of a norm of the base, and which it is: by layer and place in the site table. */
export interface BaseNorm {
  readonly buffers: { readonly x: GPUBuffer; readonly weight: GPUBuffer; readonly y: GPUBuffer };
  readonly constants: Parameters<typeof constants>[1];
  readonly layer: number;
  readonly norm: number;
  readonly launch: Launch;
}

/** A norm with the weights that some adapters saved, where the step has such rows. */
export async function savedNormLaunch(parts: ForwardParts, { buffers, constants: own, layer, norm, launch }: BaseNorm): Promise<Launch> {
  const { pipelines, kernels, activations: a, pool, poolType, shape } = parts;
  const outside = layer === pool.layers.length;
  const numbers = outside ? pool.outer() : pool.layers[layer];
  if (!numbers) return launch;
  const pipeline = await pipelines.get(savedNorm(kernels.rmsNorm.kernel), {
    constants: constants(parts, { ...own, NORM_AT: normAt(shape.table, norm), SITES_IN_MODEL: entriesOf(shape.table) }),
    libraries: [...COMMON, POOL[poolType], DESCRIPTORS],
  });
  const dispatch = pipelines.bind(pipeline, { step: a.step, ...buffers, descriptors: descriptorsOf(parts, layer), pool: numbers });
  return withTraits(outside ? TRAITS.finalNorm : TRAITS.norms, fixed(dispatch, launch.threads), launch);
}

/** Buffers and constants of the kernel that norms heads of q and k, for the base. */
export interface BaseHeadNorms {
  readonly kernel: RopeHeadsKernel;
  readonly buffers: Readonly<Record<keyof typeof ropeKvHeads.buffers, GPUBuffer>>;
  readonly constants: Parameters<typeof constants>[1];
  readonly libraries: readonly string[];
  readonly layer: number;
  readonly launch: Launch;
}

/** `savedNormLaunch` for the norms of heads. */
export async function savedHeadNormsLaunch(
  parts: ForwardParts,
  { kernel, buffers, constants: own, libraries, layer, launch }: BaseHeadNorms,
): Promise<Launch> {
  const { table } = parts.shape;
  const at = (module: string): number =>
    normAt(
      table,
      table.norms.findIndex((each) => each.module === module),
    );
  const saved = { Q_NORM_AT: at('self_attn.q_norm'), K_NORM_AT: at('self_attn.k_norm'), SITES_IN_MODEL: entriesOf(table) };
  const pipeline = await parts.pipelines.get(savedHeadNorms(kernel), {
    constants: constants(parts, { ...own, ...saved }),
    libraries: [...libraries, DESCRIPTORS],
  });
  const dispatch = parts.pipelines.bind(pipeline, { ...buffers, descriptors: descriptorsOf(parts, layer) });
  return withTraits(TRAITS.norms, fixed(dispatch, launch.threads), launch);
}

/**
 * Around a projection that adds to the residual: rows whose adapter multiplies its output (DoRA) have their residual set aside before,
 * so that the projection finds zeros there, and added again after.
 */
export async function setAsideLaunches(
  parts: ForwardParts,
  layer: number,
  group: Group,
  y: GPUBuffer,
  kept: GPUBuffer,
): Promise<[Launch, Launch]> {
  const { pipelines, activations: a, shape } = parts;
  const out4 = group.outWidth / 4;
  const launch = async (back: boolean): Promise<Launch> => {
    const pipeline = await pipelines.get(setAside, {
      constants: constants(parts, {
        GAIN_AT: group.siteFirst * DESCRIPTOR_WORDS + 6,
        SITES_IN_MODEL: entriesOf(shape.table),
        OUT4: out4,
        Y_STRIDE4: padded(group.outWidth) / 4,
        BACK: back,
      }),
      libraries: COMMON,
    });
    const dispatch = pipelines.bind(pipeline, { step: a.step, descriptors: descriptorsOf(parts, layer), y, kept });
    return withTraits(
      TRAITS.gains,
      fixed(dispatch, ({ segments }) => setAsideThreads(segments, out4)),
    );
  };
  return [await launch(false), await launch(true)];
}

/**
 * What adapters do to embeddings, behind the base's. An adapter may bring a matrix and a pair for it, too (PEFT saves the base's weights
 * beside a pair of theirs): what replaces comes before what adds.
 */
export async function ownEmbeddings(parts: ForwardParts): Promise<Launch[]> {
  const pair = (parts.traits & TRAITS.embeddingPair) === 0 ? [] : [await embeddingPairLaunch(parts)];
  return [...wholeLaunches(parts, 'embedding'), ...pair];
}

/** What adapters do to logits, behind the base's; in the order of `ownEmbeddings`. */
export async function ownHeads(parts: ForwardParts): Promise<Launch[]> {
  const pair = (parts.traits & TRAITS.headPair) === 0 ? [] : await headPairLaunches(parts);
  return [...wholeLaunches(parts, 'head'), ...pair];
}

/** Low-rank pairs of the embedding, added to what the base's left in x. */
async function embeddingPairLaunch(parts: ForwardParts): Promise<Launch> {
  const { pipelines, config, activations: a, pool, poolType, shape } = parts;
  const out4 = config.hiddenSize / 4;
  const pipeline = await pipelines.get(embedPair, {
    constants: constants(parts, {
      SITES_IN_MODEL: entriesOf(shape.table),
      VOCABULARY: config.vocabSize,
      SITE: OUTER.embedding,
      OUT4: out4,
      STRIDE4: padded(config.hiddenSize) / 4,
      SCALE: { f32: config.embeddingScale },
    }),
    libraries: [...COMMON, STATE, POOL[poolType], DESCRIPTORS],
  });
  const buffers = { step: a.step, descriptors: descriptorsOf(parts, pool.layers.length), pool: pool.outer()!, state: a.state, x: a.x };
  return withTraits(
    TRAITS.embeddingPair,
    fixed(pipelines.bind(pipeline, buffers), ({ segments }) => embedPairThreads(segments, out4)),
  );
}

/** Low-rank pairs of the head, added to the logits: shrink and expand over the segments of logit rows. */
async function headPairLaunches(parts: ForwardParts): Promise<Launch[]> {
  const { pipelines, kernels, config, activations: a, pool, poolType, shape, v, layout } = parts;
  const splits = splitsOf(config.hiddenSize);
  const libraries = [...COMMON, POOL[poolType], DESCRIPTORS];
  const site = { SITE_FIRST: OUTER.head, SITES: 1, SITES_IN_MODEL: entriesOf(shape.table), SPLITS: splits };
  const own = { ...logitSegments(layout), ...site };
  const shared = { step: a.step, descriptors: descriptorsOf(parts, pool.layers.length), pool: pool.outer()! };
  const out4 = a.logitsStride / 4;
  const widths = { WIDTH4: config.hiddenSize / 4, STRIDE4: padded(config.hiddenSize) / 4, SPLIT4: SPLIT_COLUMNS / 4 };
  const shrinking = await pipelines.get(kernels.shrink.kernel, { constants: constants(parts, { ...own, ...widths }), libraries });
  const expanding = await pipelines.get(kernels.expand.kernel, {
    constants: constants(parts, { ...own, OUT4: out4, Y_STRIDE4: out4, EVEN: false, FINISH: true }),
    libraries,
  });
  const shrink = fixed(pipelines.bind(shrinking, { ...shared, x: a.heads, v }), ({ logitSegments: segments, rankQuads }) =>
    kernels.shrink.threads({ segments, sites: 1, splits, rankQuads }),
  );
  const expand = fixed(pipelines.bind(expanding, { ...shared, v, y: a.logits }), ({ logitSegments: segments }) =>
    kernels.expand.threads({ segments, out4 }),
  );
  return [shrink, expand].map((launch) => withTraits(TRAITS.headPair, launch));
}

/** As many launches as a step can have matrices of adapters' own: those of the step's adapters come first. */
function wholeLaunches({ wholes, layout }: ForwardParts, kind: WholeKind): Launch[] {
  if (!wholes) return [];
  const { launches, nothing, mostChunks } = wholes;
  let of: Plan | undefined;
  let found: readonly OwnLaunch[] = [];
  /** Asked by each of the launches. */
  const ofPlan = (plan: Plan): readonly OwnLaunch[] => {
    if (plan !== of) found = launches(plan.wholes, kind);
    of = plan;
    return found;
  };
  return Array.from({ length: layout.limits.samplers * mostChunks }, (_, i): Launch => {
    const own = (plan: Plan) => (plan.wholes.length === 0 ? undefined : ofPlan(plan)[i]);
    return { dispatch: (plan) => own(plan)?.dispatch ?? nothing[kind], threads: (plan) => own(plan)?.threads(plan) ?? 0 };
  });
}
