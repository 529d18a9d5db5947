import { createEvents } from '../../bench/sim/events.ts';
import type { Delay, Pace as Arrivals } from '../../bench/sim/simulate.ts';
import type { Arrival } from '../../bench/sim/workload.ts';
import type { StepLoad } from '../../src/engine/cost.ts';
import type { Pace } from '../../src/engine/pace.ts';

export interface TraceRun {
  readonly trace: readonly Arrival[];
  readonly arrivals: Arrivals;
  /** Steps that a read takes. */
  readonly steps: Delay;
  readonly depth: number;
  /** Milliseconds that a step takes, by the virtual clock. */
  readonly stepMs: (load: StepLoad) => number;
  /** Requests that wait; and a request comes. */
  readonly waiting: () => number;
  readonly come: (arrival: Arrival) => void;
  /** Nothing runs and nothing will come. */
  readonly rested: () => void;
}

/** Milliseconds after which bytes that are due and did not come are an error. */
const LOST_MS = 30_000;

const nextTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/** A pace by which an engine runs a trace step by step, as the simulator does: bytes are there at the step that says so, not when they are. */
export function tracePace(run: TraceRun): Pace {
  const events = createEvents(run.trace, run.arrivals, { steps: run.steps });
  const ready = new Map<string, () => void>();
  const awaited = new Map<string, (deliver: () => void) => void>();
  const ends: number[] = [];
  let now = 0;
  let deviceFree = 0;
  let steps = 0;

  const bytesOf = async (content: string): Promise<() => void> => {
    const there = ready.get(content);
    ready.delete(content);
    if (there) return there;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${content} was to be there at step ${steps}, and never came`)), LOST_MS);
      awaited.set(content, (deliver) => {
        clearTimeout(timer);
        resolve(deliver);
      });
    });
  };
  return {
    now: () => now,
    depth: () => run.depth,
    uploadMs: Infinity,
    before: async () => {
      const due = events.due(now, steps, run.waiting());
      for (const { content } of due.read) {
        const deliver = await bytesOf(content);
        deliver();
      }
      if (due.read.length > 0) await nextTurn(); // who waited for them goes on first
      for (const arrival of due.arrivals) run.come(arrival);
    },
    decided: (reads, load) => {
      for (const reading of reads) events.read(reading, now, steps);
      steps += 1;
      if (!load) return;
      deviceFree = Math.max(deviceFree, now) + run.stepMs(load);
      ends.push(deviceFree);
    },
    returned: () => void (now = Math.max(now, ends.shift()!)),
    read: (content, deliver) => {
      const waiter = awaited.get(content);
      awaited.delete(content);
      if (waiter) waiter(deliver);
      else ready.set(content, deliver);
    },
    idle: () => {
      const next = events.next(now, steps, undefined);
      if (next) ({ now, steps } = next);
      else run.rested();
      return next ? 'again' : 'rest';
    },
  };
}
