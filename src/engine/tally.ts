import { WebLoraError } from '../errors.ts';
import { createMeter, type MeterReport } from './meter.ts';
import type { Stats } from './report-types.ts';
import type { Request } from './request.ts';
import type { Work } from './step-budget.ts';

/** Counts and times what the loop does, for `stats()`. Times in milliseconds. */
export interface Tally {
  /** The loop begins, or ends, to have work. */
  busy(now: number): void;
  idle(now: number): void;
  step(work: readonly Work[], ms: number): void;
  token(now: number, request: Request): void;
  overloaded(): void;
  /** Counts a request whose deadline passed, and says so. */
  deadlineExceeded(now: number, request: Request): WebLoraError;
  /** A running mean of what a step takes; 0 before the first. */
  stepMs(): number;
  report(now: number): TallyReport;
}

export type TallyReport = MeterReport &
  Pick<Stats, 'steps' | 'promptRows' | 'decodeRows' | 'tokens' | 'maxBatch' | 'overloaded' | 'deadlineExceeded'>;

export function createTally(): Tally {
  const meter = createMeter();
  const counters = { steps: 0, promptRows: 0, decodeRows: 0, tokens: 0, overloaded: 0, deadlineExceeded: 0 };
  const maxBatch = { rows: 0, sequences: 0, adapters: 0 };

  return {
    busy: meter.begin,
    idle: meter.rest,
    step: (work, ms) => {
      const batch = batchOf(work);
      meter.step(batch, ms);
      counters.steps += 1;
      counters.promptRows += batch.promptRows;
      counters.decodeRows += batch.decodeRows;
      maxBatch.rows = Math.max(maxBatch.rows, batch.promptRows + batch.decodeRows);
      maxBatch.sequences = Math.max(maxBatch.sequences, batch.sequences);
      maxBatch.adapters = Math.max(maxBatch.adapters, batch.adapters);
    },
    token: (now, request) => {
      const { sequence, tokenAt } = request;
      if (tokenAt === undefined) meter.firstToken(now - sequence.arrival);
      else meter.betweenTokens(now - tokenAt);
      request.tokenAt = now;
      counters.tokens += 1;
      meter.tokens(1, now);
    },
    overloaded: () => void (counters.overloaded += 1),
    deadlineExceeded: (now, { sequence: { arrival, deadline } }) => {
      counters.deadlineExceeded += 1;
      const times = `firstTokenDeadlineMs is ${Math.round(1000 * (deadline! - arrival)) / 1000} and it waited ${Math.round(now - arrival)} ms`;
      return new WebLoraError(
        'deadline_exceeded',
        `The first token can no longer come in time: ${times}. Try again when fewer requests wait.`,
      );
    },
    stepMs: meter.stepMs,
    report: (now) => ({ ...counters, maxBatch: { ...maxBatch }, ...meter.report(now) }),
  };
}

function batchOf(work: readonly Work[]): { promptRows: number; decodeRows: number; sequences: number; adapters: number } {
  const adapters = new Set<string>();
  const rows = { prefill: 0, decode: 0 };
  for (const { kind, count, sequence } of work) {
    rows[kind] += count;
    for (const { adapter } of sequence.blend) adapters.add(adapter);
  }
  return { promptRows: rows.prefill, decodeRows: rows.decode, sequences: work.length, adapters: adapters.size };
}
