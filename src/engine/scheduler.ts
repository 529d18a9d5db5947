import type { Pages } from './pages.ts';
import { canDecode, pagesNeeded, prefillLeft } from './sequence.ts';
import type { Sequence } from './sequence.ts';

export interface SchedulerLimits {
  /** Sequences that run at once: rows of the block table. */
  readonly sequences: number;
  /** Rows (tokens) of one step. */
  readonly batchRows: number;
  /** Prompt tokens of one sequence in one step. */
  readonly prefillChunk: number;
  /** Rows of one step whose logits are computed. */
  readonly logitRows: number;
  /** Tokens of prompt and answer together. */
  readonly contextLength: number;
}

/** What the scheduler asks about adapters. */
export interface AdapterView {
  /** Whether it lies on the GPU, ready for the next step. */
  isResident(adapter: string): boolean;
  /**
   * Whether its load found no room in the pool. Nobody passes a sequence that waits for room, else those behind it would take
   * the pages that running sequences give back and the room would never come together. Absent: none waits for room.
   */
  waitsForRoom?(adapter: string): boolean;
}

/** A sequence's rows in one step: positions `start` to `start + count − 1`. */
export interface Work {
  readonly sequence: Sequence;
  readonly start: number;
  readonly count: number;
  readonly kind: 'prefill' | 'decode';
  /** The last row's logits give the next token. */
  readonly samples: boolean;
  /** How many of the last rows need logits. */
  readonly logitRows: number;
}

/** The sequence at which admission stopped for lack of pages. Evicting idle adapters other than its own lets it in. */
export interface Blocked {
  readonly sequence: Sequence;
  /** Pages that must become free. */
  readonly missing: number;
}

/** Decides who runs in each step. Pure: no clock, no GPU; the same calls give the same schedule. */
export interface Scheduler {
  /** Queues a new sequence. Throws `RangeError` where it is not new or could never be admitted. */
  add(sequence: Sequence): void;
  /**
   * Admits whom it can and chooses one step's rows: decode rows first, then prefill chunks. What it returns counts as submitted.
   * `depth`: tokens of one sequence that may be pending. Throws `RangeError` unless `depth` is a positive integer.
   */
  schedule(adapters: AdapterView, depth: number): Work[];
  /** A sampled token came back. Ignored once the sequence is finished; throws `RangeError` where none is pending. */
  commit(sequence: Sequence, token: number): void;
  /** Ends a sequence in any phase and frees its row and pages; tokens still pending are dropped. Again: nothing happens. */
  finish(sequence: Sequence): void;
  counts(): { readonly waiting: number; readonly running: number };
  /** Adapters of waiting sequences, resident or not, in queue order, each once: what to load next. */
  waitingAdapters(): string[];
  /** Adapters of running sequences: these may not be evicted. */
  neededAdapters(): ReadonlySet<string>;
  /** Who waits for pages since the last `schedule`, if anyone. */
  blocked(): Blocked | undefined;
}

/** What is left of a step's budgets. */
interface Budget {
  rows: number;
  logitRows: number;
}

function requirePositive(value: number, name: string): void {
  if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} must be an integer of at least 1; got ${value}.`);
}

/** Lowest-first numbers 0 to `total` − 1 for block-table rows. */
function createRows(total: number): { take(): number | undefined; give(row: number): void } {
  const taken = new Uint8Array(total);
  return {
    take() {
      const row = taken.indexOf(0);
      if (row < 0) return undefined;
      taken[row] = 1;
      return row;
    },
    give(row) {
      taken[row] = 0;
    },
  };
}

function decodeWork(sequence: Sequence): Work {
  const start = sequence.computed;
  sequence.computed += 1;
  sequence.pending += 1;
  return { sequence, start, count: 1, kind: 'decode', samples: true, logitRows: 1 };
}

/** The next chunk of a prompt under the budget, which it uses up; undefined where the budget has no row for it. */
function prefillWork(sequence: Sequence, chunk: number, budget: Budget): Work | undefined {
  const left = prefillLeft(sequence);
  let count = Math.min(left, chunk, budget.rows);
  if (sequence.logits === 'prompt') count = Math.min(count, budget.logitRows);
  else if (count === left && budget.logitRows === 0) count -= 1; // the last row samples: it waits for a step with room for its logits
  if (count <= 0) return undefined;
  const start = sequence.computed;
  const samples = count === left;
  const logitRows = sequence.logits === 'prompt' ? count : samples ? 1 : 0;
  budget.rows -= count;
  budget.logitRows -= logitRows;
  sequence.computed += count;
  if (samples) sequence.pending += 1;
  return { sequence, start, count, kind: 'prefill', samples, logitRows };
}

/** Chooses who decodes: everyone, or, where the budget is too small, those whose last turn lies furthest back. */
function createTurns(): { choose(ready: readonly Sequence[], places: number): readonly Sequence[]; forget(sequence: Sequence): void } {
  const lastTurn = new Map<Sequence, number>();
  let turn = 0;
  return {
    choose(ready, places) {
      turn += 1;
      const age = (sequence: Sequence): number => lastTurn.get(sequence) ?? 0;
      const chosen = ready.length <= places ? ready : [...ready].sort((a, b) => age(a) - age(b)).slice(0, places);
      for (const sequence of chosen) lastTurn.set(sequence, turn);
      return chosen;
    },
    forget(sequence) {
      lastTurn.delete(sequence);
    },
  };
}

function requireAdmissible(sequence: Sequence, limits: SchedulerLimits, totalPages: number): void {
  const { id, prompt, maxTokens } = sequence;
  if (sequence.phase !== 'waiting' || sequence.computed > 0) throw new RangeError(`Sequence ${id} is not new.`);
  if (prompt.length + maxTokens > limits.contextLength) {
    const lengths = `${prompt.length} prompt tokens and ${maxTokens} to generate`;
    throw new RangeError(`Sequence ${id} has ${lengths}; the context has ${limits.contextLength}.`);
  }
  const needed = pagesNeeded(prompt.length, maxTokens);
  if (needed > totalPages) throw new RangeError(`Sequence ${id} needs ${needed} pages; the pool has ${totalPages}.`);
}

/**
 * Makes a scheduler that takes its pages from `pages`. First come, first served: only a sequence whose adapter is not resident
 * is passed by later ones. All pages of a sequence are taken at admission, so nothing is ever preempted.
 * Throws `RangeError` unless every limit is a positive integer.
 */
export function createScheduler(limits: SchedulerLimits, pages: Pages): Scheduler {
  for (const [name, value] of Object.entries(limits)) requirePositive(value, `limits.${name}`);
  const waiting = new Set<Sequence>(); // sets keep the order of arrival and of admission
  const running = new Set<Sequence>();
  const rows = createRows(limits.sequences);
  const turns = createTurns();
  let blocked: Blocked | undefined;

  /** Takes row and pages; notes who is blocked where the pages do not suffice. */
  const place = (sequence: Sequence): 'placed' | 'full' => {
    const row = rows.take();
    if (row === undefined) return 'full';
    const needed = pagesNeeded(sequence.prompt.length, sequence.maxTokens);
    const taken = pages.take(needed);
    if (taken === undefined) {
      rows.give(row);
      const { total, kv, adapters } = pages.counts();
      blocked = { sequence, missing: needed - (total - kv - adapters) };
      return 'full';
    }
    sequence.row = row;
    sequence.pages = taken;
    sequence.phase = 'running';
    waiting.delete(sequence);
    running.add(sequence);
    return 'placed';
  };

  const admit = (adapters: AdapterView): void => {
    blocked = undefined;
    for (const sequence of waiting) {
      if (running.size === limits.sequences) return;
      const { adapter } = sequence;
      if (adapter !== undefined && !adapters.isResident(adapter)) {
        if (adapters.waitsForRoom?.(adapter) === true) return;
        continue;
      }
      if (place(sequence) === 'full') return;
    }
  };

  return {
    add(sequence) {
      requireAdmissible(sequence, limits, pages.counts().total);
      if (waiting.has(sequence)) throw new RangeError(`Sequence ${sequence.id} waits already.`);
      waiting.add(sequence);
    },
    schedule(adapters, depth) {
      requirePositive(depth, 'depth');
      admit(adapters);
      const ready = [...running].filter((sequence) => canDecode(sequence, depth));
      const work = turns.choose(ready, Math.min(limits.batchRows, limits.logitRows)).map(decodeWork);
      const budget = { rows: limits.batchRows - work.length, logitRows: limits.logitRows - work.length };
      for (const sequence of running) {
        const chunk = prefillLeft(sequence) > 0 ? prefillWork(sequence, limits.prefillChunk, budget) : undefined;
        if (chunk !== undefined) work.push(chunk);
      }
      return work;
    },
    commit(sequence, token) {
      if (sequence.phase === 'finished') return;
      if (sequence.pending === 0) throw new RangeError(`Sequence ${sequence.id} has no pending token to commit.`);
      sequence.pending -= 1;
      sequence.generated.push(token);
    },
    finish(sequence) {
      if (sequence.phase === 'finished') return;
      waiting.delete(sequence);
      running.delete(sequence);
      turns.forget(sequence);
      if (blocked?.sequence === sequence) blocked = undefined;
      if (sequence.row !== undefined) rows.give(sequence.row);
      pages.give(sequence.pages);
      sequence.row = undefined;
      sequence.pages = [];
      sequence.phase = 'finished';
    },
    counts: () => ({ waiting: waiting.size, running: running.size }),
    waitingAdapters: () => distinctAdapters(waiting),
    neededAdapters: () => new Set(distinctAdapters(running)),
    blocked: () => blocked,
  };
}

function distinctAdapters(sequences: Iterable<Sequence>): string[] {
  const adapters = new Set<string>();
  for (const { adapter } of sequences) if (adapter !== undefined) adapters.add(adapter);
  return [...adapters];
}
