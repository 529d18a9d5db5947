import { byService, isDue, isPassed } from './fairness.ts';
import type { Latest, Level, Standing } from './fairness.ts';
import { isOverdue, noteTurn } from './queue-flow.ts';
import type { Flow, Tenant, Turns } from './queue-flow.ts';
import { firstBehind } from './waiting-line.ts';
import type { Waiting } from './waiting-line.ts';

/** After this many picks for each flow asked for, flows go as a whole: a long line of one flow costs no more. */
const PICKS_PER_FLOW = 8;

interface Course {
  readonly now: number;
  readonly patience: number;
  readonly taken: Set<Waiting>;
}

/** A member that had a turn in thought: what of it changes by that. */
interface Copy<M> extends Standing, Turns {
  readonly member: M;
  /** How far its line's two orders are taken. */
  ranked: number;
  aged: number;
}

/** A level served in thought: members are copied at their first turn, until then they stand for themselves. */
interface Thought<M> {
  readonly level: Level<M & (Flow<Waiting> | Tenant<Waiting>)>;
  latest: Latest | undefined;
  /** In turn, the next one last. Nobody among them is due: they had a turn just now. */
  readonly copies: Copy<M>[];
  readonly copied: Set<M>;
  /** How many of the line's two orders, from the front, are copied. */
  ranked: number;
  aged: number;
}

function think<M extends Flow<Waiting> | Tenant<Waiting>>(level: Level<M>): Thought<M> {
  return { level, latest: level.latest, copies: [], copied: new Set(), ranked: 0, aged: 0 };
}

/** Of those that are not copied, the one that was passed over and waits longest. */
function firstDue<M extends Flow<Waiting> | Tenant<Waiting>>(thought: Thought<M>, { now, patience }: Course): M | undefined {
  const { latest, copied } = thought;
  const { aged } = thought.level.line;
  if (latest === undefined) return undefined;
  while (thought.aged < aged.length && copied.has(aged[thought.aged]!)) thought.aged += 1;
  for (let index = thought.aged; index < aged.length; index++) {
    const member = aged[index]!;
    if (!isPassed(member, latest, now, patience)) return undefined; // nor was anybody behind
    if (isDue(member, latest, now, patience) && !copied.has(member)) return member;
  }
  return undefined;
}

/** Of those that are not copied, the first in order of service. */
function firstRanked<M extends Flow<Waiting> | Tenant<Waiting>>(thought: Thought<M>): M | undefined {
  const { ranked } = thought.level.line;
  while (thought.ranked < ranked.length && thought.copied.has(ranked[thought.ranked]!)) thought.ranked += 1;
  return ranked[thought.ranked];
}

/** Takes out a copy of whose turn it is. */
function takeNext<M extends Flow<Waiting> | Tenant<Waiting>>(thought: Thought<M>, course: Course): Copy<M> {
  const { copies } = thought;
  const first = copies.at(-1);
  const due = firstDue(thought, course);
  const next = due ?? firstRanked(thought);
  if (next === undefined || (due === undefined && first !== undefined && byService(first, next) < 0)) return copies.pop()!;
  thought.copied.add(next);
  const { name, service, quantum, best, oldest } = next;
  const { early, ordered } = 'early' in next ? next : { early: undefined, ordered: undefined };
  return { name, service, quantum, best, oldest, early, ordered, member: next, ranked: 0, aged: 0 };
}

/** Serves a copy with an entry, which is taken already. */
function serve<M extends Flow<Waiting> | Tenant<Waiting>>(thought: Thought<M>, copy: Copy<M>, { work }: Waiting, course: Course): void {
  const { line, weight } = copy.member;
  const { ranked, aged } = line;
  while (copy.ranked < ranked.length && course.taken.has(ranked[copy.ranked]!)) copy.ranked += 1;
  while (copy.aged < aged.length && course.taken.has(aged[copy.aged]!)) copy.aged += 1;
  copy.best = ranked[copy.ranked];
  copy.oldest = aged[copy.aged];
  copy.service += work / weight;
  thought.latest = { member: copy, at: course.now };
  if (copy.best === undefined) return;
  thought.copies.splice(
    firstBehind(thought.copies, (other) => byService(other, copy) < 0),
    0,
    copy,
  );
}

/**
 * Names of the next `count` distinct flows other than '', in the order in which picks at `now` that admit everything would first give
 * them, their entries' work charged on each pick. At least `count` such flows must wait. Nothing real changes.
 */
export function forecast(tenants: Level<Tenant<Waiting>>, count: number, now: number, patience: number): string[] {
  const course: Course = { now, patience, taken: new Set() };
  const names = new Set<string>();
  const [first, second] = tenants.line.ranked;
  const only = second === undefined ? first : undefined; // then every turn is its own
  const thought = think(tenants);
  const flowsOf = new Map<Tenant<Waiting>, Thought<Flow<Waiting>>>();
  for (let picks = 0; names.size < count; picks++) {
    const tenant = only === undefined ? takeNext(thought, course) : undefined;
    const member = only ?? tenant!.member;
    const flows = flowsOf.get(member) ?? think(member.flows);
    flowsOf.set(member, flows);
    const flow = takeNext(flows, course);
    const entry = isOverdue(flow.oldest!, flow, now, patience) ? flow.oldest! : flow.best!;
    noteTurn(entry, flow, now, patience);
    if (picks < PICKS_PER_FLOW * count) course.taken.add(entry);
    else for (const gone of flow.member.line.ranked) course.taken.add(gone);
    if (flow.name !== '') names.add(flow.name);
    serve(flows, flow, entry, course);
    if (tenant !== undefined) serve(thought, tenant, entry, course);
  }
  return [...names];
}
