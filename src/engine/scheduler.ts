import { PAGE_TOKENS } from '../kernels/step-layout.ts';
import { createAdmission, type AdmissionParts } from './admission.ts';
import type { CostEstimate, StepLoad } from './cost.ts';
import { createDeadlines } from './deadlines.ts';
import { createSeats } from './seats.ts';
import { canDecode, knownTokens, prefillLeft, tokensOf, type Sequence } from './sequence.ts';
import { createStepBudget, LEAST_CHUNK, placesLeft, type StepLimits, type Work } from './step-budget.ts';
import { firstPage, GONE } from './window.ts';

export interface SchedulerLimits extends StepLimits {
  /** Sequences that run at once: rows of the block table. */
  readonly sequences: number;
  /** Distinct adapters of running sequences. */
  readonly adapters: number;
  /** Tokens of prompt and answer together. */
  readonly contextLength: number;
  /** Rows of the block table for whose sequences the sampler can adjust logits. */
  readonly adjustRows: number;
}

export interface SchedulerParts extends AdmissionParts {
  readonly limits: SchedulerLimits;
  readonly cost: CostEstimate;
}

/** What a call of `schedule` decided. */
export interface Turn {
  readonly work: readonly Work[];
  readonly load: StepLoad;
  /** Sequences whose deadline cannot be met, and those that the pool can never hold: they are finished. */
  readonly expired: readonly Sequence[];
  readonly unfit: readonly Sequence[];
  /** Their pages were taken for others; they wait to compute again. */
  readonly preempted: readonly Sequence[];
}

/** Decides who runs in each step. Pure: no clock, no GPU; the same calls give the same schedule. */
export interface Scheduler {
  /** Queues a new sequence. Throws `RangeError` where it is not new, is longer than the context, or needs a row that there is not. */
  add(sequence: Sequence): void;
  /**
   * Admits whom it can and chooses one step's rows: decode rows first, then prefill chunks. What it returns counts as submitted.
   * `depth`: tokens of one sequence that may be pending. Throws `RangeError` unless `depth` is a positive integer.
   */
  schedule(now: number, depth: number): Turn;
  /** Work came back, in the order of its steps, with the token it sampled if one. Ignored once the sequence is finished. */
  commit(work: Work, token: number | undefined): void;
  /** Ends a sequence in any phase and frees its row and pages; tokens still pending are dropped. Again: nothing happens. */
  finish(sequence: Sequence): void;
  /** The same for one whose numbers were wrong: nobody shares what it computed. */
  discard(sequence: Sequence): void;
  /** The device is gone with all pages: everyone who ran waits, to go on from what came back. */
  reset(): void;
  /** The earliest deadline of a sequence without a token; undefined where there is none. */
  nextDeadline(): number | undefined;
  counts(): SchedulerCounts;
}

export interface SchedulerCounts {
  readonly waiting: number;
  readonly running: number;
  readonly preemptions: number;
  /** Prompt tokens looked up among computed beginnings, and found. */
  readonly prefix: { readonly lookedUp: number; readonly found: number };
}

/** What a turn finds out on the way. */
interface Noted {
  readonly unfit: Sequence[];
  readonly preempted: Sequence[];
}

/** More urgent first: by priority, then by arrival. An order that no preemption changes, so the first always gets on. */
function byUrgency(a: Sequence, b: Sequence): number {
  return a.priority - b.priority || a.arrival - b.arrival || a.id - b.id;
}

function requireAdmissible(sequence: Sequence, { contextLength, adjustRows }: SchedulerLimits): void {
  const { id, phase, admissions, prompt, maxTokens, slots } = sequence;
  if (phase !== 'waiting' || admissions > 0) throw new RangeError(`Sequence ${id} is not new.`);
  if (prompt.length + maxTokens > contextLength) {
    const lengths = `${prompt.length} prompt tokens and ${maxTokens} to generate`;
    throw new RangeError(`Sequence ${id} has ${lengths}; the context has ${contextLength}.`);
  }
  if (slots === 'adjusted' && adjustRows === 0) throw new RangeError(`Sequence ${id} needs adjusted logits; no row has them.`);
}

/**
 * Makes a scheduler. Pages are taken when a sequence is admitted (its prompt's) and as its answer grows; where none can be made free, the
 * least urgent sequence gives up its own and computes again later (Kwon et al., "PagedAttention", 2023).
 */
export function createScheduler(parts: SchedulerParts): Scheduler {
  const { limits, pages, prefix, queue, cost, room, demand, adapters } = parts;
  const seats = createSeats(limits.sequences, limits.adjustRows, pages, demand);
  const { running } = seats;
  const admission = createAdmission(parts, seats);
  const deadlines = createDeadlines(limits, cost, { order: byUrgency, cachedTokens: admission.cachedTokens });
  const draining = new Set<Sequence>();
  let preemptions = 0;

  const enqueue = (sequence: Sequence): void => {
    sequence.phase = 'waiting';
    sequence.target = knownTokens(sequence);
    queue.add(sequence);
    demand.count(sequence, 'waiting', 1);
  };
  const preempt = (sequence: Sequence): void => {
    seats.leave(sequence);
    preemptions += 1;
    if (sequence.pending === 0) return enqueue(sequence);
    sequence.phase = 'draining';
    draining.add(sequence);
  };
  /** Gives back the pages that no row still to come reads. Not before their step has come back: until then nobody can share them. */
  const giveBack = (sequence: Sequence): void => {
    const { computed, settled, pages: own } = sequence;
    const upTo = Math.min(firstPage(computed, limits.window), Math.floor(settled / PAGE_TOKENS));
    if (upTo <= sequence.gone) return;
    pages.give(own.slice(sequence.gone, upTo));
    sequence.pages = own.fill(GONE, sequence.gone, upTo);
    sequence.gone = upTo;
  };
  /** Whether it will give pages back once the steps come back that it is in. */
  const isToGiveBack = ({ computed, gone }: Sequence): boolean => firstPage(computed, limits.window) > gone;
  /** Finds the page of the next row, preempting who is less urgent; what it could not do is noted in the turn. */
  const ensurePage = (sequence: Sequence, { unfit, preempted }: Noted): boolean => {
    while (placesLeft(sequence) <= 0) {
      if (room.pages(1, -1)) {
        sequence.pages.push(...pages.take(1)!);
        continue;
      }
      if (isToGiveBack(sequence)) return false;
      const victim = [...running].sort(byUrgency).at(-1)!;
      if (running.size === 1) {
        if (!adapters.isUploading()) unfit.push(sequence); // once they are written they may leave
        return false;
      }
      preempt(victim);
      preempted.push(victim);
      if (victim === sequence) return false;
    }
    return true;
  };
  const prompted = (): Sequence[] => [...running].filter((sequence) => prefillLeft(sequence) > 0).sort(byUrgency);
  /** Finds pages for the next chunk of each prompt: where the model has windows, they are taken as others fall out of these. */
  const extendPrompts = (turn: Noted): void => {
    for (const sequence of prompted()) {
      if (sequence.phase !== 'running' || !ensurePage(sequence, turn)) continue;
      const wanted = Math.min(prefillLeft(sequence), limits.prefillChunk);
      while (placesLeft(sequence) < wanted && room.pages(1, undefined)) sequence.pages.push(...pages.take(1)!);
    }
  };
  /** Whose turn it is, each with a page for its next row. */
  const chooseDecodes = (depth: number, turn: Noted): Sequence[] => {
    // streams never fill a step: a prompt goes on beside them, and its last row needs logits
    const isPrompted = prompted().some((sequence) => placesLeft(sequence) > 0);
    const rows = Math.min(limits.batchRows - (isPrompted ? LEAST_CHUNK : 0), limits.logitRows - (isPrompted ? 1 : 0));
    const places = Math.max(1, rows);
    let chosen: Sequence[] = [];
    let rest = [...running].filter((sequence) => canDecode(sequence, depth));
    while (rest.length > 0 && chosen.length < places) {
      const next = new Set(seats.choose(rest, places - chosen.length));
      for (const sequence of [...next].sort(byUrgency)) {
        if (sequence.phase === 'running' && ensurePage(sequence, turn)) chosen.push(sequence);
      }
      chosen = chosen.filter(({ phase }) => phase === 'running'); // a later one may have needed an earlier one's pages
      rest = rest.filter((sequence) => sequence.phase === 'running' && !next.has(sequence));
    }
    return chosen.sort(byUrgency);
  };
  const chooseWork = (depth: number, turn: Noted): Pick<Turn, 'work' | 'load'> => {
    const budget = createStepBudget(limits, cost);
    extendPrompts(turn);
    const work: Work[] = chooseDecodes(depth, turn).map(budget.decode);
    for (const sequence of prompted()) {
      const chunk = budget.prefill(sequence);
      if (chunk) work.push(chunk);
    }
    for (const { sequence } of work) for (const { adapter } of sequence.blend) adapters.touch(adapter);
    return { work, load: budget.load() };
  };

  const settle = (sequence: Sequence, positions: number): void => {
    sequence.settled = positions;
    const full = Math.floor(positions / PAGE_TOKENS);
    if (!prefix || full <= sequence.offered) return;
    prefix.keep(sequence.root, tokensOf(sequence, 0, full * PAGE_TOKENS), sequence.pages, sequence.offered, full);
    sequence.offered = full;
  };
  const finish = (sequence: Sequence): void => {
    if (sequence.phase === 'finished') return;
    if (sequence.phase === 'running') seats.leave(sequence);
    if (queue.has(sequence)) {
      queue.remove(sequence);
      demand.count(sequence, 'waiting', -1);
    }
    draining.delete(sequence);
    deadlines.remove(sequence);
    sequence.phase = 'finished';
  };

  return {
    add: (sequence) => {
      requireAdmissible(sequence, limits);
      enqueue(sequence);
      deadlines.add(sequence);
    },
    schedule: (now, depth) => {
      if (!Number.isSafeInteger(depth) || depth < 1) throw new RangeError(`depth must be an integer of at least 1; got ${depth}.`);
      const expired = deadlines.missed(now, running);
      expired.forEach(finish); // before others are admitted: what they held is free at once
      running.forEach(giveBack);
      const unfit = admission.admit(now);
      const preempted: Sequence[] = [];
      const chosen = chooseWork(depth, { unfit, preempted });
      unfit.forEach(finish);
      return { expired, unfit, preempted, ...chosen };
    },
    commit: (work, token) => {
      const { sequence } = work;
      if (sequence.phase === 'finished') return;
      if (work.samples) {
        if (sequence.pending === 0) throw new RangeError(`Sequence ${sequence.id} has no pending token to commit.`);
        sequence.pending -= 1;
      }
      if (token !== undefined) {
        deadlines.remove(sequence);
        sequence.generated.push(token);
        queue.charge(sequence.tenant, sequence.flow, 2);
      }
      if (sequence.phase === 'running' && work.admission === sequence.admissions) settle(sequence, work.start + work.count);
      if (sequence.phase === 'draining' && sequence.pending === 0) {
        draining.delete(sequence);
        enqueue(sequence);
      }
    },
    finish,
    discard: (sequence) => {
      // those it shared too, and those of earlier admissions: it may have been handed its own wrong numbers
      prefix?.forgetText(sequence.root, tokensOf(sequence, 0, knownTokens(sequence)));
      finish(sequence);
    },
    reset: () => {
      const all = [...running, ...draining].sort(byUrgency);
      for (const sequence of running) seats.leave(sequence);
      draining.clear();
      prefix?.clear();
      for (const sequence of all) {
        sequence.pending = 0;
        enqueue(sequence);
      }
    },
    nextDeadline: deadlines.next,
    counts: () => ({
      waiting: queue.size + draining.size,
      running: running.size,
      preemptions,
      prefix: { ...admission.prefix },
    }),
  };
}
