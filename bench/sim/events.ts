import type { Reading } from '../../src/engine/traffic.ts';
import type { Delay, Machine, Pace } from './simulate.ts';
import type { Arrival } from './workload.ts';

/** What comes from outside, and when. */
export interface Events {
  /** Requests and bytes that are there at this time, at the beginning of this step, while so many requests wait. Given once. */
  due(now: number, step: number, waiting: number): { readonly arrivals: readonly Arrival[]; readonly read: readonly Reading[] };
  /** Something begins to be read. */
  read(reading: Reading, now: number, step: number): void;
  /** Where nothing runs: the time and step at which something comes; undefined where nothing ever will. */
  next(now: number, step: number, deadline: number | undefined): { readonly now: number; readonly steps: number } | undefined;
}

const delayOf = (delay: Delay, from: Reading['from']): number => (typeof delay === 'number' ? delay : delay[from]);

/** Makes the events of a trace. Of reads that are there at the same time the one that began first comes first. */
export function createEvents(trace: readonly Arrival[], pace: Pace, read: Machine['read']): Events {
  const reads: { readonly reading: Reading; readonly at: number }[] = [];
  let arrived = 0;
  /** How many requests of the trace have come by now. */
  const comeBy = (now: number, step: number, waiting: number): number => {
    if (typeof pace === 'object') {
      const { wave = 1 } = pace;
      return arrived + Math.max(0, Math.ceil((pace.waiting - waiting) / wave)) * wave;
    }
    let count = arrived;
    while (count < trace.length && trace[count]!.at <= (pace === 'ms' ? now : step)) count++;
    return count;
  };
  return {
    due: (now, step, waiting) => {
      const arrivals = trace.slice(arrived, comeBy(now, step, waiting));
      arrived += arrivals.length;
      const clock = 'ms' in read ? now : step;
      const done = reads.findIndex(({ at }) => at > clock);
      return { arrivals, read: reads.splice(0, done < 0 ? reads.length : done).map(({ reading }) => reading) };
    },
    read: (reading, now, step) => {
      const at = 'ms' in read ? now + delayOf(read.ms, reading.from) : step + delayOf(read.steps, reading.from);
      const behind = reads.findIndex((other) => other.at > at);
      reads.splice(behind < 0 ? reads.length : behind, 0, { reading, at });
    },
    next: (now, step, deadline) => {
      const times = deadline === undefined || deadline < now ? [] : [Math.max(deadline, now) + 1];
      const steps: number[] = [];
      if (reads.length > 0) ('ms' in read ? times : steps).push(reads[0]!.at);
      if (arrived < trace.length && typeof pace === 'string') (pace === 'ms' ? times : steps).push(trace[arrived]!.at);
      if (times.length + steps.length === 0) return undefined;
      // a step in which nothing runs takes no time
      if (steps.length > 0) return { now, steps: Math.max(step, Math.min(...steps)) };
      return { now: Math.max(now, Math.min(...times)), steps: step };
    },
  };
}
