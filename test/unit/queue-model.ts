import type { Verdict, Waiting } from '../../src/engine/queue.ts';

export interface Random {
  below(limit: number): number;
  chance(probability: number): boolean;
  of<T>(items: readonly T[]): T;
}

export function createRandom(seed: number): Random {
  let state = (seed * 2654435769) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return { below, chance: (probability) => next() < probability, of: (items) => items[below(items.length)]! };
}

interface Admission {
  readonly name: string;
  readonly at: number;
}

interface ModelLevel {
  readonly service: Map<string, number>;
  readonly admissions: Admission[];
  floor: number;
}

/** The order of the queue, written down as it is stated: every pick sorts everything by all that ever happened, nothing is forgotten. */
export interface Model {
  readonly waiting: Waiting[];
  readonly tenants: ModelLevel;
  readonly flows: Map<string, ModelLevel>;
  /** Admissions by tenant and flow; `name` says by which rule. */
  readonly turns: Map<string, Admission[]>;
}

export interface Shares {
  readonly patience: number;
  weight(name: string): number;
}

const emptyLevel = (): ModelLevel => ({ service: new Map(), admissions: [], floor: 0 });
export const emptyModel = (): Model => ({ waiting: [], tenants: emptyLevel(), flows: new Map(), turns: new Map() });

function orPut<V>(map: Map<string, V>, key: string, make: () => V): V {
  if (!map.has(key)) map.set(key, make());
  return map.get(key)!;
}
const flowLevel = (model: Model, tenant: string): ModelLevel => orPut(model.flows, tenant, emptyLevel);
const turnsOf = (model: Model, { tenant, flow }: Waiting): Admission[] => orPut(model.turns, `${tenant}\n${flow}`, () => []);
const age = (left: Waiting, right: Waiting): number => left.arrival - right.arrival || left.id - right.id;
const rank = (left: Waiting, right: Waiting): number => left.priority - right.priority || age(left, right);

export function levels(model: Model, entry: Waiting): [ModelLevel, string, (other: Waiting) => string][] {
  return [
    [model.tenants, entry.tenant, (other) => other.tenant],
    [flowLevel(model, entry.tenant), entry.flow, (other) => (other.tenant === entry.tenant ? other.flow : '\n')],
  ];
}

export function modelAdd(model: Model, entry: Waiting): void {
  for (const [level, name, nameOf] of levels(model, entry)) {
    const names = new Set(model.waiting.map(nameOf).filter((other) => other !== '\n'));
    if (names.has(name)) continue;
    const last = level.admissions.at(-1)?.name;
    const others = [...names].map((other) => level.service.get(other) ?? 0);
    const lift = others.length > 0 ? Math.min(...others) : Math.max(level.floor, last === undefined ? 0 : (level.service.get(last) ?? 0));
    level.service.set(name, Math.max(lift, level.service.get(name) ?? 0));
  }
  model.waiting.push(entry);
}

export function modelRemove(model: Model, entry: Waiting): void {
  model.waiting.splice(
    model.waiting.findIndex(({ id }) => id === entry.id),
    1,
  );
  for (const [level, name, nameOf] of levels(model, entry)) {
    if (!model.waiting.some((other) => nameOf(other) !== '\n')) level.floor = Math.max(level.floor, level.service.get(name) ?? 0);
  }
}

export function modelAdmit(model: Model, entry: Waiting, now: number): void {
  modelRemove(model, entry);
  for (const [level, name] of levels(model, entry)) level.admissions.push({ name, at: now });
}

export function modelCharge(model: Model, tenant: string, flow: string, units: number, { weight }: Shares): void {
  const level = flowLevel(model, tenant);
  model.tenants.service.set(tenant, (model.tenants.service.get(tenant) ?? 0) + units / weight(tenant));
  level.service.set(flow, (level.service.get(flow) ?? 0) + units / weight(flow));
}

/** How long it was passed over: undefined where not for `patience`, or where the one admitted last has less service. */
function passedOver(level: ModelLevel, name: string, entries: readonly Waiting[], now: number, patience: number): number | undefined {
  const oldest = [...entries].sort(age)[0]!;
  const own = level.admissions.findLastIndex((admission) => admission.name === name);
  const since = Math.max(oldest.arrival, level.admissions[own]?.at ?? -Infinity);
  const others = level.admissions.slice(own + 1).filter((admission) => admission.at >= oldest.arrival);
  const served = (other: string): number => level.service.get(other) ?? 0;
  const isBehind = others.length > 0 && served(name) <= served(others.at(-1)!.name);
  return isBehind && now - since >= patience ? now - since : undefined;
}

function orderOf(level: ModelLevel, groups: Map<string, Waiting[]>, now: number, patience: number): string[] {
  const keys = [...groups].map(([name, entries]) => {
    const wait = passedOver(level, name, entries, now, patience);
    const oldest = [...entries].sort(age)[0]!;
    const key = [wait === undefined ? 1 : 0, -(wait ?? 0), Math.min(...entries.map(({ priority }) => priority))];
    return { name, key: [...key, level.service.get(name) ?? 0, oldest.arrival, oldest.id] };
  });
  const first = (left: number[], right: number[]): number => left.map((value, index) => value - right[index]!).find((by) => by !== 0) ?? 0;
  return keys.sort((left, right) => first(left.key, right.key)).map(({ name }) => name);
}

function groupBy(entries: readonly Waiting[], nameOf: (entry: Waiting) => string): Map<string, Waiting[]> {
  const groups = new Map<string, Waiting[]>();
  for (const entry of entries) orPut(groups, nameOf(entry), () => []).push(entry);
  return groups;
}

function overdueIn(model: Model, entry: Waiting, now: number, patience: number): boolean {
  const turns = turnsOf(model, entry);
  const early = turns.findLastIndex(({ name }) => name === 'early');
  const others = turns.slice(early + 1).some(({ at }) => at >= entry.arrival);
  return others && now - Math.max(entry.arrival, turns[early]?.at ?? -Infinity) >= patience;
}

export function modelPick(model: Model, now: number, verdict: (entry: Waiting) => Verdict, { patience }: Shares): Waiting | undefined {
  const tenants = groupBy(model.waiting, ({ tenant }) => tenant);
  for (const tenant of orderOf(model.tenants, tenants, now, patience)) {
    const flows = groupBy(tenants.get(tenant)!, ({ flow }) => flow);
    for (const flow of orderOf(flowLevel(model, tenant), flows, now, patience)) {
      const due = flows.get(flow)!.filter((entry) => overdueIn(model, entry, now, patience));
      const rest = flows.get(flow)!.filter((entry) => !due.includes(entry));
      for (const entry of [...due.sort(age), ...rest.sort(rank)]) {
        const answer = verdict(entry);
        if (answer === 'stop') return undefined;
        if (answer === 'skip') break;
        if (answer === 'later') continue;
        modelAdmit(model, entry, now);
        turnsOf(model, entry).push({ name: due.includes(entry) ? 'early' : 'ordered', at: now });
        return entry;
      }
    }
  }
  return undefined;
}
