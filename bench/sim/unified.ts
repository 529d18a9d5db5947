import { gate, type Row } from '../report.ts';
import { a10g } from './machines.ts';
import { simulate } from './simulate.ts';
import { fixedSplit } from './split.ts';
import { generate, type Arrival } from './workload.ts';

const SHARES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/** One end of the trace: many adapters with short prompts, or few with long ones; at half and at most of what the machine can serve. */
const ENDS = {
  many: { adapters: 200, rate: 80, prompt: [8, 32], answer: [8, 32] },
  few: { adapters: 4, rate: 8, prompt: [256, 768], answer: [64, 256] },
} as const;

export interface UnifiedSize {
  readonly seed: number;
  /** Requests of each end. */
  readonly many: number;
  readonly few: number;
}

function endOf(end: keyof typeof ENDS, seed: number, requests: number, start = 0): Arrival[] {
  return generate({ ...ENDS[end], seed, requests, start, cv: 1, popularity: { kind: 'zipf', exponent: 1 } });
}

/** From many adapters with short prompts to few with long ones and back; and either end by itself. */
function traces({ seed, many, few }: UnifiedSize): Readonly<Record<'many' | 'few' | 'whole', readonly Arrival[]>> {
  const there = endOf('many', seed, many);
  const turn = endOf('few', seed + 100, few, there.at(-1)!.at);
  const back = endOf('many', seed + 200, many, turn.at(-1)!.at);
  return { many: there, few: endOf('few', seed + 100, few), whole: [...there, ...turn, ...back] };
}

export interface Moved {
  readonly loads: number;
  readonly preemptions: number;
  readonly ms: number;
}

/** Runs a trace in one pool, or in one with a fixed share of adapters; undefined where that cannot serve every request. */
function run(trace: readonly Arrival[], share: number | undefined): Moved | undefined {
  const machine = a10g(0.15);
  const variant = share === undefined ? {} : { variant: fixedSplit(share) };
  try {
    const { loads, preemptions, ms, outcomes } = simulate(machine, { trace, pace: 'ms', policy: 'weblora', ...variant });
    return outcomes.every(({ end }) => end === 'finished') ? { loads, preemptions, ms } : undefined;
  } catch (error) {
    if (share === undefined) throw error;
    return undefined; // a request that needs more than its side has waits for ever
  }
}

export interface Compared {
  readonly unified: Moved;
  /** The splits that serve everything, the one with the fewest loads and preemptions first. */
  readonly splits: readonly (Moved & { readonly share: number })[];
}

const sum = ({ loads, preemptions }: Moved): number => loads + preemptions;

/** The pool with a moving border beside every fixed split of the same pages, over either end and the whole of a trace. */
export function compareSplits(size: UnifiedSize): Readonly<Record<'many' | 'few' | 'whole', Compared>> {
  const compare = (trace: readonly Arrival[]): Compared => {
    const splits = SHARES.flatMap((share) => {
      const moved = run(trace, share);
      return moved ? [{ ...moved, share }] : [];
    });
    return { unified: run(trace, undefined)!, splits: splits.sort((a, b) => sum(a) - sum(b)) };
  };
  const { many, few, whole } = traces(size);
  return { many: compare(many), few: compare(few), whole: compare(whole) };
}

/** How many loads and preemptions more the unified pool has than the best split. */
export function excess({ unified, splits }: Compared): number {
  return splits.length === 0 ? -Infinity : sum(unified) - sum(splits[0]!);
}

/** What S-LoRA's unified paging is for: the border between adapters and keys and values moves with the load. */
export function unifiedRows(): Row[] {
  return [1, 2, 3].flatMap((seed) =>
    Object.entries(compareSplits({ seed, many: 1000, few: 300 })).map(([end, compared]): Row => {
      const { unified, splits } = compared;
      const best = splits[0]!;
      const row: Row = {
        name: `unified/${end}, seed ${seed}: loads and preemptions beyond the best split's`,
        value: excess(compared),
        unit: 'moves',
        loads: unified.loads,
        preemptions: unified.preemptions,
        ms: Math.round(unified.ms),
        'best split': best.share,
        'its loads': best.loads,
        'its preemptions': best.preemptions,
        'its ms': Math.round(best.ms),
        'splits that cannot serve it': SHARES.length - splits.length,
      };
      return gate(row, end === 'whole' ? '<= -1' : '<= 0');
    }),
  );
}
