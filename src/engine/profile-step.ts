import type { DispatchDemand } from './profile-demands.ts';
import { floorOf, type Ceilings } from './profile-floor.ts';
import type { ProfiledKernel, ProfiledStep } from './profile-report.ts';

/** Dispatches of a step that are one kernel in one place of the network, by their places in the step. */
export interface KernelGroup {
  readonly kernel: string;
  readonly part: ProfiledKernel['part'];
  readonly at: readonly number[];
}

/** What was measured of a step: milliseconds, one for each round. */
export interface StepSamples {
  readonly step: ProfiledStep['step'];
  readonly rows: number;
  readonly keys: number;
  readonly demands: readonly DispatchDemand[];
  readonly kernels: readonly { readonly group: KernelGroup; readonly ms: readonly number[] }[];
  readonly whole: readonly number[];
}

/** The middle one. */
export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

/** Puts every dispatch into one group, in the order in which the first of each comes. */
export function groupsOf(labels: readonly string[], demands: readonly DispatchDemand[]): readonly KernelGroup[] {
  const groups = new Map<string, { kernel: string; part: ProfiledKernel['part']; at: number[] }>();
  for (const [i, kernel] of labels.entries()) {
    const { part } = demands[i]!;
    const key = `${kernel} ${part ?? ''}`;
    const group = groups.get(key) ?? { kernel, part, at: [] };
    group.at.push(i);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** Where a step's milliseconds go: medians over the rounds, floors by these ceilings. */
export function profiledStep({ step, rows, keys, demands, kernels, whole }: StepSamples, ceilings: Ceilings): ProfiledStep {
  const stepMs = median(whole);
  const all = kernels.map(({ group, ms }): ProfiledKernel => {
    const own = group.at.map((i) => demands[i]!.demand);
    const taken = median(ms);
    const rate = (amount: number): number => (taken > 0 ? amount / taken / 1e6 : 0);
    return {
      kernel: group.kernel,
      ...(group.part !== undefined && { part: group.part }),
      dispatches: own.length,
      ms: taken,
      gflops: rate(sum(own.map(({ flops }) => flops))),
      gigabytesPerSecond: rate(sum(own.map(({ bytes }) => bytes))),
      floorMs: sum(own.map((demand) => floorOf(demand, ceilings))),
      share: taken / stepMs,
    };
  });
  const kernelsMs = sum(all.map(({ ms }) => ms));
  const floorsMs = sum(all.map(({ floorMs }) => floorMs));
  return {
    step,
    rows,
    keys,
    kernels: all.sort((a, b) => b.ms - a.ms),
    launches: demands.length,
    launchesMs: demands.length * ceilings.launch,
    kernelsMs,
    floorsMs,
    gapsMs: stepMs - kernelsMs,
    stepMs,
    stepLeastMs: Math.min(...whole),
    stepMostMs: Math.max(...whole),
    stepOfFloors: stepMs / floorsMs,
  };
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
