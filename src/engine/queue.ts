import { createLevel, inTurn } from './fairness.ts';
import type { Level } from './fairness.ts';
import { choose, noteTurn } from './queue-flow.ts';
import type { Flow, Tenant, Verdict } from './queue-flow.ts';
import { forecast } from './queue-forecast.ts';
import { entryOrder } from './waiting-line.ts';
import type { Line, Waiting } from './waiting-line.ts';

export type { Verdict } from './queue-flow.ts';
export type { Waiting } from './waiting-line.ts';

/**
 * Who is admitted next. Pure: no clock; the same calls give the same picks. The order holds among tenants, then among the flows of a
 * tenant, then among the entries of a flow: (1) who was passed over for `patience`, longest wait first; (2) lowest priority number of the
 * best entry; (3) least service per weight, for flows in whole quanta; (4) earliest arrival, then id. A tenant or flow is passed over while the latest admission is
 * another's whose service per weight is no less than its own: rule 1 goes before priority, never before fair shares. Its wait counts from
 * the later of its oldest entry's arrival and its last admission; an entry's from the later of its arrival and the flow's last pick by
 * rule 1, and of those that waited equally long the oldest goes first. So rule 1 gives one turn per `patience` at each level, not first
 * come, first served.
 */
export interface WaitQueue<T extends Waiting> {
  /** Throws `RangeError` where it waits already, or its priority or arrival is not finite. */
  add(entry: T): void;
  /** Takes an entry out that is not to be admitted any more; nothing happens where it does not wait. */
  remove(entry: T): void;
  has(entry: T): boolean;
  readonly size: number;
  /**
   * Asks `verdict` about entries in order, about each once at most, until one is admitted; takes that one out and notes its admission.
   * Charges nothing: until `charge` is called for it, the next pick knows of no service. `verdict` must not change the queue.
   */
  pick(now: number, verdict: (entry: T) => Verdict): T | undefined;
  /**
   * Notes service given, also to entries that left the queue: 1 unit for a prompt token, 2 for an answer token.
   * Throws `RangeError` unless `units` is a finite number of at least 0.
   */
  charge(tenant: string, flow: string, units: number): void;
  /**
   * The next `count` distinct flows other than '', in the order in which picks at `now` that admit everything would first give them, each
   * charged with its entry's work. Those behind several times as many picks come last, in about that order.
   */
  upcoming(count: number, now: number): string[];
  /** All that wait, in no particular order. */
  entries(): Iterable<T>;
  /** Arrival of the oldest; undefined where none waits. */
  oldest(): number | undefined;
  /** Tenants and flows in memory, idle ones included. */
  readonly remembered: number;
}

export interface WaitQueueOptions {
  /** Shares of tenants, and of flows within a tenant: finite, above 0. Asked once while one is remembered. */
  tenantWeight(name: string): number;
  flowWeight(flow: string): number;
  /** Milliseconds, above 0. */
  readonly patience: number;
  /** Service per weight within which flows of a tenant count as equally served, so that the earlier goes first; 0 (default): none. */
  readonly flowQuantum?: number;
}

function checkedWeight(weight: number, name: string): number {
  if (Number.isFinite(weight) && weight > 0) return weight;
  throw new RangeError(`The weight of ${JSON.stringify(name)} must be a finite number above 0; got ${weight}.`);
}

/** Members are literals without a spread: V8 reads those over ten times as fast, and where all are refused every member is read. */
function createTenants<T extends Waiting>({ tenantWeight, flowWeight, flowQuantum = 0 }: WaitQueueOptions): Level<Tenant<T>> {
  const emptyLine = (): Line<T> => ({ ranked: [], aged: [] });
  const makeFlow = (name: string, service: number): Flow<T> => ({
    name,
    service,
    weight: checkedWeight(flowWeight(name), name),
    quantum: flowQuantum,
    line: emptyLine(),
    admitted: undefined,
    best: undefined,
    oldest: undefined,
    seen: 0,
    early: undefined,
    ordered: undefined,
  });
  return createLevel<Tenant<T>>((name, service) => ({
    name,
    service,
    weight: checkedWeight(tenantWeight(name), name),
    quantum: 0,
    line: emptyLine(),
    admitted: undefined,
    best: undefined,
    oldest: undefined,
    seen: 0,
    flows: createLevel(makeFlow),
  }));
}

/** Makes an empty queue. Throws `RangeError` where patience is not above 0; later, where a weight is not. */
export function createWaitQueue<T extends Waiting>(options: WaitQueueOptions): WaitQueue<T> {
  const { patience } = options;
  if (!(patience > 0)) throw new RangeError(`patience must be above 0 ms; got ${patience}.`);
  const entries = new Set<T>();
  const tenants = createTenants<T>(options);
  const places = new Map<string, number>(); // flows that wait, '' not counted: in how many tenants

  const countFlow = (flow: string, more: 1 | -1): void => {
    if (flow === '') return;
    const count = (places.get(flow) ?? 0) + more;
    if (count === 0) places.delete(flow);
    else places.set(flow, count);
  };
  /** Brings an entry in or out of the lines of its tenant and its flow. */
  const move = (entry: T, way: 'add' | 'remove', tenant: Tenant<T>, flow: Flow<T>): void => {
    entries[way === 'add' ? 'add' : 'delete'](entry);
    if (flow.best === undefined) countFlow(flow.name, 1);
    for (const member of [tenant, flow]) entryOrder[way](member.line, entry);
    for (const member of [tenant, flow]) {
      member.best = member.line.ranked[0];
      member.oldest = member.line.aged[0];
    }
    if (flow.best === undefined) countFlow(flow.name, -1);
  };
  const change = (tenant: Tenant<T>, flow: Flow<T>, how: () => void): void => tenants.update(tenant, () => tenant.flows.update(flow, how));
  const admit = (entry: T, tenant: Tenant<T>, flow: Flow<T>, now: number): void => {
    change(tenant, flow, () => {
      noteTurn(entry, flow, now, patience);
      for (const member of [tenant, flow]) member.admitted = now;
      move(entry, 'remove', tenant, flow);
    });
    tenants.noteAdmission(tenant, now);
    tenant.flows.noteAdmission(flow, now);
  };

  return {
    add(entry) {
      const { id, priority, arrival } = entry;
      if (entries.has(entry)) throw new RangeError(`Entry ${id} waits already.`);
      if (!Number.isFinite(priority) || !Number.isFinite(arrival)) {
        throw new RangeError(`Priority and arrival of entry ${id} must be finite; got ${priority} and ${arrival}.`);
      }
      const tenant = tenants.open(entry.tenant);
      const flow = tenant.flows.open(entry.flow);
      change(tenant, flow, () => move(entry, 'add', tenant, flow));
    },
    remove(entry) {
      if (!entries.has(entry)) return;
      const tenant = tenants.members.get(entry.tenant)!;
      const flow = tenant.flows.members.get(entry.flow)!;
      change(tenant, flow, () => move(entry, 'remove', tenant, flow));
    },
    has: (entry) => entries.has(entry),
    get size() {
      return entries.size;
    },
    pick(now, verdict) {
      const nextTenant = inTurn(tenants.line, tenants.latest, now, patience);
      for (let tenant = nextTenant(); tenant !== undefined; tenant = nextTenant()) {
        const nextFlow = inTurn(tenant.flows.line, tenant.flows.latest, now, patience);
        for (let flow = nextFlow(); flow !== undefined; flow = nextFlow()) {
          const chosen = choose(flow, now, patience, verdict);
          if (chosen === 'stop') return undefined;
          if (chosen === 'skip') continue;
          admit(chosen, tenant, flow, now);
          return chosen;
        }
      }
      return undefined;
    },
    charge(tenant, flow, units) {
      if (!Number.isFinite(units) || units < 0)
        throw new RangeError(`Units of service must be a finite number of at least 0; got ${units}.`);
      const payer = tenants.open(tenant);
      const account = payer.flows.open(flow);
      payer.flows.charge(account, units / account.weight);
      tenants.charge(payer, units / payer.weight);
    },
    upcoming: (count, now) => forecast(tenants, Math.min(count, places.size), now, patience),
    entries: () => entries.values(),
    oldest() {
      let least: number | undefined;
      for (const { oldest } of tenants.line.ranked) least = Math.min(least ?? Infinity, oldest!.arrival);
      return least;
    },
    get remembered() {
      let count = tenants.members.size;
      for (const { flows } of tenants.members.values()) count += flows.members.size;
      return count;
    },
  };
}
