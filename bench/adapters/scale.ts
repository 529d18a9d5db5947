import type { GpuProvider } from 'weblora';
import { folderStore } from 'weblora/node';
import { checkTierTrace, type TierTrace, type TraceParts } from '../../test/suites/tiers-trace.ts';
import { adapterFiles } from '../../test/suites/trace-adapters.ts';
import { median, quantile, ratios } from '../pairs.ts';
import { gate, type Row } from '../report.ts';
import { deviceApart, freely, type Free, type Ground } from './free-run.ts';
import { model, withFolder } from './node.ts';
import { openOrigin } from './origin.ts';

/** Registered adapters. */
export const SIZES: readonly number[] = [5, 100, 2000, 10_000];
const FEW = 5;
/** Whose decisions have gates. */
const MOST = 10_000;
const MIB = 2 ** 20;
const POOL_PAGES = 96;
const HEAP_BYTES = 4 * MIB;
const DISK_BYTES = 1024 * MIB;
/** Of each run on a device that computes nothing: enough for a median, in seconds. */
const REQUESTS_APART = 600;

export interface ScaleOptions {
  readonly pairs: number;
  /** Of each run. */
  readonly requests: number;
  /** How many are registered in each run. */
  readonly adapters: readonly number[];
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
    const run = (adapters: number, requests: number, ground: Ground): Promise<Free> =>
      within((parts) => freely(traceOf(adapters, requests), ground, parts));
    const pairsOn = async (adapters: number, requests: number, ground: Ground): Promise<Pair[]> => {
      const pairs: Pair[] = [];
      for (let pair = 0; pair < options.pairs; pair++) {
        pairs.push({ few: await run(FEW, requests, ground), many: await run(adapters, requests, ground) });
      }
      return pairs;
    };
    const grounds = { engine: { gpu, seams: {} }, apart: deviceApart() };
    for (const ground of Object.values(grounds)) await run(FEW, options.requests, ground); // warms up
    for (const adapters of options.adapters.filter((count) => count !== FEW)) {
      rows.push(...clockRows(adapters, await pairsOn(adapters, options.requests, grounds.engine)));
      rows.push(...decisionRows(adapters, await pairsOn(adapters, REQUESTS_APART, grounds.apart)));
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

interface Pair {
  readonly few: Free;
  readonly many: Free;
}

const ratio = (name: string, pairs: readonly Pair[], of: (run: Free) => number): Row => {
  const { median: value, ...spread } = ratios(pairs.map(({ few, many }) => ({ of: of(many), to: of(few) })));
  return { name: `${name} beside ${FEW} adapters'`, value, unit: 'ratio', ...spread };
};

function decisionsOf(name: string, pairs: readonly Pair[]): Row {
  const all = pairs.flatMap(({ many }) => many.decisionMs);
  return { name, value: median(all), unit: 'ms/step', p99: quantile(all, 0.99), steps: all.length };
}

function clockRows(adapters: number, pairs: readonly Pair[]): Row[] {
  const name = `scale/${adapters} adapters, by the clock`;
  const throughput = median(pairs.map(({ many }) => many.requestsPerSecond));
  const decisions = decisionsOf(`${name}: decisions`, pairs);
  return [
    { name: `${name}: throughput`, value: throughput, unit: 'requests/s', ...pairs.at(-1)!.many.note },
    ratio(`${name}: throughput`, pairs, ({ requestsPerSecond }) => requestsPerSecond),
    adapters === MOST ? gate(decisions, '<= 0.5') : decisions,
    ratio(`${name}: decisions`, pairs, ({ decisionMs }) => median(decisionMs)),
  ];
}

function decisionRows(adapters: number, pairs: readonly Pair[]): Row[] {
  const name = `scale/${adapters} adapters, on a device apart: decisions`;
  const decisions = decisionsOf(name, pairs);
  const beside = ratio(name, pairs, ({ decisionMs }) => median(decisionMs));
  return adapters === MOST ? [gate(decisions, '<= 0.5'), gate(beside, '<= 1.5')] : [decisions, beside];
}
