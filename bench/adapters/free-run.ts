import { create } from 'webgpu';
import type { GpuProvider } from 'weblora';
import { engineFace } from '../../src/engine/engine.ts';
import { checkEngineOptions } from '../../src/engine/options.ts';
import { realPace } from '../../src/engine/pace.ts';
import { startServing, type Seams, type Serving } from '../../src/engine/serving.ts';
import type { TierTrace, TraceParts } from '../../test/suites/tiers-trace.ts';
import { PAGE_BYTES } from '../../test/suites/trace-adapters.ts';
import { generate } from '../sim/workload.ts';
import { randomTokens } from '../timeline.ts';

const LAYERS = 8;
/** Open at once: 16 run and at least 64 wait. */
const OPEN = 80;
const LIMITS = { sequences: 16, batchRows: 64, prefillChunk: 32, adapters: 8 };

/** What a run computes on, and how fast. */
export interface Ground {
  readonly gpu: GpuProvider;
  readonly seams: Seams;
}

const STEP_MS = 20;

/**
 * A device that leaves the whole CPU to JS, as a GPU does: Dawn's null backend, which computes nothing, with steps of 20 ms. A software
 * device's threads take the cores and their caches between two decisions.
 */
export function deviceApart(): Ground {
  const wait = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, STEP_MS));
  instance ??= create(['backend=null']);
  return { gpu: instance, seams: { pace: { ...realPace, before: wait } } };
}
/** A collected instance takes its devices with it. */
let instance: GpuProvider | undefined;

export interface Free {
  readonly requestsPerSecond: number;
  /** JS of `turn` and `schedule` in each step that was decided with at least 64 waiting. */
  readonly decisionMs: readonly number[];
  readonly note: Readonly<Record<string, number>>;
}

/** Runs the trace's requests by the clock, always as many open, on an engine whose reads take as long as they take. */
export async function freely(trace: TierTrace, { gpu, seams }: Ground, { model: base, store, address }: TraceParts): Promise<Free> {
  const { adapters, requests } = trace;
  const memory = { pool: trace.poolPages * PAGE_BYTES * LAYERS, heap: trace.heapBytes, disk: trace.diskBytes };
  const options = { gpu, model: base, store, precision: 'exact' as const, memory, limits: LIMITS, prefixCache: false };
  const serving = await startServing(gpu, options, checkEngineOptions(options), seams);
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
