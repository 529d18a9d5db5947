import { createEngine } from 'weblora';
import type { Engine, GpuProvider, Store } from 'weblora';
import { folderStore } from 'weblora/node';
import { median, quantile, ratios } from '../pairs.ts';
import type { Row } from '../report.ts';
import { follow, gaps, randomTokens, type Timeline } from '../timeline.ts';
import { ALL, generateAdapter } from '../../demo/generated-adapter.ts';
import { model, withFolder } from './node.ts';
import { openOrigin, ownAdapter, type AdapterFiles } from './origin.ts';
import { settle } from './stage.ts';

/** Adapters of four of the streams; the other four are on the base. */
const STREAMS = ['emoji', 'json', 'sql', 'pirate'] as const;
const STREAM_PROMPT_TOKENS = 12;
const STREAM_TOKENS = 480;
/** Tokens of each stream before its gaps count. */
const WARM = 8;
/** Ten that lie in the store, and ten that lie at the origin alone. */
const STORED = Array.from({ length: 10 }, (_, i) => `stored-${i}`);
const REMOTE = Array.from({ length: 10 }, (_, i) => `remote-${i}`);
const COLD = STORED.flatMap((id, i) => [id, REMOTE[i]!]);
const RANK = 16;
const PROMPT_TOKENS = 16;
const ANSWER_TOKENS = 3;
/** Requests that are open at once beside the streams. */
const AT_ONCE = 4;

/** Gaps of the streams while the twenty requests ran, in milliseconds. */
interface Beside {
  readonly typical: number;
  /** 99th percentile. */
  readonly longest: number;
}

interface Pair {
  readonly cold: Beside;
  readonly resident: Beside;
  readonly again: Beside;
}

/** What loads do to streams: twenty short requests for adapters that are in the store or at the origin, and again where they are resident. */
export async function gapsDuringLoads(gpu: GpuProvider, pairs: number): Promise<Row[]> {
  const files: Record<string, AdapterFiles> = Object.fromEntries(STREAMS.map((id) => [id, ownAdapter(id)]));
  for (const [i, id] of COLD.entries()) files[id] = generateAdapter({ modules: ALL, rank: RANK, state: 100 + i });
  const origin = await openOrigin(files);
  try {
    return await withFolder(async (folder) => {
      const address = (id: string): string => `${origin.url}/${id}`;
      const store = folderStore(folder);
      await prepare(gpu, store, address);
      const found: Pair[] = [];
      // the first warms up
      for (let pair = 0; pair <= pairs; pair++) {
        const measured = await measure(gpu, store, address, pair);
        if (pair > 0) found.push(measured);
      }
      return rowsOf(found);
    });
  } finally {
    origin.close();
  }
}

/** An engine with the streams' adapters on the GPU and nothing in memory of those that are to be loaded. */
async function open(gpu: GpuProvider, store: Store, address: (id: string) => string): Promise<Engine> {
  const engine = await createEngine({ gpu, model, store, memory: { pool: 128 << 20 } });
  for (const id of [...STREAMS, ...COLD]) await engine.adapters.add(id, address(id));
  for (const id of STREAMS) await engine.adapters.load(id);
  return engine;
}

async function prepare(gpu: GpuProvider, store: Store, address: (id: string) => string): Promise<void> {
  const engine = await open(gpu, store, address);
  for (const id of STORED) await engine.adapters.load(id);
  await engine.close();
}

async function measure(gpu: GpuProvider, store: Store, address: (id: string) => string, pair: number): Promise<Pair> {
  const engine = await open(gpu, store, address);
  const seed = 1 + pair * 200;
  const streams = Array.from({ length: 2 * STREAMS.length }, (_, i): Timeline => {
    const adapter = STREAMS[i];
    const prompt = randomTokens(STREAM_PROMPT_TOKENS, seed + i);
    return follow(engine, prompt, { ...(adapter !== undefined && { adapter }), maxTokens: STREAM_TOKENS });
  });
  try {
    await checkTiers(engine);
    await Promise.all(streams.map((stream) => stream.reached(WARM)));
    const cold = await beside(engine, streams, seed + 20);
    const { disk, origin } = (await engine.stats()).tiers;
    if (disk.hits < STORED.length || origin.loads !== REMOTE.length) {
      throw new Error(`${disk.hits} adapters came from the store and ${origin.loads} from the origin; ${COLD.length} were to be loaded`);
    }
    await settle(engine, address(STREAMS[0]));
    const resident = await beside(engine, streams, seed + 60);
    const again = await beside(engine, streams, seed + 100);
    if ((await engine.stats()).tiers.gpu.evictions > 0) throw new Error('The pool has no room for all adapters');
    return { cold, resident, again };
  } finally {
    await Promise.all(streams.map((stream) => stream.stop()));
    for (const id of REMOTE) await engine.adapters.remove(id); // for the next engine to find them at their origin alone
    await engine.close();
  }
}

async function checkTiers(engine: Engine): Promise<void> {
  for (const { id, tier } of await engine.adapters.list()) {
    const due = id.startsWith('stored') ? 'disk' : id.startsWith('remote') ? 'origin' : 'gpu';
    if (tier !== due) throw new Error(`${id} was to be in ${due} and is in ${tier}`);
  }
}

/** Runs the short requests, a few at once, and gives the gaps of the streams meanwhile. Throws `Error` where a stream ended before. */
async function beside(engine: Engine, streams: readonly Timeline[], seed: number): Promise<Beside> {
  const line = [...COLD.entries()];
  const from = performance.now();
  const work = async (): Promise<void> => {
    for (let next = line.shift(); next; next = line.shift()) {
      const [i, adapter] = next;
      const options = { adapter, maxTokens: ANSWER_TOKENS, ignoreEos: true };
      await engine.generate(randomTokens(PROMPT_TOKENS, seed + i), options).result();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const to = performance.now();
  if (streams.some(({ times }) => times.length >= STREAM_TOKENS)) throw new Error('A stream ended before the requests beside it');
  const all = streams.flatMap((stream) => gaps(stream, from, to));
  return { typical: median(all), longest: quantile(all, 0.99) };
}

function rowsOf(pairs: readonly Pair[]): Row[] {
  const ms = (name: string, of: (pair: Pair) => number): Row => ({ name: `gaps/${name}`, value: median(pairs.map(of)), unit: 'ms' });
  const ratio = (name: string, of: (pair: Pair) => number, to: (pair: Pair) => number): Row => {
    const { median: value, ...spread } = ratios(pairs.map((pair) => ({ of: of(pair), to: to(pair) })));
    return { name: `gaps/${name}`, value, unit: 'ratio', ...spread };
  };
  return [
    ms('typical beside loads', ({ cold }) => cold.typical),
    ms('longest beside loads', ({ cold }) => cold.longest),
    ms('longest beside resident', ({ resident }) => resident.longest),
    ratio(
      'longest of typical, beside loads',
      ({ cold }) => cold.longest,
      ({ cold }) => cold.typical,
    ),
    ratio(
      'longest of typical, beside resident',
      ({ resident }) => resident.longest,
      ({ resident }) => resident.typical,
    ),
    ratio(
      'longest beside loads of beside resident',
      ({ cold }) => cold.longest,
      ({ resident }) => resident.longest,
    ),
    ratio(
      'longest beside resident of beside resident (A/A)',
      ({ again }) => again.longest,
      ({ resident }) => resident.longest,
    ),
  ];
}
