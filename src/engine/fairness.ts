import { byAge, firstBehind, lineOrder } from './waiting-line.ts';
import type { Line, Order, Waiting } from './waiting-line.ts';

/** What a member is ordered by among those that were not passed over. */
export interface Standing {
  readonly name: string;
  /** Service per unit of weight, as a virtual token counter: in weighted tokens, lifted on return, never lowered. */
  service: number;
  /** Services that differ by less count as the same where they fall into one multiple of it; 0: none do. */
  readonly quantum: number;
  /** Of its waiting entries, the first by priority and the oldest; undefined while it has none. */
  best: Waiting | undefined;
  oldest: Waiting | undefined;
}

/** A tenant among the tenants, or a flow among the flows of its tenant. */
export interface Member extends Standing {
  readonly weight: number;
  /** When one of its entries was last admitted, in milliseconds. */
  admitted: number | undefined;
  /** The period between two sweeps in which it last came up. */
  seen: number;
}

/** The latest admission at a level. */
export interface Latest {
  readonly member: Standing;
  readonly at: number;
}

/** Tenants, or the flows of one tenant. */
export interface Level<M extends Member> {
  /** Those with waiting entries. */
  readonly line: Line<M>;
  readonly latest: Latest | undefined;
  /** All that are remembered, waiting or not. */
  readonly members: ReadonlyMap<string, M>;
  /** Finds a member, or makes it at the counter that it would be lifted to. */
  open(name: string): M;
  /** Changes what a member is ordered by. One that comes to have waiting entries is lifted and joins the line; one that has none leaves. */
  update(member: M, change: () => void): void;
  /** Adds to a member's service. */
  charge(member: M, service: number): void;
  /** Notes that an entry of this member was admitted. */
  noteAdmission(member: M, now: number): void;
}

/** A sweep comes after this many new members, and as many as wait: then it costs each of them a constant. */
const SWEEP_AFTER = 64;
/** Members without waiting entries that a sweep leaves in memory at most. */
const MOST_IDLE = 1024;

/** From when on a member waits: its oldest entry's arrival or its own last admission. */
function since({ oldest, admitted }: Member): number {
  const { arrival } = oldest!;
  return admitted === undefined || admitted < arrival ? arrival : admitted;
}

/** Service as members are ordered by it. */
const turnOf = ({ service, quantum }: Pick<Standing, 'service' | 'quantum'>): number =>
  quantum === 0 ? service : Math.floor(service / quantum);

/** Without patience: by the priority of the best entry, service per weight, the oldest entry's arrival, its id. */
export const byService: Order<Standing> = (left, right) =>
  left.best!.priority - right.best!.priority || turnOf(left) - turnOf(right) || byAge(left.oldest!, right.oldest!);

/** Longest wait first. */
const byWait: Order<Member> = (left, right) => since(left) - since(right) || byService(left, right);

const memberOrder = lineOrder(byService, byWait);

/** Whether a member waits for `patience` ms, and others had the latest admission since then. */
export function isPassed(member: Member, latest: Latest, now: number, patience: number): boolean {
  const start = since(member);
  return start <= latest.at && now - start >= patience;
}

/**
 * Whether a member was passed over for `patience` ms, at no less service per weight than its own: it goes before those that were not. So
 * patience goes before priority, never before fair shares.
 */
export function isDue(member: Member, latest: Latest | undefined, now: number, patience: number): boolean {
  if (latest === undefined || latest.member.name === member.name || turnOf(member) > turnOf(latest.member)) return false;
  return isPassed(member, latest, now, patience);
}

/** Gives the members of a line one by one, those that are due first, longest wait first, then the others. The first few are cheap. The line must not change meanwhile. */
export function inTurn<M extends Member>(
  { aged, ranked }: Line<M>,
  latest: Latest | undefined,
  now: number,
  patience: number,
): () => M | undefined {
  let due = 0;
  let old = latest === undefined ? aged.length : 0;
  let next = 0;
  return () => {
    while (old < aged.length) {
      const member = aged[old++]!;
      if (isDue(member, latest, now, patience)) {
        due += 1;
        return member;
      }
      if (!isPassed(member, latest!, now, patience)) old = aged.length; // nor was anybody behind
    }
    if (due === ranked.length) return undefined;
    while (next < ranked.length) {
      const member = ranked[next++]!;
      if (due === 0 || !isDue(member, latest, now, patience)) return member;
    }
    return undefined;
  };
}

/** The least counter in a line that is not empty, or the least its turn stands for: of each priority's members the first has the least. */
function leastService(ranked: readonly Member[]): number {
  let least = Infinity;
  for (let index = 0; index < ranked.length;) {
    const member = ranked[index]!;
    const { best, quantum } = member;
    least = Math.min(least, turnOf(member) * (quantum || 1));
    index = firstBehind(ranked, (other) => other.best!.priority > best!.priority);
  }
  return least;
}

/**
 * Makes an empty level of virtual token counters (Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024). Whoever gets a
 * waiting entry after having none is lifted to the least counter of those that wait, or, where none waits, of who was admitted last: idle
 * time earns no credit. What members are lifted to never falls, so those below it can be forgotten unseen.
 */
export function createLevel<M extends Member>(make: (name: string, service: number) => M): Level<M> {
  const members = new Map<string, M>();
  const line: Line<M> = { ranked: [], aged: [] };
  let latest: { readonly member: M; readonly at: number } | undefined;
  let floor = 0; // the counter of whoever was the last to wait, when it ceased to
  let period = 0;
  let made = 0;

  const lift = (): number => (line.ranked.length > 0 ? leastService(line.ranked) : Math.max(floor, latest?.member.service ?? 0));

  /** Those that came up since the last sweep may be running: charges for them are still to come, so they stay. */
  const sweep = (): void => {
    const least = lift();
    const idle: M[] = [];
    for (const member of members.values()) {
      if (member.best !== undefined || member === latest?.member) continue;
      if (member.seen < period && member.service <= least) members.delete(member.name);
      else idle.push(member);
    }
    // One that waits and is never admitted holds the lift down: then those with the least to lose go.
    idle.sort((left, right) => right.service - left.service);
    for (const { name } of idle.slice(MOST_IDLE)) members.delete(name);
    period += 1;
    made = 0;
  };

  const update = (member: M, change: () => void): void => {
    const waited = member.best !== undefined;
    if (waited) memberOrder.remove(line, member);
    change();
    if (member.best !== undefined) {
      if (!waited) member.service = Math.max(member.service, lift());
      memberOrder.add(line, member);
    } else if (waited) {
      member.seen = period;
      if (line.ranked.length === 0) floor = Math.max(floor, member.service);
    }
  };

  return {
    line,
    members,
    get latest() {
      return latest;
    },
    open(name) {
      let member = members.get(name);
      if (member === undefined) {
        if (made >= SWEEP_AFTER + line.ranked.length) sweep();
        made += 1;
        member = make(name, lift());
        members.set(name, member);
      }
      member.seen = period;
      return member;
    },
    update,
    charge(member, service) {
      const charged = { quantum: member.quantum, service: member.service + service };
      const isSettled = member.best === undefined || line.ranked.length === 1 || turnOf(charged) === turnOf(member);
      const add = (): void => void (member.service = charged.service);
      if (isSettled) add();
      else update(member, add);
    },
    noteAdmission(member, now) {
      latest = { member, at: now };
    },
  };
}
