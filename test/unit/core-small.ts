import { createCore, type Core, type CoreParts } from '../../src/engine/core.ts';
import type { CostEstimate } from '../../src/engine/cost.ts';
import type { SchedulerLimits, Turn } from '../../src/engine/scheduler.ts';
import { createSequence, type Sequence, type SequenceRequest } from '../../src/engine/sequence.ts';
import type { Work } from '../../src/engine/step-budget.ts';

/** Milliseconds of a step as a sum over its rows. */
export function priceList({ step = 0, row = 0 }: { readonly step?: number; readonly row?: number }): CostEstimate {
  return { of: ({ rows }) => step + row * rows, learn: () => undefined, samples: 1 };
}

export interface SmallOptions extends Partial<SchedulerLimits> {
  readonly pages?: number;
  readonly slots?: number;
  readonly cost?: CostEstimate;
  readonly beginnings?: CoreParts['beginnings'];
}

/** An engine around a core whose device gives tokens that name their place: 1000 for the first of an answer, and so on. */
export interface Small {
  readonly core: Core;
  readonly evicted: readonly string[];
  readonly flights: (readonly Work[])[];
  now: number;
  /** Queues a request; a number is the length of a prompt that begins like no other. */
  add(prompt: number | readonly number[], maxTokens: number, more?: Partial<SequenceRequest>): Sequence;
  /** An adapter's bytes are in memory. */
  read(adapter: string, pages: number, digest?: string): void;
  /** Adapters move, and a step is scheduled and submitted. What must be read arrives at once where `read` was told of it. */
  step(depth?: number): Turn;
  /** The oldest step comes back; who has all its tokens is finished. */
  commit(): void;
  /** A step that comes back at once. */
  run(depth?: number): Turn;
}

const LIMITS = { sequences: 8, batchRows: 64, prefillChunk: 16, logitRows: 64, contextLength: 512, adapters: 8, adjustRows: 8, stepMs: 40 };

export function createSmall(options: SmallOptions = {}): Small {
  const { pages = 64, slots = 16, cost = priceList({}), beginnings = 'shared', ...limits } = options;
  const evicted: string[] = [];
  const sizes = new Map<string, { readonly pages: number; readonly digest: string }>();
  const weight = (): number => 1;
  const core = createCore({
    limits: { ...LIMITS, ...limits },
    pages,
    slots,
    cost,
    beginnings,
    tenantWeight: weight,
    flowWeight: weight,
    evicted: (adapter) => void evicted.push(adapter),
  });
  let nextId = 0;
  const small: Small = {
    core,
    evicted,
    flights: [],
    now: 0,
    add: (prompt, maxTokens, more) => {
      const id = nextId++;
      const tokens = typeof prompt === 'number' ? Array.from({ length: prompt }, (_, i) => 10_000 * (id + 1) + i) : prompt;
      const sequence = createSequence({ id, prompt: tokens, maxTokens, parts: [], logits: 'sampled', arrival: small.now, ...more });
      core.scheduler.add(sequence);
      return sequence;
    },
    read: (adapter, count, digest = adapter) => void sizes.set(adapter, { pages: count, digest }),
    step: (depth = 1) => {
      for (const adapter of core.traffic.turn(small.now).read) {
        const size = sizes.get(adapter);
        if (size) core.traffic.arrived(adapter, size);
      }
      core.traffic.turn(small.now);
      const turn = core.scheduler.schedule(small.now, depth);
      if (turn.work.length > 0) small.flights.push(turn.work);
      return turn;
    },
    commit: () => {
      for (const work of small.flights.shift() ?? []) {
        const { sequence, samples } = work;
        core.scheduler.commit(work, samples ? 1000 + sequence.generated.length : undefined);
        if (sequence.generated.length === sequence.maxTokens) core.scheduler.finish(sequence);
      }
    },
    run: (depth) => {
      const turn = small.step(depth);
      small.commit();
      return turn;
    },
  };
  return small;
}

/** A part with scale 1. */
export const one = (...adapters: readonly string[]) => ({ parts: adapters.map((adapter) => ({ adapter, scale: 1 })) });

/** Work as short rows: kind, start, count, samples, logitRows. */
export const brief = ({ work }: Turn): unknown[] => work.map((w) => [w.kind, w.start, w.count, w.samples, w.logitRows]);
