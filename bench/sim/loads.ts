import { gate, type Row } from '../report.ts';
import { sloraTrace } from './abort.ts';
import { leastLoads } from './belady.ts';
import { a10g, inPlaces } from './machines.ts';
import type { Policy } from './policies.ts';
import { simulate, type Pace } from './simulate.ts';
import { generate, type Arrival, type Popularity } from './workload.ts';

const SEQUENCES = 8;
const LENGTHS = [8, 64] as const;
/** Requests per second that the machine just cannot serve. */
const RATE = 14;

const POPULARITIES: Readonly<Record<string, { readonly popularity: Popularity; readonly cv?: number }>> = {
  'Zipf 0.6': { popularity: { kind: 'zipf', exponent: 0.6 } },
  'Zipf 1': { popularity: { kind: 'zipf', exponent: 1 } },
  'Zipf 1.5': { popularity: { kind: 'zipf', exponent: 1.5 } },
  uniform: { popularity: { kind: 'zipf', exponent: 0 } },
  'Zipf 1 in bursts': { popularity: { kind: 'zipf', exponent: 1 }, cv: 8 },
  'Zipf 1 shifting': { popularity: { kind: 'shifting', exponent: 1, every: 200 } },
  'one after another': { popularity: { kind: 'sweep' } },
};

const PACES: Readonly<Record<string, Pace>> = {
  'open loop': 'ms',
  '4 waiting': { waiting: 4 },
  '64 waiting': { waiting: 64 },
  'waves of 64, 64 waiting': { waiting: 64, wave: 64 },
};

export interface LoadsSize {
  readonly places: number;
  readonly requests: number;
  readonly seeds: readonly number[];
}

export interface Loads {
  readonly weblora: number;
  readonly lru: number;
  /** The least for the order in which adapters were used under each. */
  readonly belady: number;
  readonly beladyLru: number;
}

/** Loads over all seeds, with twice as many adapters as fit. */
export function countLoads({ places, requests, seeds }: LoadsSize, popularity: string, pace: string): Loads {
  const sums = { weblora: 0, lru: 0, belady: 0, beladyLru: 0 };
  for (const seed of seeds) {
    const { cv = 1, popularity: kind } = POPULARITIES[popularity]!;
    const trace = generate({ seed, requests, adapters: 2 * places, popularity: kind, rate: RATE, cv, prompt: LENGTHS, answer: LENGTHS });
    const run = (policy: Policy) => simulate(inPlaces(places, SEQUENCES), { trace, pace: PACES[pace]!, policy });
    const [weblora, lru] = [run('weblora'), run('lru')];
    sums.weblora += weblora.loads;
    sums.lru += lru.loads;
    sums.belady += leastLoads(weblora.uses, places);
    sums.beladyLru += leastLoads(lru.uses, places);
  }
  return sums;
}

function ratioRow(name: string, { weblora, lru, belady, beladyLru }: Loads): Row {
  return { name, value: weblora / lru, unit: "of LRU's loads", loads: weblora, lru, belady, 'belady for the order of LRU': beladyLru };
}

/** Loads beside those of a cache that knows nothing of the queue, on every kind of trace. */
export function loadsRows(size: LoadsSize): Row[] {
  const rows = Object.keys(POPULARITIES).flatMap((popularity) =>
    Object.keys(PACES).map((pace) => {
      const row = ratioRow(`loads/${popularity}, ${pace}`, countLoads(size, popularity, pace));
      return gate(row, popularity === 'Zipf 1' && pace.includes('64') ? '<= 0.8' : '<= 1');
    }),
  );
  return [...rows, gate(unifiedRow(sloraTrace(1, 1)), '<= 1')];
}

/** S-LoRA's trace in one pool with keys and values, where adapters differ in size: how few loads there could be is not known. */
function unifiedRow(trace: readonly Arrival[]): Row {
  const run = (policy: Policy): number => simulate(a10g(0.85), { trace, pace: 'ms', policy, beginnings: 'shared' }).loads;
  const [loads, lru] = [run('weblora'), run('lru')];
  return { name: "loads/S-LoRA's trace, one pool with keys and values", value: loads / lru, unit: "of LRU's loads", loads, lru };
}
