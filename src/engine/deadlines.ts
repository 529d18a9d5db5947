import type { CostEstimate, StepLoad } from './cost.ts';
import { canDecode, knownTokens, prefillLeft, type Sequence } from './sequence.ts';
import { addRows, NO_LOAD, stepBudget, type StepLimits } from './step-budget.ts';

/** First-token deadlines: S-LoRA's early abort, by estimate. Who cannot be in time gives way to who can. */
export interface Deadlines {
  /** Watches a sequence that has a deadline. */
  add(sequence: Sequence): void;
  /** Its first token came, or it ended. */
  remove(sequence: Sequence): void;
  /** Those whose first token cannot come in time: waiting ones by estimate, running ones once it is too late. */
  missed(now: number, running: Iterable<Sequence>): Sequence[];
  /** The earliest deadline; undefined where there is none. */
  next(): number | undefined;
}

/** What the estimate asks of the scheduler. */
export interface DeadlineView {
  /** Whose prompt goes first. */
  order(one: Sequence, other: Sequence): number;
  /** Tokens of it that need not be computed. */
  cachedTokens(sequence: Sequence): number;
}

export function createDeadlines(
  { stepMs, window }: Pick<StepLimits, 'stepMs' | 'window'>,
  cost: CostEstimate,
  { order, cachedTokens }: DeadlineView,
): Deadlines {
  const watched = new Set<Sequence>();
  /** A load with rows of which the last gives a token. */
  const withRows = (load: StepLoad, sequence: Sequence, start: number, count: number): StepLoad =>
    addRows(load, sequence, { start, count, logitRows: 1 }, window);

  /** Milliseconds from admission to the first token of a sequence, beside what runs; a rough bound where that is within `limit`. */
  const createEta = (running: Iterable<Sequence>): ((sequence: Sequence, limit: number) => number) => {
    if (cost.samples === 0) return () => 0;
    const prompts: Sequence[] = [];
    let decodes = NO_LOAD;
    let ahead = NO_LOAD;
    for (const sequence of running) {
      const left = prefillLeft(sequence);
      if (left > 0) {
        prompts.push(sequence);
        ahead = withRows(ahead, sequence, sequence.computed, left);
      } else if (canDecode(sequence, Infinity)) decodes = withRows(decodes, sequence, sequence.computed, 1);
    }
    const decodeMs = decodes.rows > 0 ? cost.of(decodes) : 0;
    const budget = stepBudget(stepMs, decodeMs);
    const share = budget / (budget - decodeMs); // prompts have what decode rows leave of each step
    return (sequence, limit) => {
      const most = cost.of(withRows(ahead, sequence, 0, knownTokens(sequence))) * share;
      if (most <= limit) return most;
      let before = NO_LOAD;
      for (const each of prompts) if (order(each, sequence) < 0) before = withRows(before, each, each.computed, prefillLeft(each));
      const cached = cachedTokens(sequence);
      return cost.of(withRows(before, sequence, cached, knownTokens(sequence) - cached)) * share;
    };
  };

  return {
    add: (sequence) => {
      if (sequence.deadline !== undefined) watched.add(sequence);
    },
    remove: (sequence) => watched.delete(sequence),
    missed: (now, running) => {
      if (watched.size === 0) return [];
      const eta = createEta(running);
      return [...watched].filter((each) => now + (each.phase === 'waiting' ? eta(each, each.deadline! - now) : 0) > each.deadline!);
    },
    next: () => [...watched].reduce<number | undefined>((least, { deadline }) => Math.min(least ?? Infinity, deadline!), undefined),
  };
}
