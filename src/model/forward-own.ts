import { DESCRIPTOR_WORDS, entriesOf, normAt, TRAITS } from '../adapters/sites.ts';
import type { Bound } from '../gpu/pipelines.ts';
import { COMMON, DESCRIPTORS, POOL } from '../kernels/libraries.ts';
import { savedNorm } from '../kernels/rms-norm.ts';
import { setAside, setAsideThreads } from '../kernels/set-aside.ts';
import { constants, fixed, type ForwardParts, type Launch } from './launch.ts';
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
