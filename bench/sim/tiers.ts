import { median } from '../pairs.ts';
import { gate, type Row } from '../report.ts';
import { a10g } from './machines.ts';
import { simulate, type Machine, type Result } from './simulate.ts';
import { generate } from './workload.ts';

const MIB = 2 ** 20;

/** Bytes of a rank on q, k, v and o, a 64th of a 7B Llama's: so memory holds about as many adapters as the GPU, and the disk overflows. */
const BYTES_PER_RANK = 32 * 1024;

const RANKS = [64, 32, 16, 8] as const;
const rankOf = (adapter: string): number => RANKS[Number(adapter.match(/\d+$/)?.[0] ?? 0) % RANKS.length]!;

/** The machine of S-LoRA's setting, with a memory and a disk that hold some of the adapters. */
function machine(): Machine {
  const bytes = (adapter: string): number => rankOf(adapter) * BYTES_PER_RANK;
  return {
    ...a10g(0.15),
    limits: { ...a10g(0.15).limits, sequences: 64, adapters: 32 },
    below: { heapBytes: 64 * MIB, diskBytes: 1024 * MIB, bytes, stored: bytes },
    read: { steps: { disk: 2, origin: 6 } },
  };
}

/** So many adapters asked for by Zipf, with at least 64 requests waiting throughout: whoever is admitted is replaced. */
export function runTiers(adapters: number, requests: number): Result {
  const trace = generate({
    ...{ seed: 1, requests, adapters, rate: 1, cv: 1 },
    popularity: { kind: 'zipf', exponent: 1 },
    prompt: [8, 64],
    answer: [8, 32],
  });
  return simulate(machine(), { trace, pace: { waiting: 64 }, policy: 'weblora' });
}

const FEW = 5;
const PAIRS = 7;
const PAIR_REQUESTS = 1500;

/** What a step's decisions take beside those with few adapters: pairs of runs, one after the other. */
function decisionRows(adapters: number): Row[] {
  const ms = (some: number): number => median(runTiers(some, PAIR_REQUESTS).decisionMs);
  const pairs = Array.from({ length: PAIRS }, () => [ms(FEW), ms(adapters)] as const);
  const name = (what: string): string => `tiers/${adapters} adapters: ${what}`;
  const many = pairs.map(([, each]) => each);
  const ratios = pairs.map(([few, each]) => each / few);
  return [
    gate({ name: name('decisions'), value: median(many), unit: 'ms/step' }, '<= 0.5'),
    gate(
      {
        name: name(`decisions beside ${FEW} adapters'`),
        value: median(ratios),
        unit: 'ratio',
        least: Math.min(...ratios),
        most: Math.max(...ratios),
      },
      '<= 1.5',
    ),
  ];
}

/** What moves between the tiers from 5 adapters to 10,000, and what it costs to decide that. */
export function tiersRows(): Row[] {
  runTiers(FEW, 500); // warm
  return [FEW, 100, 2000, 10_000].flatMap((adapters) => {
    const { tiers, steps, preemptions, outcomes } = runTiers(adapters, 4000);
    const name = (what: string): string => `tiers/${adapters} adapters: ${what}`;
    const counts = (['gpu', 'heap', 'disk'] as const).map((tier): Row => {
      const { loads, evictions, bytes } = tiers[tier];
      return { name: name(`${tier} loads`), value: loads, unit: 'loads', evictions, [tier === 'gpu' ? 'pages' : 'bytes']: bytes };
    });
    return [
      ...counts,
      { name: name('reads'), value: tiers.reads.origin, unit: 'from origins', 'from disk': tiers.reads.disk, preemptions },
      { name: name('requests served'), value: outcomes.filter(({ end }) => end === 'finished').length, unit: 'requests', steps },
      ...decisionRows(adapters),
    ];
  });
}
