import { describe, expect, test } from 'vitest';
import { createPages } from '../../src/engine/pages.ts';
import type { Pages } from '../../src/engine/pages.ts';
import { createScheduler } from '../../src/engine/scheduler.ts';
import type { AdapterView, Scheduler, SchedulerLimits, Work } from '../../src/engine/scheduler.ts';
import { canDecode, createSequence, pagesNeeded, prefillLeft } from '../../src/engine/sequence.ts';
import type { Sequence } from '../../src/engine/sequence.ts';

interface Random {
  below(limit: number): number;
  chance(probability: number): boolean;
}

function createRandom(seed: number): Random {
  let state = (seed * 2654435769) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { below: (limit) => Math.floor(next() * limit), chance: (probability) => next() < probability };
}

/** A random engine around one scheduler: what is in flight, what is resident, and what the invariants need to remember. */
interface History {
  readonly random: Random;
  readonly limits: SchedulerLimits;
  readonly pages: Pages;
  readonly scheduler: Scheduler;
  readonly all: Sequence[];
  readonly resident: Map<string, { readonly first: number; readonly count: number }>;
  readonly flights: Work[][];
  /** Position that each sequence must compute next. */
  readonly next: Map<Sequence, number>;
  /** Steps since a sequence that could decode did. */
  readonly idle: Map<Sequence, number>;
  readonly finishes: Map<Sequence, number>;
  readonly trace: string[];
}

function createHistory(seed: number): History {
  const random = createRandom(seed);
  const one = (limit: number): number => 1 + random.below(limit);
  const limits = { sequences: one(6), batchRows: one(12), prefillChunk: one(9), logitRows: one(10), contextLength: 64 };
  const pages = createPages(4 + random.below(10));
  const scheduler = createScheduler(limits, pages);
  const [resident, next, idle, finishes] = [new Map(), new Map(), new Map(), new Map()];
  return { random, limits, pages, scheduler, all: [], resident, flights: [], next, idle, finishes, trace: [] };
}

function arrive({ random, scheduler, all, next }: History): void {
  const prompt = 1 + random.below(random.chance(0.2) ? 50 : 12);
  const maxTokens = 1 + random.below(Math.min(14, 64 - prompt));
  const adapter = random.chance(0.3) ? undefined : `adapter ${random.below(5)}`;
  const tokens = Array.from({ length: prompt }, (_, index) => index);
  const logits = random.chance(0.25) ? 'prompt' : 'sampled';
  const sequence = createSequence({ id: all.length, prompt: tokens, maxTokens, adapter, logits });
  scheduler.add(sequence);
  all.push(sequence);
  next.set(sequence, 0);
}

function finish({ scheduler, finishes }: History, sequence: Sequence): void {
  if (sequence.phase !== 'finished') finishes.set(sequence, (finishes.get(sequence) ?? 0) + 1);
  scheduler.finish(sequence);
}

/** Loads and evicts as the load asks: needed adapters stay. */
function moveAdapters({ random, scheduler, pages, resident }: History): void {
  const needed = scheduler.neededAdapters();
  for (const [adapter, { first, count }] of resident) {
    if (needed.has(adapter) || !random.chance(0.2)) continue;
    pages.giveRun(first, count);
    resident.delete(adapter);
  }
  const wanted = scheduler.waitingAdapters().find((adapter) => !resident.has(adapter));
  if (wanted === undefined || !random.chance(0.5)) return;
  const count = 1 + random.below(3);
  const first = pages.takeRun(count);
  if (first !== undefined) resident.set(wanted, { first, count });
}

/** Vitest's `expect` costs too much for millions of checks. */
function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

function checkWork({ limits, next }: History, work: readonly Work[], depth: number): void {
  const sum = (value: (each: Work) => number): number => work.reduce((total, each) => total + value(each), 0);
  check(sum((each) => each.count) <= limits.batchRows, 'more rows than a step has');
  check(sum((each) => each.logitRows) <= limits.logitRows, 'more logit rows than a step has');
  check(new Set(work.map((each) => each.sequence)).size === work.length, 'a sequence twice in one step');
  for (const { sequence, start, count, kind, samples, logitRows } of work) {
    const prompt = sequence.prompt.length;
    check(sequence.phase === 'running', 'work for a sequence that does not run');
    check(start === next.get(sequence), 'a position skipped or computed twice');
    next.set(sequence, start + count);
    check(sequence.computed === start + count, 'computed does not follow the work');
    check(kind === (start < prompt ? 'prefill' : 'decode'), 'wrong kind');
    check(count >= 1 && count <= (kind === 'decode' ? 1 : Math.min(limits.prefillChunk, prompt - start)), 'wrong count');
    check(samples === start + count >= prompt, 'wrong samples');
    check(logitRows === (sequence.logits === 'prompt' || kind === 'decode' ? count : Number(samples)), 'wrong logit rows');
    check(start + count <= sequence.pages.length * 16, 'a position outside the pages');
    check(sequence.pending <= depth, 'deeper than asked');
    check(sequence.computed < prompt + sequence.maxTokens, 'more than maxTokens');
  }
}

function checkTurns({ limits, idle }: History, work: readonly Work[], ready: readonly Sequence[]): void {
  const decoded = new Set(work.filter((each) => each.kind === 'decode').map((each) => each.sequence));
  const places = Math.min(limits.batchRows, limits.logitRows);
  check(decoded.size === Math.min(ready.length, places), 'a decode row waits without cause');
  for (const sequence of ready) {
    const waited = decoded.has(sequence) ? 0 : (idle.get(sequence) ?? 0) + 1;
    idle.set(sequence, waited);
    check(waited < Math.ceil(limits.sequences / places), 'a sequence misses its turn');
  }
}

function checkPlaces({ all, limits, pages, scheduler, resident }: History): void {
  const running = all.filter((sequence) => sequence.phase === 'running');
  const rows = new Set(running.map((sequence) => sequence.row!));
  check(rows.size === running.length, 'a row shared');
  for (const row of rows) check(row >= 0 && row < limits.sequences, 'a row that does not exist');
  const owned = [...resident.values()].flatMap(({ first, count }) => Array.from({ length: count }, (_, index) => first + index));
  const adapterPages = owned.length;
  for (const sequence of all) {
    const admitted = sequence.phase === 'running';
    const needed = admitted ? pagesNeeded(sequence.prompt.length, sequence.maxTokens) : 0;
    check(sequence.pages.length === needed && (sequence.row !== undefined) === admitted, 'pages or row do not fit the phase');
    owned.push(...sequence.pages);
  }
  const { total, kv, adapters } = pages.counts();
  check(new Set(owned).size === owned.length, 'a page shared');
  check(
    owned.every((page) => page >= 0 && page < total),
    'a page that does not exist',
  );
  check(adapters === adapterPages && kv === owned.length - adapterPages, 'a page lost');
  const waiting = all.filter((sequence) => sequence.phase === 'waiting').length;
  check(scheduler.counts().waiting === waiting && scheduler.counts().running === running.length, 'wrong counts');
}

/** First come, first served among those whose adapter is resident, and nobody waits without cause. */
function checkAdmission({ limits, pages, scheduler }: History, adapters: AdapterView, waited: readonly Sequence[]): void {
  const allowed = waited.filter(({ adapter }) => adapter === undefined || adapters.isResident(adapter));
  const admitted = waited.filter((sequence) => sequence.phase === 'running');
  check(
    admitted.every((sequence, index) => sequence === allowed[index]),
    'a sequence passed another',
  );
  const head = allowed[admitted.length];
  if (head === undefined) return check(scheduler.blocked() === undefined, 'blocked, and nobody waits');
  if (scheduler.counts().running === limits.sequences) return;
  const { total, kv, adapters: held } = pages.counts();
  const missing = pagesNeeded(head.prompt.length, head.maxTokens) - (total - kv - held);
  check(missing > 0, 'a sequence waits without cause');
  check(scheduler.blocked()?.sequence === head && scheduler.blocked()?.missing === missing, 'wrong blocked');
}

function step(history: History, adapters: AdapterView, depth: number): void {
  const { all, scheduler, flights, trace } = history;
  const waited = all.filter((sequence) => sequence.phase === 'waiting');
  const ready = all.filter((sequence) => canDecode(sequence, depth));
  const work = scheduler.schedule(adapters, depth);
  checkWork(history, work, depth);
  checkTurns(history, work, ready);
  checkPlaces(history);
  checkAdmission(history, adapters, waited);
  trace.push(work.map((each) => `${each.sequence.id}@${each.sequence.row}:${each.start}+${each.count}/${each.logitRows}`).join(' '));
  flights.push([...work]);
}

/** The oldest step's tokens come back; a token may end its sequence, and what comes after the end is ignored. */
function commitOldest(history: History, endProbability: number): void {
  for (const { sequence, samples } of history.flights.shift() ?? []) {
    if (!samples) continue;
    const before = sequence.generated.length;
    const live = sequence.phase === 'running';
    history.scheduler.commit(sequence, 1000 + before);
    check(sequence.generated.length === before + Number(live), 'a token lost, or given to a finished sequence');
    if (live && (sequence.generated.length === sequence.maxTokens || history.random.chance(endProbability))) finish(history, sequence);
  }
}

/** Everyone's adapter is resident and nobody new comes: each one is admitted before those ahead of it could have used up their rows. */
function drain(history: History): void {
  const { all, scheduler, resident, pages, flights } = history;
  for (const { first, count } of resident.values()) pages.giveRun(first, count);
  resident.clear();
  while (flights.length > 0) commitOldest(history, 0);
  const rowsLeft = (sequence: Sequence): number => prefillLeft(sequence) + sequence.maxTokens - sequence.generated.length;
  const open = all.filter((sequence) => sequence.phase !== 'finished');
  let bound = 1;
  const deadline = new Map<Sequence, number>();
  for (const phase of ['running', 'waiting']) {
    for (const sequence of open.filter((each) => each.phase === phase)) {
      deadline.set(sequence, bound);
      bound += rowsLeft(sequence);
    }
  }
  for (let steps = 0; scheduler.counts().waiting + scheduler.counts().running > 0; steps++) {
    check(steps < bound, 'the histories never end');
    for (const sequence of open) check(sequence.phase !== 'waiting' || steps < deadline.get(sequence)!, 'a sequence starves');
    step(history, { isResident: () => true }, 1);
    commitOldest(history, 0);
  }
}

function run(seed: number): readonly string[] {
  const history = createHistory(seed);
  const { random, all, pages, resident, flights, finishes } = history;
  const [arrivals, cancels, ends] = [random.below(8) / 10, random.below(3) / 10, random.below(3) / 10];
  for (let round = 0; round < 24; round++) {
    while (random.chance(arrivals)) arrive(history);
    moveAdapters(history);
    if (all.length > 0 && random.chance(cancels)) finish(history, all[random.below(all.length)]!);
    step(history, { isResident: (adapter) => resident.has(adapter) }, 1 + random.below(4));
    while (flights.length > random.below(4)) commitOldest(history, ends);
  }
  drain(history);
  for (const sequence of all) {
    check(sequence.phase === 'finished' && finishes.get(sequence) === 1, 'a sequence did not end exactly once');
    check(
      sequence.generated.every((token, index) => token === 1000 + index),
      'tokens out of order',
    );
  }
  check(pages.counts().kv + pages.counts().adapters === 0, 'a page lost at the end');
  return history.trace;
}

describe('scheduler over random histories', () => {
  for (const [first, last] of [
    [0, 500],
    [500, 1000],
    [1000, 1500],
    [1500, 2000],
    [2000, 2500],
  ] as const) {
    test(`seeds ${first} to ${last - 1}`, () => {
      for (let seed = first; seed < last; seed++) {
        try {
          run(seed);
        } catch (error) {
          throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
        }
      }
    });
  }

  test('the same seed gives the same schedule', () => {
    for (let seed = 0; seed < 100; seed++) expect(run(seed)).toEqual(run(seed));
    expect(run(3)).not.toEqual(run(4));
  });
});
