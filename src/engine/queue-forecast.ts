import { inTurn, servedBefore } from './fairness.ts';
import type { Latest, Level } from './fairness.ts';
import { isOverdue, noteTurn } from './queue-flow.ts';
import type { Flow, Tenant } from './queue-flow.ts';
import type { Waiting } from './waiting-line.ts';

/** After this many picks for each flow asked for, flows go as a whole: a long line of one flow costs no more. */
const PICKS_PER_FLOW = 8;

interface Course {
  readonly now: number;
  readonly patience: number;
  readonly taken: Set<Waiting>;
}

interface Copy<M> {
  readonly member: M;
  /** How far its line's two orders are taken. */
  ranked: number;
  aged: number;
}

/** A level served in thought: members are copied at their first turn, until then they stand for themselves. */
interface Thought<M extends Flow<Waiting> | Tenant<Waiting>> {
  readonly level: Level<M>;
  latest: Latest | undefined;
  /** Those that are not copied yet, in turn; `next` is the first of them. */
  others: () => M | undefined;
  next: M | undefined;
  readonly copies: Copy<M>[];
  readonly copied: Set<string>;
}

function advance<M extends Flow<Waiting> | Tenant<Waiting>>(thought: Thought<M>): void {
  do thought.next = thought.others();
  while (thought.next !== undefined && thought.copied.has(thought.next.name));
}

function think<M extends Flow<Waiting> | Tenant<Waiting>>(level: Level<M>, { now, patience }: Course): Thought<M> {
  const others = inTurn(level.line, level.latest, now, patience);
  const thought: Thought<M> = { level, latest: level.latest, others, next: undefined, copies: [], copied: new Set() };
  advance(thought);
  return thought;
}

/** A copy of whose turn it is. */
function whoIsNext<M extends Flow<Waiting> | Tenant<Waiting>>(thought: Thought<M>, { now, patience }: Course): Copy<M> {
  const order = servedBefore(thought.latest, now, patience);
  let first: Copy<M> | undefined;
  for (const copy of thought.copies) if (first === undefined || order(copy.member, first.member) < 0) first = copy;
  const { next } = thought;
  if (next === undefined || (first !== undefined && order(first.member, next) < 0)) return first!;
  const copy = { member: { ...next }, ranked: 0, aged: 0 };
  thought.copies.push(copy);
  thought.copied.add(next.name);
  advance(thought);
  return copy;
}

/** Serves a copy with an entry, which is taken already. */
function serve<M extends Flow<Waiting> | Tenant<Waiting>>(thought: Thought<M>, copy: Copy<M>, { work }: Waiting, course: Course): void {
  const { member } = copy;
  const { ranked, aged } = member.line;
  while (copy.ranked < ranked.length && course.taken.has(ranked[copy.ranked]!)) copy.ranked += 1;
  while (copy.aged < aged.length && course.taken.has(aged[copy.aged]!)) copy.aged += 1;
  member.best = ranked[copy.ranked];
  member.oldest = aged[copy.aged];
  member.service += work / member.weight;
  member.admitted = course.now;
  if (member.best === undefined) thought.copies.splice(thought.copies.indexOf(copy), 1);
  thought.latest = { member, at: course.now };
  // Who is passed over depends on who had the latest turn.
  thought.others = inTurn(thought.level.line, thought.latest, course.now, course.patience);
  advance(thought);
}

/**
 * Names of the next `count` distinct flows other than '', in the order in which picks at `now` that admit everything would first give
 * them, their entries' work charged on each pick. At least `count` such flows must wait. Nothing real changes.
 */
export function forecast(tenants: Level<Tenant<Waiting>>, count: number, now: number, patience: number): string[] {
  const course: Course = { now, patience, taken: new Set() };
  const names = new Set<string>();
  const thought = think(tenants, course);
  const flowsOf = new Map<string, Thought<Flow<Waiting>>>();
  for (let picks = 0; names.size < count; picks++) {
    const tenant = whoIsNext(thought, course);
    const { name, flows: level } = tenant.member;
    const flows = flowsOf.get(name) ?? think(level, course);
    flowsOf.set(name, flows);
    const flow = whoIsNext(flows, course);
    const { oldest, best, line } = flow.member;
    const entry = isOverdue(oldest!, flow.member, now, patience) ? oldest! : best!;
    noteTurn(entry, flow.member, now, patience);
    for (const gone of picks < PICKS_PER_FLOW * count ? [entry] : line.ranked) course.taken.add(gone);
    if (flow.member.name !== '') names.add(flow.member.name);
    serve(flows, flow, entry, course);
    serve(thought, tenant, entry, course);
  }
  return [...names];
}
