import type { Engine, GpuProvider } from 'weblora';
import { median, ratios } from '../pairs.ts';
import type { Row } from '../report.ts';
import { stepRows } from '../steps.ts';
import { ADAPTERS, follow, FOLDER, openEngine, randomTokens, type Timeline } from './frontdesk.ts';

const STREAMS = 32;
/** Tokens of each stream between which a throughput is measured. */
const FROM = 4;
const TO = 20;

/** Where the time of a step goes, and what adapters cost a batch of 32. */
export async function profile(gpu: GpuProvider, pairs: number): Promise<Row[]> {
  const steps = await stepRows(gpu, FOLDER);
  const engine = await openEngine(gpu);
  try {
    return [...steps, ...(await throughputs(engine, pairs))];
  } finally {
    await engine.close();
  }
}

/** Whose answers 32 streams are: the base's, one adapter's, or each its own: eight adapters at 32 scales, which are 32 segments. */
const KINDS = {
  'base only': () => ({}),
  identical: () => ({ adapter: ADAPTERS[0] }),
  distinct: (i: number) => ({ adapter: [{ id: ADAPTERS[i % ADAPTERS.length]!, scale: 1 - i / 64 }] }),
} as const;

async function throughputs(engine: Engine, pairs: number): Promise<Row[]> {
  const order = ['base only', 'identical', 'distinct', 'again'] as const;
  const found = Object.fromEntries(order.map((kind) => [kind, [] as number[]])) as Record<(typeof order)[number], number[]>;
  for (let pair = 0; pair < pairs; pair++) {
    for (const kind of order) found[kind].push(await throughput(engine, kind === 'again' ? 'base only' : kind, 8000 + 100 * pair));
  }
  const rows = (['base only', 'identical', 'distinct'] as const).map((kind): Row => {
    return { name: `profile/${STREAMS} streams, ${kind}`, value: median(found[kind]), unit: 'tokens/s' };
  });
  const against = (name: string, of: readonly number[]): Row => {
    const { median: value, ...spread } = ratios(of.map((rate, i) => ({ of: rate, to: found['base only'][i]! })));
    return { name: `profile/${STREAMS} streams, ${name}`, value, unit: 'ratio', ...spread };
  };
  return [
    ...rows,
    against('base only of base only (A/A)', found.again),
    against('identical of base only', found.identical),
    against('distinct of base only', found.distinct),
  ];
}

/** Tokens per second of all streams together between their fifth tokens and their last ones. */
async function throughput(engine: Engine, kind: keyof typeof KINDS, seed: number): Promise<number> {
  const streams: Timeline[] = Array.from({ length: STREAMS }, (_, i) =>
    follow(engine, randomTokens(8, seed + i), { ...KINDS[kind](i), maxTokens: TO + 8 }),
  );
  try {
    await Promise.all(streams.map((stream) => stream.reached(FROM)));
    const before = streams.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const began = performance.now();
    await Promise.all(streams.map((stream) => stream.reached(TO)));
    const after = streams.reduce((sum, { tokens }) => sum + tokens.length, 0);
    return (1000 * (after - before)) / (performance.now() - began);
  } finally {
    await Promise.all(streams.map((stream) => stream.stop()));
  }
}
