import type { CostEstimate, StepLoad } from '../../src/engine/cost.ts';
import type { AdapterFacts } from '../../src/adapters/lower-tiers.ts';
import type { Core, CoreParts, CoreVariant } from '../../src/engine/core.ts';
import type { SchedulerLimits } from '../../src/engine/scheduler.ts';
import type { Work } from '../../src/engine/step-budget.ts';
import { createEvents } from './events.ts';
import { createLedger, createMoves } from './ledger.ts';
import { createPolicy, type Policy } from './policies.ts';
import type { Arrival } from './workload.ts';

/** The device and the engine's settings. */
export interface Machine {
  readonly limits: SchedulerLimits;
  /** Pages of the pool, and slots; slot 0 is no adapter. */
  readonly pages: number;
  readonly slots: number;
  /** Steps in flight at once. */
  readonly depth: number;
  /** Milliseconds that a step takes. */
  readonly stepMs: (load: StepLoad) => number;
  /** What the scheduler takes a step to cost; it learns. One for each run. */
  readonly estimate: () => CostEstimate;
  readonly adapterPages: (adapter: string) => number;
  /** What lies below the GPU; default: all fits in memory. */
  readonly below?: Below;
  /** How long an adapter's bytes take to come into memory. */
  readonly read: { readonly ms: Delay } | { readonly steps: Delay };
  /** Milliseconds in which a page of an adapter is written to the device, between two steps. */
  readonly writeMsPerPage: number;
}

/** The same from everywhere, or by the place that is read. */
export type Delay = number | { readonly disk: number; readonly origin: number };

/** The budgets of memory and disk in bytes, and what an adapter takes of them. */
export interface Below {
  readonly heapBytes: number;
  /** 0: there is no disk. */
  readonly diskBytes: number;
  readonly bytes: (adapter: string) => number;
  readonly stored: (adapter: string) => number;
}

const ALL_FITS: Below = { heapBytes: Number.MAX_SAFE_INTEGER, diskBytes: 0, bytes: () => 1, stored: () => 1 };

/** When requests come: at their `at` in milliseconds, or in steps; or so many at once (default 1) as soon as fewer than `waiting` wait. */
export type Pace = 'ms' | 'steps' | { readonly waiting: number; readonly wave?: number };

export interface Run {
  readonly trace: readonly Arrival[];
  readonly pace: Pace;
  readonly policy: Policy;
  /** Milliseconds from arrival in which the first token has to come, or the request is given up. */
  readonly deadlineMs?: number;
  /** Weights of tenants; default 1. */
  readonly weights?: Readonly<Record<string, number>>;
  readonly beginnings?: 'shared' | 'own';
  /** Parts of the engine that others stand in for. */
  readonly variant?: (machine: Machine) => CoreVariant;
  /** Told of every step after it was scheduled. */
  readonly onStep?: (step: Step) => void;
}

export interface Step {
  readonly now: number;
  readonly work: readonly Work[];
  /** The tenants who have requests waiting. */
  readonly waiting: ReadonlySet<string>;
}

/** What became of a request. Milliseconds of virtual time. */
export interface Outcome {
  readonly arrival: number;
  firstToken: number | undefined;
  ended: number | undefined;
  end: 'finished' | 'expired' | 'unfit' | undefined;
}

/** What came into a tier, what made room, and what lies there at the end. */
export interface TierCounts {
  readonly loads: number;
  readonly evictions: number;
  /** Of the GPU: pages of the pool. */
  readonly bytes: number;
}

export interface Tiers {
  readonly gpu: TierCounts;
  readonly heap: TierCounts;
  readonly disk: TierCounts;
  /** How often an adapter was read, by where it was read from. */
  readonly reads: { readonly disk: number; readonly origin: number };
}

export interface Result {
  readonly outcomes: readonly Outcome[];
  readonly ms: number;
  readonly steps: number;
  readonly tokens: number;
  /** Of the GPU; see `tiers` for the others. */
  readonly loads: number;
  readonly evictions: number;
  readonly tiers: Tiers;
  readonly preemptions: number;
  /** The adapters of requests in the order in which they began to run. */
  readonly uses: readonly string[];
  /** Milliseconds of JS that each step's decisions took, on the clock of the wall. */
  readonly decisionMs: readonly number[];
}

interface Flight {
  readonly work: readonly Work[];
  readonly load: StepLoad;
  readonly ms: number;
  readonly end: number;
}

function coreOf(machine: Machine, run: Run, cost: CostEstimate, moved: CoreParts['moved']): Core {
  const { limits, pages, slots, below = ALL_FITS } = machine;
  const { heapBytes, diskBytes } = below;
  const parts: CoreParts = {
    ...{ limits, pages, slots, heapBytes, diskBytes, cost, moved },
    beginnings: run.beginnings ?? 'own',
    tenantWeight: (tenant) => run.weights?.[tenant] ?? 1,
    flowWeight: () => 1,
  };
  return createPolicy(run.policy, parts, run.variant?.(machine));
}

/** Runs a trace through the engine's own decisions on a device that is only a price list. The same run gives the same result. */
export function simulate(machine: Machine, run: Run): Result {
  const estimate = machine.estimate();
  const below = machine.below ?? ALL_FITS;
  const moves = createMoves();
  const core = coreOf(machine, run, estimate, moves.note);
  const events = createEvents(run.trace, run.pace, machine.read);
  const ledger = createLedger(core, run);
  const flights: Flight[] = [];
  const decisionMs: number[] = [];
  let now = 0;
  let deviceFree = 0;
  let steps = 0;

  const factsOf = (adapter: string): AdapterFacts => {
    return { digest: adapter, pages: machine.adapterPages(adapter), bytes: below.bytes(adapter), stored: below.stored(adapter) };
  };
  const decide = () => {
    const began = performance.now();
    const { write, read } = core.traffic.turn(now);
    for (const { content } of write) core.traffic.written(content);
    const turn = core.scheduler.schedule(now, machine.depth);
    decisionMs.push(performance.now() - began);
    moves.begin(write, read);
    return { write, read, ...turn };
  };
  for (;;) {
    const due = events.due(now, steps, core.queue.size);
    for (const { content, from } of due.read) core.traffic.arrived(content, factsOf(content), from);
    for (const arrival of due.arrivals) ledger.add(arrival, now);
    const turn = decide();
    for (const reading of turn.read) events.read(reading, now, steps);
    for (const { placement } of turn.write) deviceFree = Math.max(deviceFree, now) + placement.pages * machine.writeMsPerPage;
    ledger.note(turn, now);
    steps += 1;
    if (turn.work.length > 0) {
      const ms = machine.stepMs(turn.load);
      deviceFree = Math.max(deviceFree, now) + ms;
      flights.push({ work: turn.work, load: turn.load, ms, end: deviceFree });
    }
    if (flights.length >= machine.depth || (turn.work.length === 0 && flights.length > 0)) {
      const { work, load, ms, end } = flights.shift()!;
      now = Math.max(now, end);
      estimate.learn(load, ms);
      ledger.commit(work, now);
    } else if (turn.work.length === 0 && turn.expired.length + turn.unfit.length === 0) {
      const next = events.next(now, steps, core.scheduler.nextDeadline());
      if (!next) break;
      ({ now, steps } = next);
    }
  }
  const tiers = moves.result(core);
  return { ...ledger.result(), loads: tiers.gpu.loads, evictions: tiers.gpu.evictions, tiers, ms: now, steps, decisionMs };
}
