import { priced } from '../../bench/sim/machines.ts';
import { simulate, type Result } from '../../bench/sim/simulate.ts';
import { generate, type Arrival } from '../../bench/sim/workload.ts';
import type { Store } from '../../src/adapters/store.ts';
import type { CostEstimate } from '../../src/engine/cost.ts';
import { engineFace } from '../../src/engine/engine.ts';
import { checkEngineOptions } from '../../src/engine/options.ts';
import type { Pace } from '../../src/engine/pace.ts';
import { startServing, type Serving } from '../../src/engine/serving.ts';
import type { CoreEngine, EngineOptions, GpuProvider, Source, Stats } from '../../src/engine/types.ts';
import { same } from './engine-bench.ts';
import { check } from './suite.ts';
import { factsOf, PAGE_BYTES } from './trace-adapters.ts';
import { tracePace } from './trace-pace.ts';

export interface TierTrace {
  readonly adapters: number;
  readonly requests: number;
  /** Of the pool, memory and the store. */
  readonly poolPages: number;
  readonly heapBytes: number;
  readonly diskBytes: number;
}

export interface TraceParts {
  readonly gpu: GpuProvider;
  readonly model: Source;
  readonly store: Store;
  /** The address of an adapter. */
  readonly address: (adapter: string) => string;
}

const LAYERS = 8;
const WAITING = 64;
const DEPTH = 2;
const READ_STEPS = { disk: 2, origin: 6 };
const LIMITS = { sequences: 16, batchRows: 64, prefillChunk: 32, adapters: 8, stepMs: 40 };

/** What a step is taken to cost, and costs by the virtual clock; it learns nothing. */
const STEP_MS = priced({ step: 10, row: 0.5, logitRow: 0.1, key: 0.001, loraRow: 0.1 });
const estimate = (): CostEstimate => ({ of: STEP_MS, learn: () => undefined, samples: 1 });

function traceOf({ adapters, requests }: TierTrace): readonly Arrival[] {
  const popularity = { kind: 'zipf', exponent: 1 } as const;
  return generate({ seed: adapters, requests, adapters, popularity, rate: 1, cv: 1, prompt: [1, 4], answer: [1, 4] });
}

/** The same run in an engine whose device is only a price list. Nothing of the engine's bytes is known here but their arithmetic. */
function simulated(size: TierTrace, { device, core }: Serving): Result {
  const { logitRows, contextLength, adjustRows, pool } = device.model;
  same([core.pages.counts().total, pool.pageBytes], [size.poolPages, PAGE_BYTES], 'pages of the pool');
  const machine = {
    limits: { ...LIMITS, logitRows, contextLength, adjustRows, window: Infinity },
    pages: size.poolPages,
    slots: pool.slots,
    depth: DEPTH,
    stepMs: STEP_MS,
    estimate,
    adapterPages: (adapter: string) => factsOf(adapter).pages,
    below: {
      heapBytes: size.heapBytes,
      diskBytes: size.diskBytes,
      bytes: (adapter: string) => factsOf(adapter).bytes,
      stored: (adapter: string) => factsOf(adapter).stored,
    },
    read: { steps: READ_STEPS },
    writeMsPerPage: 0,
  };
  return simulate(machine, { trace: traceOf(size), pace: { waiting: WAITING }, policy: 'weblora' });
}

function optionsOf(size: TierTrace, { gpu, model, store }: TraceParts): EngineOptions {
  const memory = { pool: size.poolPages * PAGE_BYTES * LAYERS, heap: size.heapBytes, disk: size.diskBytes };
  return { gpu, model, store, precision: 'exact', memory, limits: LIMITS, prefixCache: false };
}

/** Asks for what a request of the trace asks for; no two prompts begin alike. */
function ask(engine: CoreEngine, { prompt, answer, adapter }: Arrival, number: number): Promise<unknown> {
  const tokens = Array.from({ length: prompt }, (_, i) => 3 + ((number * 7 + i * (number + 1)) % 4000));
  return engine.generate(tokens, { adapter, maxTokens: answer, ignoreEos: true, temperature: 0, seed: 1 }).result();
}

/** Runs the trace through an engine at a pace that is the simulator's. */
async function paced(size: TierTrace, parts: TraceParts) {
  const answers: Promise<unknown>[] = [];
  let rested: () => void = () => undefined;
  const done = new Promise<void>((resolve) => (rested = resolve));
  const pace: Pace = tracePace({
    ...{ trace: traceOf(size), arrivals: { waiting: WAITING }, steps: READ_STEPS, depth: DEPTH, stepMs: STEP_MS, rested },
    waiting: () => serving.core.queue.size,
    come: (arrival) => void answers.push(ask(engine, arrival, answers.length)),
  });
  const options = optionsOf(size, parts);
  const serving = await startServing(parts.gpu, options, checkEngineOptions(options), { pace, cost: estimate() });
  const engine = engineFace(serving);
  for (let i = 0; i < size.adapters; i++) await engine.adapters.add(`adapter ${i}`, parts.address(`adapter ${i}`));
  serving.loop.wake();
  await Promise.race([done, failed(serving)]);
  await Promise.all(answers);
  return { engine, serving, answers: answers.length };
}

/** Rejected where the engine ends by itself. */
async function failed(serving: Serving): Promise<never> {
  for (;;) {
    if (serving.over !== undefined) throw serving.over;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** What an engine did, in the simulator's words. */
function done({ tiers }: Stats): Result['tiers'] {
  const counts = (tier: 'gpu' | 'heap' | 'disk', unit: number) => {
    const { loads, evictions, bytes } = tiers[tier];
    return { loads, evictions, bytes: bytes / unit };
  };
  return {
    ...{ gpu: counts('gpu', PAGE_BYTES * LAYERS), heap: counts('heap', 1), disk: counts('disk', 1) },
    reads: { disk: tiers.disk.hits, origin: tiers.origin.loads },
  };
}

/** Throws unless an engine did, in every tier, exactly what the simulator decided for the same trace; returns that. */
export async function checkTierTrace(size: TierTrace, parts: TraceParts): Promise<Result> {
  const { engine, serving, answers } = await paced(size, parts);
  const stats = await engine.stats();
  const expected = simulated(size, serving);
  await engine.close();
  same(answers, size.requests, 'requests');
  same(done(stats), expected.tiers, 'loads, evictions and bytes of each tier');
  same([stats.preemptions, stats.tokens], [expected.preemptions, expected.tokens], 'preemptions and tokens');
  const blobs = await parts.store.entries('b:');
  same(blobs.length, expected.tiers.disk.loads - expected.tiers.disk.evictions, 'adapters in the store');
  check(expected.tiers.heap.bytes <= size.heapBytes, () => `memory holds ${expected.tiers.heap.bytes} bytes at rest`);
  return expected;
}
