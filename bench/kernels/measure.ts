import type { GpuProvider } from 'weblora';
import { familiesOf } from '../../src/engine/kernel-choice.ts';
import { openGpu } from '../../src/gpu/device.ts';
import type { KernelSet } from '../../src/kernels/variants.ts';
import { runParts, type Parts } from '../parts.ts';
import type { Row } from '../report.ts';
import { stepRows } from '../steps.ts';
import { attentionRows, attentionVariants } from './attention.ts';
import { openBed, type Bed } from './bed.ts';
import { openCeilings, type CeilingMeter } from './ceilings.ts';
import { loraRows, loraVariants } from './lora.ts';
import { matmulRows, matmulVariants } from './matmul.ts';
import { smallRows } from './small.ts';

/** What every part of this bench works with. */
export interface Bench {
  readonly bed: Bed;
  readonly ceilings: CeilingMeter;
  /** What an engine would take on this device. */
  readonly kernels: KernelSet;
  /** Rounds of which each takes every alternative and the ceilings once. */
  readonly pairs: number;
  readonly provider: GpuProvider;
  /** The small model and its adapters. */
  readonly folder: string;
}

export interface MeasureOptions {
  /** Names of parts, joined by commas. */
  readonly only: string;
  readonly pairs: number;
  readonly folder: string;
}

export interface Measured {
  readonly device: string;
  readonly rows: readonly Row[];
}

const PARTS: Readonly<Record<string, (bench: Bench) => Promise<readonly Row[]>>> = {
  matmul: matmulRows,
  lora: loraRows,
  attention: attentionRows,
  small: smallRows,
  steps: ({ provider, folder }) => stepRows(provider, folder),
  'matmul-variants': matmulVariants,
  'lora-variants': loraVariants,
  'attention-variants': attentionVariants,
};

export const PART_NAMES: readonly string[] = ['ceilings', ...Object.keys(PARTS)];

async function shippedFor(provider: GpuProvider): Promise<KernelSet> {
  const gpu = await openGpu(provider);
  gpu.device.destroy();
  const [preferred] = await familiesOf(gpu, 'auto', { precision: 'exact', deterministic: false });
  return preferred!.set;
}

/** Everything that is measured on one device, in any runtime. */
export async function measure(provider: GpuProvider, { only, pairs, folder }: MeasureOptions): Promise<Measured> {
  const bed = await openBed(provider);
  const ceilings = await openCeilings(bed);
  const bench = { bed, ceilings, pairs, provider, folder, kernels: await shippedFor(provider) };
  const parts: Parts = {
    ceilings: async () => ceilings.rows,
    ...Object.fromEntries(Object.entries(PARTS).map(([name, run]) => [name, () => run(bench)])),
  };
  return { device: `${bed.description} (${bed.clock})`, rows: await runParts(parts, only) };
}
