import type { AdapterFacts, Move } from '../../src/adapters/lower-tiers.ts';
import { createCore, type Core, type CoreParts } from '../../src/engine/core.ts';
import type { CostEstimate } from '../../src/engine/cost.ts';
import type { SchedulerLimits, Turn } from '../../src/engine/scheduler.ts';
import { createSequence, type Sequence, type SequenceRequest } from '../../src/engine/sequence.ts';
import type { Work } from '../../src/engine/step-budget.ts';
import type { Reading } from '../../src/engine/traffic.ts';

/** Milliseconds of a step as a sum over its rows. */
export function priceList({ step = 0, row = 0 }: { readonly step?: number; readonly row?: number }): CostEstimate {
  return { of: ({ rows }) => step + row * rows, learn: () => undefined, samples: 1 };
}

export interface SmallOptions extends Partial<SchedulerLimits> {
  readonly pages?: number;
  readonly slots?: number;
  /** An adapter takes as many bytes as pages; default: all fits in memory, and there is no store. */
  readonly heapBytes?: number;
  readonly diskBytes?: number;
  readonly cost?: CostEstimate;
  readonly beginnings?: CoreParts['beginnings'];
}

/** An engine around a core whose device gives tokens that name their place: 1000 for the first of an answer, and so on. */
export interface Small {
  readonly core: Core;
  /** What left the GPU, and all that the core told of. */
  readonly evicted: readonly string[];
  readonly moves: readonly Move[];
  readonly flights: (readonly Work[])[];
  now: number;
  /** Queues a request; a number is the length of a prompt that begins like no other. */
  add(prompt: number | readonly number[], maxTokens: number, more?: Partial<SequenceRequest>): Sequence;
  /** What an adapter's origin has. */
  read(adapter: string, pages: number, digest?: string): void;
  /** Adapters that came onto the GPU in steps, and all that left it. */
  counts(): { readonly loads: number; readonly evictions: number };
  /** Adapters move, and a step is scheduled and submitted. What must be read arrives at once where `read` was told of it. */
  step(depth?: number): Turn;
  /** The oldest step comes back; who has all its tokens is finished. */
  commit(): void;
  /** A step that comes back at once. */
  run(depth?: number): Turn;
}

const LIMITS = {
  sequences: 8,
  batchRows: 64,
  prefillChunk: 16,
  logitRows: 64,
  contextLength: 512,
  adapters: 8,
  adjustRows: 8,
  stepMs: 40,
  window: Infinity,
};

/** Facts of an adapter that takes as many bytes as pages. */
export const facts = (digest: string, pages: number): AdapterFacts => ({ digest, pages, bytes: pages, stored: pages });

const MUCH = Number.MAX_SAFE_INTEGER;

export function createSmall(options: SmallOptions = {}): Small {
  const { pages = 64, slots = 16, heapBytes = MUCH, diskBytes = 0, cost = priceList({}), beginnings = 'shared', ...limits } = options;
  const evicted: string[] = [];
  const moves: Move[] = [];
  let loads = 0;
  const origins = new Map<string, AdapterFacts>();
  const weight = (): number => 1;
  const core = createCore({
    limits: { ...LIMITS, ...limits },
    pages,
    slots,
    heapBytes,
    diskBytes,
    cost,
    beginnings,
    tenantWeight: weight,
    flowWeight: weight,
    moved: (move) => {
      moves.push(move);
      if (move.tier === 'gpu') evicted.push(move.content);
    },
  });
  const { traffic, contents } = core;
  const move = (): readonly Reading[] => {
    const { write, read } = traffic.turn(small.now);
    loads += write.length;
    for (const { content } of write) traffic.written(content);
    return read;
  };
  let nextId = 0;
  const small: Small = {
    core,
    evicted,
    moves,
    flights: [],
    now: 0,
    add: (prompt, maxTokens, more) => {
      const id = nextId++;
      const tokens = typeof prompt === 'number' ? Array.from({ length: prompt }, (_, i) => 10_000 * (id + 1) + i) : prompt;
      const sequence = createSequence({ id, prompt: tokens, maxTokens, parts: [], logits: 'sampled', arrival: small.now, ...more });
      core.scheduler.add(sequence);
      return sequence;
    },
    read: (adapter, count, digest = adapter) => void origins.set(adapter, facts(digest, count)),
    counts: () => ({ loads, evictions: evicted.length }),
    step: (depth = 1) => {
      for (const { content, from } of move()) {
        const [adapter] = contents.names(content);
        const read = origins.get(adapter!);
        if (read) traffic.arrived(adapter!, read, from);
      }
      move();
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
