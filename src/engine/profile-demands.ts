import { BYTES_OF_POOL, planeLayout, type PoolType, type WeightType } from '../kernels/libraries.ts';
import { SEGMENT_ROWS } from '../kernels/step-layout.ts';
import type { ModelConfig } from '../model/config.ts';
import type { Group, ModelShape } from '../model/shape.ts';
import { tileLoads, type Demand } from './profile-floor.ts';
import type { ProfiledKernel } from './profile-report.ts';

/** What a step computes, in numbers. */
export interface StepWork {
  readonly config: Pick<
    ModelConfig,
    'hiddenSize' | 'intermediateSize' | 'heads' | 'kvHeads' | 'headDim' | 'vocabSize' | 'norms' | 'layerKinds'
  >;
  readonly shape: Pick<ModelShape, 'groups' | 'table'>;
  readonly poolType: PoolType;
  /** The base's matrices in the order in which a step multiplies them, cut as they lie on the device; the head's come last. */
  readonly planes: readonly DensePlane[];
  readonly rows: number;
  /** Of each row: its position, and a number that tells its sequence from others. */
  readonly positions: readonly number[];
  readonly sequences: readonly number[];
  readonly logitRows: number;
  readonly samplers: number;
  /** Those that rows of the step have: how many rows, and the rank at a site of a layer, as stored; 0 where it has none. */
  readonly adapters: readonly { readonly rows: number; readonly rank4: (layer: number, site: number) => number }[];
}

export interface DensePlane {
  readonly part: NonNullable<ProfiledKernel['part']>;
  readonly type: WeightType;
  readonly width: number;
  /** Outputs. */
  readonly rows: number;
}

/** What one dispatch has to do, and in which place of the network. */
export interface DispatchDemand {
  readonly part: ProfiledKernel['part'];
  readonly demand: Demand;
}

/** What a projection group is called in reports. */
export const PART_OF_GROUP = { qkv: 'qkv', o: 'o', gateUp: 'gate and up', down: 'down' } as const satisfies Record<
  Group['name'],
  ProfiledKernel['part']
>;

/** Rows and outputs of the best register tile that was tried for base matmuls. */
const TILE = 8;

type Role = 'matmul' | 'shrink' | 'expand' | 'norm' | 'merge' | 'attention' | 'rope' | 'gate' | 'sum' | 'embed' | 'cap' | 'sample' | 'none';

/** By label; the first that fits. Kernels that only pick up what others left have no work of their own to speak of. */
const ROLES: readonly (readonly [RegExp, Role])[] = [
  [/matmul/, 'matmul'],
  [/shrink/, 'shrink'],
  [/expand/, 'expand'],
  [/rms-norm/, 'norm'],
  [/attention-merge/, 'merge'],
  [/attention/, 'attention'],
  [/^(wide-)?rope/, 'rope'],
  [/^glu/, 'gate'],
  [/^add-rows/, 'sum'],
  [/^embed/, 'embed'],
  [/^softcap/, 'cap'],
  [/sample-chunk/, 'sample'],
  [/sample-/, 'none'],
];

function roleOf(label: string): Role {
  const found = ROLES.find(([pattern]) => pattern.test(label));
  if (!found) throw new RangeError(`What ${label} computes in a step is not known`);
  return found[1];
}

/**
 * What each dispatch of a step has to do by the mathematics of it, by the labels of its kernels in the order in which it launches them.
 * @throws RangeError where these are not the dispatches of that work.
 */
export function demandsOf(labels: readonly string[], work: StepWork): DispatchDemand[] {
  const roles = labels.map(roleOf);
  const count = (role: Role): number => roles.filter((each) => each === role).length;
  const groups = Object.values(work.shape.groups);
  const { layers } = work.shape.table;
  const planes = work.logitRows > 0 ? work.planes : work.planes.filter(({ part }) => part !== 'head');
  const inLayers = work.adapters.length > 0 ? groups.length * layers : 0;
  const wanted: Partial<Record<Role, number>> = {
    matmul: planes.length,
    shrink: inLayers,
    expand: inLayers,
    norm: (work.config.norms === 'around' ? 4 : 2) * layers + (work.logitRows > 0 ? 1 : 0),
    attention: layers,
  };
  for (const [role, number] of Object.entries(wanted) as [Role, number][]) {
    if (count(role) !== number) throw new RangeError(`A step has ${count(role)} dispatches of ${role}; its work has ${number}`);
  }
  const done: Partial<Record<Role, number>> = {};
  return roles.map((role): DispatchDemand => {
    const index = done[role] ?? 0;
    done[role] = index + 1;
    if (role === 'matmul') return matmul(planes[index]!, work);
    if (role === 'shrink' || role === 'expand') {
      const group = groups[index % groups.length]!;
      return { part: PART_OF_GROUP[group.name], demand: lora(work, group, Math.floor(index / groups.length), role) };
    }
    return { part: undefined, demand: other(role, work, { index, dispatches: count(role) }) };
  });
}

/** `index`: the how manieth of so many dispatches of the role it is. */
function other(role: Role, work: StepWork, at: { readonly index: number; readonly dispatches: number }): Demand {
  const { config, rows, logitRows, samplers } = work;
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize } = config;
  const isLast = at.index === at.dispatches - 1;
  if (role === 'norm') return elementwise((isLast && logitRows > 0 ? logitRows : rows) * hiddenSize, 4, 2);
  if (role === 'attention') return attention(work, at.index);
  if (role === 'rope') return elementwise(rows * (heads + 2 * kvHeads) * headDim, 4, 2);
  if (role === 'gate') return elementwise(rows * intermediateSize, 10, 3);
  if (role === 'sum') return elementwise(rows * hiddenSize, 1, 3);
  if (role === 'embed') return elementwise((rows * hiddenSize) / at.dispatches, 0, 2);
  if (role === 'cap') return elementwise(logitRows * vocabSize, 8, 2);
  if (role === 'sample') return elementwise(samplers * vocabSize, 1, 1);
  return elementwise(0, 0, 0);
}

/** So many numbers, with so many operations each, and that many of them moved. */
const elementwise = (numbers: number, flops: number, moved: number): Demand => ({
  flops: numbers * flops,
  bytes: numbers * moved * 4,
  loads: (numbers * moved) / 4,
});

/** Bytes of one number of a plane, with its part of the scales. */
const bytesOf = (type: WeightType): number => planeLayout(type, 4, 32).bytes / 128;

/** Tiles of up to 8 rows and 8 outputs; one load brings as many weights as 16 bytes hold. */
function matmul({ part, type, width, rows: outs }: DensePlane, { rows: batchRows, logitRows }: StepWork): DispatchDemand {
  const rows = part === 'head' ? logitRows : batchRows;
  const flops = 2 * rows * width * outs;
  const tileRows = Math.min(rows, TILE);
  const loads = tileLoads(flops, tileRows, TILE);
  const ofWeights = (loads * TILE) / (tileRows + TILE);
  const bytes = bytesOf(type);
  return {
    part,
    demand: { flops, bytes: bytes * width * outs + 4 * rows * (width + outs), loads: loads - ofWeights * (1 - bytes / 4) },
  };
}

/** Each adapter's matrices once, and what its rows read and write. */
function lora({ shape, poolType, adapters }: StepWork, group: Group, layer: number, kind: 'shrink' | 'expand'): Demand {
  const poolBytes = BYTES_OF_POOL[poolType];
  const sum = { flops: 0, bytes: 0, loads: 0 };
  for (const { rows, rank4 } of adapters) {
    let reads = 0; // columns of x, which all sites of the group read
    for (let site = group.siteFirst; site < group.siteFirst + group.sites; site++) {
      const { inWidth, outWidth } = shape.table.sites[site]!;
      const rank = rank4(layer, site);
      if (rank === 0) continue;
      const numbers = rank * (kind === 'shrink' ? inWidth : outWidth);
      const flops = 2 * rows * numbers;
      const [tileRows, tileOuts] = [Math.min(rows, SEGMENT_ROWS), kind === 'shrink' ? 8 : 16];
      const loads = tileLoads(flops, tileRows, tileOuts);
      const ofMatrix = (loads * tileOuts) / (tileRows + tileOuts);
      sum.flops += flops;
      if (kind === 'shrink') reads = inWidth;
      sum.bytes += poolBytes * numbers + rows * ((kind === 'shrink' ? 0 : 8 * outWidth) + 4 * rank * group.splits);
      sum.loads += loads - ofMatrix * (1 - poolBytes / 4) + (kind === 'shrink' ? 0 : (rows * outWidth) / 2);
    }
    sum.bytes += 4 * rows * reads;
  }
  return sum;
}

/** Keys and values of each sequence once, as far as the layer's window reaches; a load of them serves four rows of a sequence, where it has several. */
function attention({ config, poolType, positions, sequences }: StepWork, layer: number): Demand {
  const { heads, kvHeads, headDim } = config;
  const { window } = config.layerKinds[layer]!;
  const poolBytes = BYTES_OF_POOL[poolType];
  const first = (position: number): number => Math.max(0, position + 1 - window);
  const keys = positions.reduce((sum, position) => sum + position + 1 - first(position), 0);
  const contexts = new Map<number, { readonly from: number; readonly to: number }>();
  for (const [i, position] of positions.entries()) {
    const { from, to } = contexts.get(sequences[i]!) ?? { from: Infinity, to: 0 };
    contexts.set(sequences[i]!, { from: Math.min(from, first(position)), to: Math.max(to, position + 1) });
  }
  const kept = [...contexts.values()].reduce((sum, { from, to }) => sum + to - from, 0);
  const shared = contexts.size < positions.length ? 4 : 1;
  return {
    flops: 4 * keys * heads * headDim,
    bytes: 2 * poolBytes * kept * kvHeads * headDim + 8 * positions.length * heads * headDim,
    loads: (2 * keys * kvHeads * headDim * poolBytes) / 16 / shared,
  };
}
