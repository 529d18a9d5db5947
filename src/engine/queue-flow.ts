import type { Level, Member } from './fairness.ts';
import type { Line, Waiting } from './waiting-line.ts';

/** What becomes of an entry whose turn it is. `later`: the next of its flow is asked; `skip`: nothing of this flow now; `stop`: nothing at all. */
export type Verdict = 'admit' | 'later' | 'skip' | 'stop';

/** What decides whether an entry of a flow is overdue. */
export interface Turns {
  /** When an entry was last admitted because it had been passed over, and when another was since then; in milliseconds. */
  early: number | undefined;
  ordered: number | undefined;
}

/** The entries of one tenant that need the same adapters. */
export interface Flow<T extends Waiting> extends Member, Turns {
  best: T | undefined;
  oldest: T | undefined;
  readonly line: Line<T>;
}

export interface Tenant<T extends Waiting> extends Member {
  /** All entries of all of its flows. */
  readonly line: Line<T>;
  readonly flows: Level<Flow<T>>;
}

/** Whether others of its flow went before an entry for `patience` ms, counted from its arrival or the flow's last such turn. */
export function isOverdue(entry: Waiting, flow: Turns, now: number, patience: number): boolean {
  const { early, ordered } = flow;
  return ordered !== undefined && ordered >= entry.arrival && now - Math.max(entry.arrival, early ?? entry.arrival) >= patience;
}

/** Notes in its flow by which rule an entry is admitted. */
export function noteTurn(entry: Waiting, flow: Turns, now: number, patience: number): void {
  if (isOverdue(entry, flow, now, patience)) {
    flow.early = now;
    flow.ordered = undefined;
  } else {
    flow.ordered = now;
  }
}

/** Asks a flow's entries in order, first the overdue ones, which are its oldest, until one is not put off. */
export function choose<T extends Waiting>(
  flow: Flow<T>,
  now: number,
  patience: number,
  verdict: (entry: T) => Verdict,
): T | 'skip' | 'stop' {
  const { aged, ranked } = flow.line;
  let overdue = 0;
  for (; overdue < aged.length && isOverdue(aged[overdue]!, flow, now, patience); overdue++) {
    const answer = verdict(aged[overdue]!);
    if (answer !== 'later') return answer === 'admit' ? aged[overdue]! : answer;
  }
  for (const entry of ranked) {
    if (overdue > 0 && isOverdue(entry, flow, now, patience)) continue;
    const answer = verdict(entry);
    if (answer !== 'later') return answer === 'admit' ? entry : answer;
  }
  return 'skip';
}
