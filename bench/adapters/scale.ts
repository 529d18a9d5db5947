import type { GpuProvider } from 'weblora';
import { folderStore } from 'weblora/node';
import { engineFace } from '../../src/engine/engine.ts';
import { checkEngineOptions } from '../../src/engine/options.ts';
import { startServing, type Serving } from '../../src/engine/serving.ts';
import { checkTierTrace, type TierTrace, type TraceParts } from '../../test/suites/tiers-trace.ts';
import { adapterFiles, PAGE_BYTES } from '../../test/suites/trace-adapters.ts';
import { median, quantile, ratios } from '../pairs.ts';
import { gate, type Row } from '../report.ts';
import { generate } from '../sim/workload.ts';
import { randomTokens } from '../timeline.ts';
import { model, withFolder } from './node.ts';
import { openOrigin } from './origin.ts';

/** Registered adapters. */
export const SIZES: readonly number[] = [5, 100, 2000, 10_000];
const FEW = 5;
/** Whose decisions have gates. */
const MOST = 10_000;
const MIB = 2 ** 20;
const LAYERS = 8;
const POOL_PAGES = 96;
const HEAP_BYTES = 4 * MIB;
const DISK_BYTES = 1024 * MIB;
/** Open at once: 16 run and at least 64 wait. */
const OPEN = 80;
const LIMITS = { sequences: 16, batchRows: 64, prefillChunk: 32, adapters: 8 };

export interface ScaleOptions {
  readonly pairs: number;
  /** Of each run. */
  readonly requests: number;
  /** How many are registered in each run. */
  readonly adapters: readonly number[];
}

interface Free {
  readonly requestsPerSecond: number;
  /** JS of `turn` and `schedule` in each step that was decided with at least 64 waiting. */
  readonly decisionMs: readonly number[];
  readonly note: Readonly<Record<string, number>>;
}

/** The same load on 5 to 10,000 registered adapters: exactly what the simulator decides, and, at the engine's own pace, what that costs. */
export async function scale(gpu: GpuProvider, options: ScaleOptions): Promise<Row[]> {
  const origin = await openOrigin(adapterFiles);
  const within = <T>(work: (parts: TraceParts) => Promise<T>): Promise<T> =>
    withFolder((folder) => {
      const address = (adapter: string): string => `${origin.url}/${encodeURIComponent(adapter)}`;
      return work({ gpu, model, store: folderStore(folder), address });
    });
  try {
    const rows: Row[] = [];
    for (const adapters of options.adapters) rows.push(...(await within((parts) => exactRows(traceOf(adapters, options.requests), parts))));
    const run = (adapters: number): Promise<Free> => within((parts) => freely(traceOf(adapters, options.requests), parts));
    await run(FEW); // warms up
    for (const adapters of options.adapters.filter((count) => count !== FEW)) {
      const pairs: { readonly few: Free; readonly many: Free }[] = [];
      for (let pair = 0; pair < options.pairs; pair++) pairs.push({ few: await run(FEW), many: await run(adapters) });
      rows.push(...freeRows(adapters, pairs));
    }
    return rows;
  } finally {
    origin.close();
  }
}

const traceOf = (adapters: number, requests: number): TierTrace => ({
  ...{ adapters, requests, poolPages: POOL_PAGES },
  ...{ heapBytes: HEAP_BYTES, diskBytes: DISK_BYTES },
});

/** Throws where a tier did anything but what the simulator decides. */
async function exactRows(trace: TierTrace, parts: TraceParts): Promise<Row[]> {
  const { tiers } = await checkTierTrace(trace, parts);
  const name = `scale/${trace.adapters} adapters, by steps`;
  return [
    ...(['gpu', 'heap', 'disk'] as const).map((tier): Row => {
      const { loads, evictions, bytes } = tiers[tier];
      return { name: `${name}: ${tier} loads`, value: loads, unit: 'loads', evictions, [tier === 'gpu' ? 'pages' : 'bytes']: bytes };
    }),
    { name: `${name}: reads`, value: tiers.reads.origin, unit: 'from origins', 'from disk': tiers.reads.disk },
  ];
}

/** Runs the trace's requests by the clock, always as many open, on an engine whose reads take as long as they take. */
async function freely({ adapters, requests }: TierTrace, { gpu, model: base, store, address }: TraceParts): Promise<Free> {
  const memory = { pool: POOL_PAGES * PAGE_BYTES * LAYERS, heap: HEAP_BYTES, disk: DISK_BYTES };
  const options = { gpu, model: base, store, precision: 'exact' as const, memory, limits: LIMITS, prefixCache: false };
  const serving = await startServing(gpu, options, checkEngineOptions(options));
  const engine = engineFace(serving);
  try {
    for (let i = 0; i < adapters; i++) await engine.adapters.add(`adapter ${i}`, address(`adapter ${i}`));
    const popularity = { kind: 'zipf', exponent: 1 } as const;
    const line = [
      ...generate({ seed: adapters, requests, adapters, popularity, rate: 1, cv: 1, prompt: [2, 12], answer: [1, 4] }).entries(),
    ];
    const decisionMs = timeDecisions(serving);
    const began = performance.now();
    const work = async (): Promise<void> => {
      for (let next = line.shift(); next; next = line.shift()) {
        const [i, { adapter, prompt, answer }] = next;
        await engine.generate(randomTokens(prompt, i), { adapter, maxTokens: answer, ignoreEos: true }).result();
      }
    };
    await Promise.all(Array.from({ length: OPEN }, work));
    const seconds = (performance.now() - began) / 1000;
    const { tiers, steps } = await engine.stats();
    const note = { steps, 'gpu loads': tiers.gpu.loads, 'from disk': tiers.disk.hits, 'from origins': tiers.origin.loads };
    return { requestsPerSecond: requests / seconds, decisionMs, note };
  } finally {
    await engine.close();
  }
}

/** Times what the engine's own core decides; fills the list as steps are decided while at least 64 wait. */
function timeDecisions({ core }: Serving): readonly number[] {
  const times: number[] = [];
  const { traffic, scheduler, queue } = core;
  const { turn } = traffic;
  const { schedule } = scheduler;
  let turned = 0;
  let waiting = 0;
  Object.assign(traffic, {
    turn: (now: number) => {
      waiting = queue.size;
      const began = performance.now();
      const moves = turn(now);
      turned = performance.now() - began;
      return moves;
    },
  });
  Object.assign(scheduler, {
    schedule: (...given: Parameters<typeof schedule>) => {
      const began = performance.now();
      const step = schedule(...given);
      if (waiting >= OPEN - LIMITS.sequences) times.push(turned + performance.now() - began);
      return step;
    },
  });
  return times;
}

function freeRows(adapters: number, pairs: readonly { readonly few: Free; readonly many: Free }[]): Row[] {
  const name = `scale/${adapters} adapters, by the clock`;
  const decision = ({ decisionMs }: Free): number => median(decisionMs);
  const ratio = (what: string, of: (run: Free) => number): Row => {
    const { median: value, ...spread } = ratios(pairs.map(({ few, many }) => ({ of: of(many), to: of(few) })));
    return { name: `${name}: ${what}`, value, unit: 'ratio', ...spread };
  };
  const all = pairs.flatMap(({ many }) => many.decisionMs);
  const decisions: Row = { name: `${name}: decisions`, value: median(all), unit: 'ms/step', p99: quantile(all, 0.99), steps: all.length };
  const beside = ratio(`decisions beside ${FEW} adapters'`, decision);
  const isMost = adapters === MOST;
  return [
    {
      name: `${name}: throughput`,
      value: median(pairs.map(({ many }) => many.requestsPerSecond)),
      unit: 'requests/s',
      ...pairs.at(-1)!.many.note,
    },
    ratio(`throughput beside ${FEW} adapters'`, ({ requestsPerSecond }) => requestsPerSecond),
    isMost ? gate(decisions, '<= 0.5') : decisions,
    isMost ? gate(beside, '<= 1.5') : beside,
  ];
}
