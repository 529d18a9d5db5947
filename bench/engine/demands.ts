import type { Demand } from '../kernels/floor.ts';
import { tileLoads } from '../kernels/floor.ts';
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
const { hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize } = MODEL.config;
const SHAPE = shapeOf(MODEL);
const GROUPS = [SHAPE.groups.qkv, SHAPE.groups.o, SHAPE.groups.gateUp, SHAPE.groups.down];

/**
 * What each dispatch of a step has to do by the mathematics of it, in the order in which a step launches them: matmuls are those of
 * the groups, layer by layer, and then the head. Weights are f16, as in the model's file; all else is f32, as on a software device.
 */
export function demandsOf(launches: readonly Launch[], facts: StepFacts): Demand[] {
  const counts = { matmul: 0, shrink: 0, expand: 0, norm: 0 };
  const matmuls = launches.filter(({ label }) => /matmul/.test(label)).length;
  const norms = launches.filter(({ label }) => /rms-norm/.test(label)).length;
  // a step in which no prompt ends has no head
  const isLast = (index: number, count: number): boolean => facts.logitRows > 0 && index === count - 1;
  return launches.map(({ label }) => {
    if (/matmul/.test(label)) return isLast(counts.matmul++, matmuls) ? head(facts) : matmul(facts.rows, GROUPS[(counts.matmul - 1) % 4]!);
    if (/shrink/.test(label)) return lora(facts, GROUPS[counts.shrink++ % 4]!, 'shrink');
    if (/expand/.test(label)) return lora(facts, GROUPS[counts.expand++ % 4]!, 'expand');
    if (/rms-norm/.test(label)) return norm(isLast(counts.norm++, norms) ? facts.logitRows : facts.rows);
    if (/attention/.test(label)) return attention(facts);
    if (/rope/.test(label)) return elementwise(facts.rows * (heads + 2 * kvHeads) * headDim, 4, 2);
    if (/silu/.test(label)) return elementwise(facts.rows * intermediateSize, 10, 3);
    if (/embed/.test(label)) return elementwise(facts.rows * hiddenSize, 0, 2);
    if (label === 'sample-chunk') return elementwise(facts.samplers * vocabSize, 1, 1);
    return elementwise(0, 0, 0);
  });
}

/** So many numbers, with so many operations each, and that many of them moved. */
const elementwise = (numbers: number, flops: number, moved: number): Demand => ({
  flops: numbers * flops,
  bytes: numbers * moved * 4,
  loads: (numbers * moved) / 4,
});

const norm = (rows: number): Demand => elementwise(rows * hiddenSize, 4, 2);

/** Tiles of up to 8 rows and 8 outputs, as ship; one load brings two quads of f16 weights. */
function matmul(rows: number, { inWidth, outWidth }: { readonly inWidth: number; readonly outWidth: number }): Demand {
  const flops = 2 * rows * inWidth * outWidth;
  const tileRows = Math.min(rows, 8);
  const loads = tileLoads(flops, tileRows, 8);
  const ofWeights = (loads * 8) / (tileRows + 8);
  return { flops, bytes: 2 * inWidth * outWidth + 4 * rows * (inWidth + outWidth), loads: loads - ofWeights / 2 };
}

const head = ({ logitRows }: StepFacts): Demand => matmul(logitRows, { inWidth: hiddenSize, outWidth: vocabSize });

function lora({ ranks }: StepFacts, group: (typeof GROUPS)[number], kind: 'shrink' | 'expand'): Demand {
  const sites = SHAPE.table.sites.slice(group.siteFirst, group.siteFirst + group.sites);
  const sum = { flops: 0, bytes: 0, loads: 0 };
  for (const { rank, targets } of ranks) {
    for (const { module, inWidth, outWidth } of sites) {
      if (!targets.some((target) => module.endsWith(`.${target}`))) continue;
      const flops = 2 * rank * (kind === 'shrink' ? inWidth : outWidth);
      sum.flops += flops;
      sum.bytes += 2 * flops + (kind === 'shrink' ? 4 * inWidth : 8 * outWidth) + 4 * rank * group.splits;
      sum.loads += tileLoads(flops, 1, kind === 'shrink' ? 8 : 16) + (kind === 'shrink' ? 0 : outWidth / 2);
    }
  }
  return sum;
}

function attention({ positions, blockRows }: StepFacts): Demand {
  const keys = positions.reduce((sum, position) => sum + position + 1, 0);
  const sequences = new Map<number, number>();
  for (const [i, position] of positions.entries()) sequences.set(blockRows[i]!, Math.max(sequences.get(blockRows[i]!) ?? 0, position + 1));
  const kept = [...sequences.values()].reduce((a, b) => a + b, 0);
  const shared = sequences.size < positions.length ? 4 : 1;
  return {
    flops: 4 * keys * heads * headDim,
    bytes: 8 * kept * kvHeads * headDim + 8 * positions.length * heads * headDim,
    loads: (2 * keys * kvHeads * headDim) / 4 / shared,
  };
}
