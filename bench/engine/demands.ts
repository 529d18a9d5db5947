import { demandsOf as demandsOfWork, PART_OF_GROUP, type DensePlane } from '../../src/engine/profile-demands.ts';
import type { Demand } from '../../src/engine/profile-floor.ts';
import { MODELS, shapeOf } from '../kernels/shapes.ts';
import type { Launch } from './spy.ts';

/** What a step of the small model computes. */
export interface StepFacts {
  readonly rows: number;
  /** By row. */
  readonly positions: readonly number[];
  readonly blockRows: readonly number[];
  readonly logitRows: number;
  readonly samplers: number;
  /** By row, where each row has an adapter of its own; empty where none has any. */
  readonly ranks: readonly { readonly rank: number; readonly targets: readonly string[] }[];
}

const MODEL = MODELS[0]!;
const SHAPE = { ...shapeOf(MODEL), table: { ...shapeOf(MODEL).table, layers: MODEL.config.layers } };
const GROUPS = [SHAPE.groups.qkv, SHAPE.groups.o, SHAPE.groups.gateUp, SHAPE.groups.down];

/** The small model's matrices, f16 as in its file. */
const PLANES: readonly DensePlane[] = [
  ...Array.from({ length: MODEL.config.layers }, () =>
    GROUPS.map(({ name, inWidth, outWidth }): DensePlane => ({ part: PART_OF_GROUP[name], type: 'f16', width: inWidth, rows: outWidth })),
  ).flat(),
  { part: 'head', type: 'f16', width: MODEL.config.hiddenSize, rows: MODEL.config.vocabSize },
];

/** What each dispatch of a step has to do, in the order in which a step launches them; all but the weights is f32, as on a software device. */
export function demandsOf(launches: readonly Launch[], facts: StepFacts): Demand[] {
  const { rows, positions, blockRows, logitRows, samplers, ranks } = facts;
  const rankAt = (adapter: StepFacts['ranks'][number], site: number): number =>
    adapter.targets.some((target) => SHAPE.table.sites[site]!.module.endsWith(`.${target}`)) ? adapter.rank : 0;
  const work = {
    ...({ config: MODEL.config, shape: SHAPE, poolType: 'f32', planes: PLANES } as const),
    ...{ rows, positions, sequences: blockRows, logitRows, samplers },
    adapters: ranks.map((adapter) => ({ rows: 1, rank4: (_: number, site: number) => rankAt(adapter, site) })),
  };
  return demandsOfWork(
    launches.map(({ label }) => label),
    work,
  ).map(({ demand }) => demand);
}
