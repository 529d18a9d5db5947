import type { AdapterDemand } from './demand.ts';
import type { Pages } from './pages.ts';
import type { Sequence } from './sequence.ts';

/** The sequences that run, and the rows of the block table that they hold. */
export interface Seats {
  readonly running: ReadonlySet<Sequence>;
  /** Seats a sequence; false where no row is free that it can use. Rows that can adjust are taken last by those who need none. */
  take(sequence: Sequence): boolean;
  /** Takes a sequence off the device; its row and pages may be others' at once, because the queue orders later writes. */
  leave(sequence: Sequence): void;
  /** Of those who are ready, at most `places`: everyone, or those whose last turn lies furthest back. */
  choose(ready: readonly Sequence[], places: number): readonly Sequence[];
}

/** `adjustRows`: as in the scheduler's limits. */
export function createSeats(sequences: number, adjustRows: number, pages: Pages, demand: AdapterDemand): Seats {
  const running = new Set<Sequence>();
  const taken = new Uint8Array(sequences);
  const lastTurn = new Map<Sequence, number>();
  let turn = 0;
  return {
    running,
    take: (sequence) => {
      const plain = sequence.slots === 'any' ? taken.indexOf(0, adjustRows) : -1;
      const row = plain < 0 ? taken.indexOf(0) : plain;
      if (row < 0 || (sequence.slots === 'adjusted' && row >= adjustRows)) return false;
      taken[row] = 1;
      sequence.row = row;
      running.add(sequence);
      lastTurn.set(sequence, turn); // newcomers are behind those who had no turn for longer
      demand.count(sequence, 'running', 1);
      return true;
    },
    leave: (sequence) => {
      running.delete(sequence);
      lastTurn.delete(sequence);
      demand.count(sequence, 'running', -1);
      taken[sequence.row!] = 0;
      pages.give(sequence.pages.slice(sequence.gone));
      Object.assign(sequence, { row: undefined, pages: [], gone: 0, computed: 0, settled: 0, shared: 0, offered: 0 });
    },
    choose: (ready, places) => {
      turn += 1;
      const age = (sequence: Sequence): number => lastTurn.get(sequence)!;
      const chosen = ready.length <= places ? ready : [...ready].sort((a, b) => age(a) - age(b)).slice(0, places);
      for (const sequence of chosen) lastTurn.set(sequence, turn);
      return chosen;
    },
  };
}
