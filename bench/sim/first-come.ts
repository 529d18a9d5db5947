import type { WaitQueue } from '../../src/engine/queue.ts';
import type { Sequence } from '../../src/engine/sequence.ts';

/** A queue in order of arrival, whoever waits: what S-LoRA's figures for first come, first served were measured with. */
export function createFirstComeQueue(): WaitQueue<Sequence> {
  const waiting: Sequence[] = [];
  const place = ({ arrival, id }: Sequence): number => {
    let [low, high] = [0, waiting.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = waiting[middle]!;
      if (other.arrival < arrival || (other.arrival === arrival && other.id < id)) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const has = (entry: Sequence): boolean => waiting[place(entry)] === entry;
  return {
    has,
    add: (entry) => void waiting.splice(place(entry), 0, entry),
    remove: (entry) => {
      if (has(entry)) waiting.splice(place(entry), 1);
    },
    get size() {
      return waiting.length;
    },
    pick: (_now, verdict) => {
      const skipped = new Set<string>();
      for (const [i, entry] of waiting.entries()) {
        if (skipped.has(entry.flow)) continue;
        const answer = verdict(entry);
        if (answer === 'stop') return undefined;
        if (answer === 'skip') skipped.add(entry.flow);
        if (answer !== 'admit') continue;
        waiting.splice(i, 1);
        return entry;
      }
      return undefined;
    },
    charge: () => undefined,
    upcoming: (count) => {
      const flows = new Set<string>();
      for (const { flow } of waiting) {
        if (flows.size === count) break;
        if (flow !== '') flows.add(flow);
      }
      return [...flows];
    },
    entries: () => waiting,
    oldest: () => waiting[0]?.arrival,
    remembered: 0,
  };
}
