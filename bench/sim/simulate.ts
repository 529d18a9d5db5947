import type { CostEstimate, StepLoad } from '../../src/engine/cost.ts';
import type { Core } from '../../src/engine/core.ts';
import type { SchedulerLimits, Turn } from '../../src/engine/scheduler.ts';
import { createSequence, type Sequence } from '../../src/engine/sequence.ts';
import type { Work } from '../../src/engine/step-budget.ts';
import { createEvents } from './events.ts';
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
  /** How long an adapter's bytes take to come into memory, where they stay. */
  readonly read: { readonly ms: number } | { readonly steps: number };
  /** Milliseconds in which a page of an adapter is written to the device, between two steps. */
  readonly writeMsPerPage: number;
}

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

export interface Result {
  readonly outcomes: readonly Outcome[];
  readonly ms: number;
  readonly steps: number;
  readonly tokens: number;
  readonly loads: number;
  readonly evictions: number;
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

/** Runs a trace through the engine's own decisions on a device that is only a price list. The same run gives the same result. */
export function simulate(machine: Machine, run: Run): Result {
  const estimate = machine.estimate();
  const core = createPolicy(run.policy, {
    limits: machine.limits,
    pages: machine.pages,
    slots: machine.slots,
    cost: estimate,
    beginnings: run.beginnings ?? 'own',
    tenantWeight: (tenant) => run.weights?.[tenant] ?? 1,
    flowWeight: () => 1,
    evicted: () => undefined,
  });
  const events = createEvents(run.trace, run.pace, machine.read);
  const ledger = createLedger(core, run);
  const flights: Flight[] = [];
  const decisionMs: number[] = [];
  let now = 0;
  let deviceFree = 0;
  let steps = 0;

  const decide = () => {
    const began = performance.now();
    const moves = core.traffic.turn(now);
    const turn = core.scheduler.schedule(now, machine.depth);
    decisionMs.push(performance.now() - began);
    return { ...moves, ...turn };
  };
  for (;;) {
    const due = events.due(now, steps, core.queue.size);
    for (const adapter of due.read) core.traffic.arrived(adapter, { digest: adapter, pages: machine.adapterPages(adapter) });
    for (const arrival of due.arrivals) ledger.add(arrival, now);
    const turn = decide();
    for (const adapter of turn.read) events.read(adapter, now, steps);
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
  return { ...ledger.result(), ms: now, steps, decisionMs };
}

/** Keeps the books of a run. */
function createLedger({ scheduler, traffic, queue }: Core, { trace, deadlineMs, onStep }: Run) {
  const outcomes: Outcome[] = [];
  const uses: string[] = [];
  const isNew = new Set<Sequence>();
  let tokens = 0;
  const end = (sequence: Sequence, how: Outcome['end'], now: number): void => {
    scheduler.finish(sequence);
    isNew.delete(sequence);
    Object.assign(outcomes[sequence.id]!, { ended: now, end: how });
  };
  return {
    add: ({ prompt, answer, adapter, tenant }: Arrival, now: number): void => {
      const id = outcomes.length;
      const sequence = createSequence({
        id,
        prompt: [id, ...new Array<number>(prompt - 1).fill(0)], // no two prompts begin alike
        maxTokens: answer,
        parts: adapter === '' ? [] : [{ adapter, scale: 1 }],
        logits: 'sampled',
        arrival: now,
        tenant,
        deadline: deadlineMs === undefined ? undefined : now + deadlineMs,
      });
      outcomes.push({ arrival: now, firstToken: undefined, ended: undefined, end: undefined });
      isNew.add(sequence);
      scheduler.add(sequence);
    },
    note: ({ work, expired, unfit }: Turn, now: number): void => {
      for (const { sequence } of work) {
        if (isNew.delete(sequence)) for (const { adapter } of sequence.parts) uses.push(adapter);
      }
      for (const sequence of expired) end(sequence, 'expired', now);
      for (const sequence of unfit) end(sequence, 'unfit', now);
      onStep?.({ now, work, waiting: new Set(Array.from(queue.entries(), ({ tenant }) => tenant)) });
    },
    commit: (work: readonly Work[], now: number): void => {
      for (const item of work) {
        const { sequence } = item;
        if (sequence.phase === 'finished') continue;
        scheduler.commit(item, item.samples ? 0 : undefined);
        if (!item.samples) continue;
        tokens += 1;
        outcomes[sequence.id]!.firstToken ??= now;
        if (sequence.generated.length === sequence.maxTokens) end(sequence, 'finished', now);
      }
    },
    result: () => {
      const open = trace.length - outcomes.filter((outcome) => outcome.end !== undefined).length;
      if (open > 0) throw new Error(`The engine came to rest with ${open} of ${trace.length} requests open`);
      return { outcomes, tokens, uses, preemptions: scheduler.counts().preemptions, ...traffic.counts() };
    },
  };
}
