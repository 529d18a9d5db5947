import { createCore, type Core } from '../../src/engine/core.ts';
import type { SchedulerLimits, Turn } from '../../src/engine/scheduler.ts';
import { canDecode, type Sequence } from '../../src/engine/sequence.ts';
import type { Work } from '../../src/engine/step-budget.ts';
import { spanPages } from '../../src/engine/window.ts';
import { PAGE_TOKENS } from '../../src/kernels/step-layout.ts';
import { checkSpans, checkState, checkTurns, checkWork } from './core-checks.ts';
import { createDevice, tokenAfter, type Device, type ModelRequest, type Output } from './core-device.ts';
import { check, createRandom, mix, type Random } from './core-random.ts';
import { checkMove, createTiers, moveAdapters, type Tiers } from './core-tiers.ts';
import { createLimits, createModelCost, type End, type ModelCost, type Style, type Tally } from './core-settings.ts';

/** A request that is open, with what JS has seen of its answer and what became of it. */
export interface OpenRequest extends ModelRequest {
  readonly committed: number[];
  /** Its admissions that were seen. */
  admitted: number;
  end: End | undefined;
  /** What it computed is wrong, whether anybody saw it yet or not. */
  isPoisoned: boolean;
  /** When it was admitted there was somebody whose pages are wrong and of whom nobody knows it yet. */
  mayBePoisoned: boolean;
}

/** A random engine around one core: what is in flight and on its way, and what the invariants need to remember. */
export interface History {
  readonly random: Random;
  readonly style: Style;
  readonly limits: SchedulerLimits;
  readonly cost: ModelCost;
  readonly core: Core;
  readonly device: Device;
  readonly tiers: Tiers;
  readonly requests: OpenRequest[];
  readonly flights: { readonly work: Work; readonly output: Output; readonly request: OpenRequest }[][];
  readonly tally: Tally;
  now: number;
  /** A hash of everything the core decided. */
  log: number;
}

const MUCH = Number.MAX_SAFE_INTEGER;

export function createHistory(seed: number, tally: Tally): History {
  const random = createRandom(seed);
  const style = random.pick(['crowded', 'alike', 'mixed', 'mixed'] as const);
  const limits = createLimits(random, style);
  const cost = createModelCost(random);
  const largest = random.between(1, style === 'alike' ? 2 : 6);
  const digests = random.between(2, 12);
  const adapters = Array.from({ length: random.between(1, style === 'alike' ? 2 : 12) }, (_, i) => ({
    key: `a${i}`,
    digest: `digest ${random.below(digests)}`,
  }));
  const tiers = createTiers(adapters, largest);
  const core: Core = createCore({
    limits,
    pages: random.between(4, style === 'crowded' ? 8 : 40),
    slots: random.between(2, 14),
    heapBytes: random.pick([MUCH, 0, 3, 10]),
    diskBytes: random.pick([MUCH, 0, 0, 3, 10]),
    cost,
    beginnings: random.chance(0.9) ? 'shared' : 'own',
    tenantWeight: (tenant) => 1 + tenant.length,
    flowWeight: () => 1,
    moved: (move) => checkMove(move, core, tiers, tally),
  });
  const device = createDevice(core.pages.counts().total, limits.window, core.cache, (adapter) => tiers.standsFor.get(adapter)!);
  return { random, style, limits, cost, core, device, tiers, requests: [], flights: [], tally, now: 0, log: 0 };
}

export function openOf({ requests }: History): OpenRequest[] {
  return requests.filter(({ end }) => end === undefined);
}

function noteEnd({ tally }: History, request: OpenRequest, how: End): void {
  check(request.end === undefined, `a sequence ends twice: ${request.end}, then ${how}`);
  request.end = how;
  tally[how] += 1;
}

export function endRequest(history: History, request: OpenRequest, how: End): void {
  noteEnd(history, request, how);
  if (how === 'poisoned') history.core.scheduler.discard(request.sequence);
  else history.core.scheduler.finish(request.sequence);
}

export function checkAll({ core, requests, limits }: History): void {
  const open = requests.filter(({ end }) => end === undefined).map(({ sequence }) => sequence);
  checkState(core, open, limits);
}

function note(history: History, ...numbers: readonly number[]): void {
  for (const number of numbers) history.log = mix(history.log, number);
}

/** That the pool could not hold it: with its own adapters and those that are pinned, or because no run of pages or slot is left. */
function checkUnfit({ core, tiers, limits }: History, { sequence }: OpenRequest): void {
  const { prompt, generated, pending, length, maxTokens, parts } = sequence;
  const { cache, contents, pages } = core;
  const own = new Set(parts.map(({ adapter }) => contents.of(adapter)));
  const pinned = [...cache.pins()].filter((content) => !own.has(content));
  const known = [...own].filter((content) => content.startsWith('digest'));
  const lasting = [...known, ...pinned].reduce((sum, content) => sum + tiers.facts(content).pages, 0);
  const answer = length === 'room' ? generated.length + pending + 1 : maxTokens;
  const needed = Math.min(Math.ceil((prompt.length + answer - 1) / PAGE_TOKENS), spanPages(1, limits.window)) + lasting;
  const isCrowded = own.size > 0 && [...own].some((content) => !cache.has(content)) && (pinned.length > 0 || own.size > 1);
  check(needed > pages.counts().total || isCrowded, `called unfit, and would fit: ${JSON.stringify([sequence, needed, pages.counts()])}`);
}

/** One step: adapters move, the core decides, the device is given the work. Throws where nothing will ever happen again. */
export function step(history: History, depth: number): Turn {
  const { core, limits, cost, tiers, requests, flights, tally } = history;
  const isQuiet = tiers.reads.size + tiers.uploads.size + flights.length === 0;
  const moves = moveAdapters(history);
  note(history, ...moves.numbers);
  checkAll(history);
  const ready = requests.map(({ sequence }) => sequence).filter((sequence) => canDecode(sequence, depth));
  const turn = core.scheduler.schedule(history.now, depth);
  checkWork(turn, limits, cost, depth);
  checkSpans(
    openOf(history).map(({ sequence }) => sequence),
    limits,
  );
  if (tiers.uploads.size === 0) checkTurns(ready, turn, limits);
  for (const { id, deadline } of turn.expired) {
    check(deadline !== undefined && requests[id]!.committed.length === 0, 'expired without cause');
    noteEnd(history, requests[id]!, 'expired');
  }
  for (const { id } of turn.unfit) {
    checkUnfit(history, requests[id]!);
    noteEnd(history, requests[id]!, 'unfit');
  }
  noteAdmissions(history);
  submit(history, turn);
  checkAll(history);
  for (const { sequence, end } of requests) check(end !== undefined || !isLate(sequence, history.now), 'past its deadline, and open');
  tally.steps += 1;
  tally.preemptions += turn.preempted.length;
  const done = turn.work.length + turn.expired.length + turn.unfit.length + moves.count;
  const isOpen = requests.some(({ end }) => end === undefined);
  if (isQuiet && isOpen && done === 0) throw new Error(`a hang: ${describe(history)}`);
  return turn;
}

const isLate = ({ deadline, generated }: Sequence, now: number): boolean =>
  deadline !== undefined && now > deadline && generated.length === 0;

function describe({ requests, core, limits }: History): string {
  const open = requests.filter(({ end }) => end === undefined).map(({ sequence }) => sequence);
  const lines = open.map(({ id, phase, pending, computed, target, generated, maxTokens, flow, pages }) =>
    JSON.stringify({ id, phase, pending, computed, target, generated: generated.length, maxTokens, flow, pages }),
  );
  const cache = [...core.cache.keys()].map((key) => `${key}${core.cache.isPinned(key) ? '!' : ''} ${JSON.stringify(core.cache.get(key))}`);
  return [...lines, ...cache, JSON.stringify({ ...core.pages.counts(), ...limits })].join('\n  ');
}

function noteAdmissions({ requests, tally }: History): void {
  const isHidden = requests.some((other) => other.isPoisoned && other.end !== 'poisoned');
  for (const request of requests) {
    const { phase, admissions, shared, gone } = request.sequence;
    if (phase !== 'running' || request.admitted === admissions) continue;
    Object.assign(request, { admitted: admissions, mayBePoisoned: isHidden });
    tally.shared += shared;
    if (gone > 0) tally.sharedGone += 1;
    if (admissions > 1) tally.recomputed += 1;
  }
}

function submit(history: History, { work }: Turn): void {
  const { random, device, requests } = history;
  if (work.length === 0) return;
  const flight = work.map((each) => {
    const request = requests[each.sequence.id]!;
    check(request.end === undefined, 'work for a sequence that has ended');
    const { sequence, start, count } = each;
    const fault = random.chance(0.003) ? 'poisoned' : 'good';
    const output = device.run(each, request, fault);
    const isOwn = fault === 'poisoned' || request.isPoisoned;
    if (output.state === 'poisoned') request.isPoisoned = true;
    history.tally.gone += Number(sequence.gone > 0);
    check(output.state !== 'poisoned' || isOwn || request.mayBePoisoned, 'shares a page that was known to be wrong');
    note(history, 2, sequence.id, sequence.row!, start, count, ...sequence.pages);
    return { work: each, output, request };
  });
  history.flights.push(flight);
}

/** The oldest step's tokens come back. */
export function commitOldest(history: History): void {
  const { core, flights, cost } = history;
  for (const { work, output, request } of flights.shift() ?? []) {
    const { sequence } = work;
    if (request.end !== undefined) {
      core.scheduler.commit(work, output.token);
      check(sequence.phase === 'finished' && sequence.generated.length === request.committed.length, 'a token after the end');
      continue;
    }
    check(output.state !== 'inert', 'an inert row of a request that goes on');
    if (output.state === 'poisoned' && work.logitRows > 0) {
      endRequest(history, request, 'poisoned');
      continue;
    }
    core.scheduler.commit(work, output.token);
    if (output.token !== undefined) request.committed.push(output.token);
    check(sequence.generated.length === request.committed.length, 'a token lost');
    const isOver = request.committed.length === sequence.maxTokens || (output.token !== undefined && output.token === request.endToken);
    if (isOver) endRequest(history, request, 'finished');
  }
  checkAll(history);
  cost.learn({ rows: 1, logitRows: 1, keys: 1, loraRows: 0 }, 1);
}

/** Every token that a caller saw is the one that its text and adapters give, and stays. */
export function checkAnswers({ requests }: History): void {
  for (const { sequence, committed, end, hashes, seed, roots, isPoisoned, mayBePoisoned } of requests) {
    check(end !== undefined && sequence.phase === 'finished', 'a sequence did not end');
    check(committed.length === sequence.generated.length, 'tokens lost');
    check(
      committed.every((token, i) => token === sequence.generated[i]),
      'a committed token changed',
    );
    if (end === 'finished') check(committed.length <= sequence.maxTokens && committed.length > 0, 'an answer of the wrong length');
    if (roots > 1 || isPoisoned || mayBePoisoned) continue;
    committed.forEach((token, i) =>
      check(token === tokenAfter(hashes[sequence.prompt.length + i - 1]!, seed), 'not the token of its text'),
    );
  }
}

/** After the end nothing is held but idle beginnings and adapters, and all of that can be evicted. */
export function checkEmpty({ core, tiers }: History): void {
  const { traffic, cache, pages, scheduler } = core;
  const { total, kv, idle } = pages.counts();
  check(kv === idle, 'a page is held after the end');
  check(scheduler.counts().running + scheduler.counts().waiting + core.queue.size === 0, 'someone is left');
  check(scheduler.nextDeadline() === undefined, 'a deadline is left');
  for (const content of tiers.uploads.keys()) traffic.written(content);
  tiers.uploads.clear();
  for (const content of cache.keys()) check(!core.inUse(content), 'in use after the end');
  for (const content of cache.pins()) cache.unpin(content);
  traffic.arrived('everything', { digest: 'everything', pages: total, bytes: 0, stored: 0 }, 'disk');
  check(traffic.place('everything') !== undefined && pages.counts().kv === 0, 'not everything can be evicted');
}
