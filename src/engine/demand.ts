import type { Demand } from '../adapters/cache.ts';
import type { Sequence } from './sequence.ts';

/** Who needs which adapter: what the adapter cache asks before it evicts one. */
export interface AdapterDemand extends Demand {
  /** A sequence begins or ends to wait or to run. */
  count(sequence: Sequence, what: 'waiting' | 'running', change: 1 | -1): void;
  /** The adapters that will be needed next, in order. */
  expect(adapters: readonly string[]): void;
  /** Adapters of running sequences. */
  running(): number;
  /** Of these, how many no running sequence has. */
  fresh(adapters: readonly string[]): number;
  /** The adapters of a flow that somebody waits in. */
  adaptersOf(flow: string): readonly string[];
}

/** Makes a record of an empty engine. Pure. */
export function createDemand(): AdapterDemand {
  const counts = { waiting: new Map<string, number>(), running: new Map<string, number>() };
  const flows = new Map<string, { readonly adapters: readonly string[]; waiting: number }>();
  let places = new Map<string, number>();
  const countFlow = ({ flow, parts }: Sequence, change: 1 | -1): void => {
    const found = flows.get(flow) ?? { adapters: [...new Set(parts.map((part) => part.adapter))], waiting: 0 };
    found.waiting += change;
    if (found.waiting === 0) flows.delete(flow);
    else flows.set(flow, found);
  };
  return {
    count: (sequence, what, change) => {
      const { parts } = sequence;
      if (what === 'waiting') countFlow(sequence, change);
      for (const adapter of new Set(parts.map((part) => part.adapter))) {
        const now = (counts[what].get(adapter) ?? 0) + change;
        if (now === 0) counts[what].delete(adapter);
        else counts[what].set(adapter, now);
      }
    },
    expect: (adapters) => {
      places = new Map([...adapters.entries()].reverse().map(([place, adapter]) => [adapter, place]));
    },
    inUse: (adapter) => counts.running.has(adapter),
    place: (adapter) => (counts.waiting.has(adapter) ? (places.get(adapter) ?? Infinity) : undefined),
    running: () => counts.running.size,
    adaptersOf: (flow) => flows.get(flow)?.adapters ?? [],
    fresh: (adapters) => new Set(adapters.filter((adapter) => !counts.running.has(adapter))).size,
  };
}
