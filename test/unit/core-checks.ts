import type { Core } from '../../src/engine/core.ts';
import type { CostEstimate, StepLoad } from '../../src/engine/cost.ts';
import type { SchedulerLimits, Turn } from '../../src/engine/scheduler.ts';
import { LEAST_CHUNK, stepBudget, type Work } from '../../src/engine/step-budget.ts';
import type { Sequence } from '../../src/engine/sequence.ts';
import { GONE, spanPages } from '../../src/engine/window.ts';
import { PAGE_TOKENS } from '../../src/kernels/step-layout.ts';
import { check } from './core-random.ts';

/** What a list of work costs, counted row by row. */
function loadOf(work: readonly Work[], { window }: SchedulerLimits): StepLoad {
  const load = { rows: 0, logitRows: 0, keys: 0, loraRows: 0 };
  for (const { sequence, start, count, logitRows } of work) {
    for (let p = start; p < start + count; p++) load.keys += Math.min(p + 1, window);
    load.rows += count;
    load.logitRows += logitRows;
    load.loraRows += count * sequence.blend.length;
  }
  return load;
}

function checkMilliseconds(work: readonly Work[], limits: SchedulerLimits, cost: CostEstimate): void {
  const decodes = work.filter(({ kind }) => kind === 'decode');
  const prompts = work.filter(({ kind }) => kind === 'prefill');
  const decodeMs = decodes.length > 0 ? cost.of(loadOf(decodes, limits)) : 0;
  const isLeast = prompts.length === 1 && prompts[0]!.count <= 4;
  if (prompts.length === 0 || isLeast) return;
  check(cost.of(loadOf(work, limits)) <= stepBudget(limits.stepMs, decodeMs) * (1 + 1e-9), 'a step longer than its milliseconds');
}

/** What holds of one step's work, as it comes from the scheduler. */
export function checkWork({ work, load }: Turn, limits: SchedulerLimits, cost: CostEstimate, depth: number): void {
  check(new Set(work.map((each) => each.sequence)).size === work.length, 'a sequence twice in one step');
  const counted = loadOf(work, limits);
  for (const name of ['rows', 'logitRows', 'keys', 'loraRows'] as const) check(counted[name] === load[name], `load.${name} is wrong`);
  check(load.rows <= limits.batchRows, 'more rows than a step has');
  check(load.logitRows <= limits.logitRows, 'more logit rows than a step has');
  for (const { sequence, start, count, kind, samples, logitRows } of work) {
    const known = sequence.prompt.length + sequence.generated.length;
    check(kind === (start < sequence.target ? 'prefill' : 'decode'), 'wrong kind');
    check(count >= 1 && count <= (kind === 'decode' ? 1 : Math.min(limits.prefillChunk, known - start)), 'wrong count');
    check(samples === start + count >= sequence.target, 'wrong samples');
    const wanted = sequence.logits === 'prompt' && kind === 'prefill' ? count : Number(samples);
    check(logitRows === wanted, 'wrong logit rows');
    check(!samples || sequence.pending <= depth, 'deeper than asked');
    check(sequence.generated.length + sequence.pending <= sequence.maxTokens, 'more than maxTokens');
  }
  checkMilliseconds(work, limits, cost);
}

/** Everyone who can decode does, or has at least their turn. */
export function checkTurns(ready: readonly Sequence[], { work, expired, unfit, preempted }: Turn, limits: SchedulerLimits): void {
  const decodes = work.filter((each) => each.kind === 'decode').length;
  const gone = new Set([...expired, ...unfit, ...preempted]);
  const still = ready.filter((sequence) => !gone.has(sequence)).length;
  const isPrompted = work.some((each) => each.kind === 'prefill');
  const places = Math.max(1, Math.min(limits.batchRows - (isPrompted ? LEAST_CHUNK : 0), limits.logitRows - (isPrompted ? 1 : 0)));
  // who will give pages back when its steps come back waits for that instead of taking others'
  if (limits.window < Infinity) check(decodes <= still, 'more decode rows than are ready');
  else if (ready.length <= places) check(decodes === still, 'a decode row waits without cause');
  else check(decodes >= places - gone.size, 'fewer decode rows than there is room for');
}

/** What holds of the core's state between any two calls, seen from the sequences that are open. */
export function checkState(core: Core, open: readonly Sequence[], limits: SchedulerLimits): void {
  const running = open.filter(({ phase }) => phase === 'running');
  const waiting = open.filter(({ phase }) => phase === 'waiting');
  const { scheduler, queue } = core;
  check(scheduler.counts().running === running.length && running.length <= limits.sequences, 'wrong count of running');
  check(scheduler.counts().waiting === open.length - running.length && queue.size === waiting.length, 'wrong count of waiting');
  check(new Set(running.map(({ row }) => row)).size === running.length, 'a row shared');
  for (const sequence of open) checkPhase(sequence, limits);
  checkAdapters(core, running, limits);
  checkPages(core, running);
}

function checkPhase(sequence: Sequence, limits: SchedulerLimits): void {
  const { phase, pages, row, pending, slots, admissions } = sequence;
  if (phase === 'running') {
    check(row! >= 0 && row! < (slots === 'adjusted' ? limits.adjustRows : limits.sequences), 'a row that does not exist');
    checkOwnPages(sequence, limits);
    check(admissions > 0, 'runs without an admission');
    return;
  }
  check(phase === 'waiting' || phase === 'draining', 'open, and yet finished');
  check(row === undefined && pages.length === 0, 'pages or a row without a seat');
  check(pending > 0 === (phase === 'draining'), 'the wrong one drains');
}

/** After a step was chosen: no more pages than a window and a chunk, beside what has not come back. */
export function checkSpans(open: readonly Sequence[], { window, prefillChunk }: SchedulerLimits): void {
  for (const { pages, gone, computed, settled } of open) {
    check(pages.length - gone <= spanPages(prefillChunk + computed - settled, window), 'more pages than a window and a chunk');
  }
}

/** As many pages as its tokens need, and none gone that is needed. */
function checkOwnPages({ pages, gone, computed, target }: Sequence, { window }: SchedulerLimits): void {
  const whole = Math.ceil(Math.max(target, computed) / PAGE_TOKENS);
  const least = window === Infinity ? whole : Math.ceil(computed / PAGE_TOKENS);
  check(pages.length >= least && pages.length <= whole, 'pages do not fit the tokens');
  pages.forEach((page, index) => check((page === GONE) === index < gone, 'other pages are gone than the first'));
  check(gone <= Math.max(0, Math.floor((computed - window + 1) / PAGE_TOKENS)), 'a page is gone that a row reads');
}

function checkAdapters({ cache, contents, inUse }: Core, running: readonly Sequence[], limits: SchedulerLimits): void {
  const contentsOf = ({ parts }: Sequence): string[] => parts.map(({ adapter }) => contents.of(adapter));
  const used = new Set(running.flatMap(contentsOf));
  const alone = running.some((sequence) => new Set(contentsOf(sequence)).size === used.size);
  check(used.size <= limits.adapters || alone, 'more distinct adapters than a step may have');
  for (const content of used) check(cache.has(content) && inUse(content), 'an adapter of a running sequence left the GPU');
  for (const content of cache.keys()) check(inUse(content) === used.has(content), 'in use without a user');
}

function checkPages({ cache, pages }: Core, running: readonly Sequence[]): void {
  const { total, kv, idle, adapters } = pages.counts();
  const users = new Array<number>(total).fill(0);
  for (const sequence of running) for (const page of sequence.pages.slice(sequence.gone)) users[page]! += 1;
  const owned = new Set<number>();
  const slots = new Set<number>();
  for (const key of cache.keys()) {
    const { slot, firstPage, pages: count } = cache.get(key)!;
    check(slot > 0 && !slots.has(slot), 'a slot shared');
    slots.add(slot);
    for (let page = firstPage; page < firstPage + count; page++) {
      check(page < total && !owned.has(page) && users[page] === 0 && pages.holders(page) === 0, "an adapter's page is another's too");
      owned.add(page);
    }
  }
  let [taken, kept] = [0, 0];
  for (let page = 0; page < total; page++) {
    const holders = pages.holders(page);
    check(holders === users[page] || holders === users[page]! + 1, `page ${page} has ${holders} holders, ${users[page]} use it`);
    if (holders > 0) taken += 1;
    if (holders === 1 && users[page] === 0) kept += 1;
  }
  check(taken === kv && kept === idle && owned.size === adapters, 'the counts of pages are wrong');
}
