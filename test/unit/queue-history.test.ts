import { describe, expect, test } from 'vitest';
import type { Verdict, Waiting, WaitQueue } from '../../src/engine/queue.ts';
import { admit, entry, makeQueue, PATIENCE, pickAll, shares } from './queue-entries.ts';
import { createRandom, emptyModel, levels, modelAdd, modelAdmit, modelCharge, modelPick, modelRemove } from './queue-model.ts';
import type { Model } from './queue-model.ts';

/** One random history of a queue beside its model. */
function compareHistory(
  seed: number,
  names: { readonly tenants: number; readonly flows: number },
  length: number,
): { remembered: number; seen: number } {
  const random = createRandom(seed);
  const [queue, model] = [makeQueue(), emptyModel()];
  const recent: Waiting[] = [];
  const salt = random.below(1000);
  const many = names.tenants * names.flows > 100;
  let now = 0;
  const seen = new Set<string>();
  const arrive = (): void => {
    const [tenant, flow] = [random.below(names.tenants), random.below(names.flows)];
    const added = entry({
      tenant: tenant === 0 ? 'heavy' : `tenant ${tenant}`,
      flow: flow === 0 ? '' : `adapter ${flow}`,
      priority: random.below(3) - 1,
      arrival: many || random.chance(0.8) ? now : Math.max(0, now - random.below(9000)),
      work: random.below(1000),
    });
    seen.add(added.tenant).add(`${added.tenant} ${added.flow}`);
    queue.add(added);
    modelAdd(model, added);
  };
  const leave = (): void => {
    const gone = model.waiting[random.below(model.waiting.length)];
    if (gone === undefined) return;
    queue.remove(gone);
    modelRemove(model, gone);
  };
  const pick = (): void => {
    const mood = random.below(6);
    const verdict = ({ id }: Waiting): Verdict =>
      mood < 3 ? 'admit' : (['admit', 'later', 'skip', 'later', 'stop'] as const)[(id * mood + salt) % 5]!;
    const asked: [number[], number[]] = [[], []];
    const [mine, theirs] = [
      queue.pick(now, (one) => (asked[0].push(one.id), verdict(one))),
      modelPick(model, now, (one) => (asked[1].push(one.id), verdict(one)), shares),
    ];
    if (`${asked[0]}` !== `${asked[1]}` || mine !== theirs) expect([asked[0], mine], `seed ${seed}`).toEqual([asked[1], theirs]);
    if (mine === undefined) return;
    recent.unshift(mine);
    recent.length = Math.min(recent.length, 10);
  };
  const charge = (): void => {
    const paying = recent[random.below(recent.length)];
    if (paying === undefined) return;
    const units = random.below(500);
    queue.charge(paying.tenant, paying.flow, units);
    modelCharge(model, paying.tenant, paying.flow, units, shares);
  };
  for (let step = 0; step < length; step++) {
    now += random.chance(0.5) ? 0 : random.below(1500);
    random.of([arrive, arrive, arrive, pick, pick, pick, ...(many ? [pick, pick] : []), charge, charge, leave])();
    if (queue.size !== model.waiting.length) throw new Error(`${queue.size} wait, seed ${seed}`);
    if (!many && random.chance(0.1)) compareUpcoming(queue, model, 1 + random.below(6), now);
  }
  return { remembered: queue.remembered, seen: seen.size };
}

/** What real picks would give, each charged with its work, for as far as the queue looks entry by entry. */
function compareUpcoming(queue: WaitQueue<Waiting>, model: Model, count: number, now: number): void {
  const copy = structuredClone(model);
  const waiting = new Set(model.waiting.map(({ flow }) => flow));
  waiting.delete('');
  const expected = new Set<string>();
  const wanted = Math.min(count, waiting.size);
  const upcoming = queue.upcoming(count, now);
  for (let picks = 0; picks < 8 * wanted && expected.size < wanted; picks++) {
    const { tenant, flow, work } = modelPick(copy, now, admit, shares)!;
    modelCharge(copy, tenant, flow, work, shares);
    if (flow !== '') expected.add(flow);
  }
  expect(upcoming.slice(0, expected.size)).toEqual([...expected]);
  expect([upcoming.length, new Set(upcoming).size]).toEqual([wanted, wanted]);
}

/**
 * A history without rest: urgent entries come faster than any are picked. Checks that nothing is picked twice or lost, that tenants and
 * flows that had no less service go before another few times once its patience is over, and, where nothing is charged, so that all had the
 * same, that each tenant, flow and entry has its turn in time.
 */
function starve(seed: number, isCharged: boolean): void {
  const random = createRandom(seed);
  const [queue, model] = [makeQueue(), emptyModel()]; // the model keeps the counters here
  const size = { tenants: 1 + random.below(3), flows: 1 + random.below(3) };
  const open = new Map<Waiting, { readonly older: number }>();
  const done = new Set<Waiting>();
  const admitted = new Map<string, number>();
  const passes = new Map<string, number>();
  let now = 0;
  const keys = ({ tenant, flow }: Waiting): [string, string] => [tenant, `${tenant} ${flow}`];
  const add = (): void => {
    const [tenant, flow] = [`${random.below(size.tenants)}`, `${random.below(size.flows)}`];
    const added = entry({ tenant, flow, arrival: now, priority: random.chance(0.1) ? random.below(9) : -1 - random.below(2) });
    open.set(added, { older: [...open.keys()].filter((other) => keys(other)[1] === keys(added)[1]).length });
    queue.add(added);
    modelAdd(model, added);
  };
  /** Counts the turns that others with no less service took after their `patience` was over. */
  const pass = (picked: Waiting, level: 0 | 1, rivals: number): void => {
    const { service } = levels(model, picked)[level]![0];
    const servedOf = (key: string): number => service.get(key.split(' ')[level]!) ?? 0;
    // Each is due after such a turn, so between two of them goes another that is due for longer, once.
    const most = isCharged ? 2 * rivals - 1 : rivals;
    const oldest = new Map<string, number>();
    for (const other of open.keys()) {
      if (level === 1 && other.tenant !== picked.tenant) continue;
      const key = keys(other)[level];
      oldest.set(key, Math.min(oldest.get(key) ?? Infinity, other.arrival));
    }
    for (const [key, arrival] of oldest) {
      if (key === keys(picked)[level] || now - Math.max(arrival, admitted.get(key) ?? 0) < PATIENCE) continue;
      if (servedOf(keys(picked)[level]) < servedOf(key)) continue;
      passes.set(key, (passes.get(key) ?? 0) + 1);
      if (passes.get(key)! > most) throw new Error(`${['tenant', 'flow'][level]} ${key} starves, seed ${seed}`);
    }
    passes.set(keys(picked)[level], 0);
  };
  // A tenant waits this long at most between two turns, then a flow of it, then an entry behind no older one for its flow's early turn.
  const tenantWait = PATIENCE + 1000 * (size.tenants + 1);
  const flowWait = PATIENCE + tenantWait * (size.flows + 1);
  const entryWait = PATIENCE + 2 * flowWait;
  const isLate = ({ arrival }: Waiting, { older }: { readonly older: number }): boolean =>
    !isCharged && now - arrival > flowWait + entryWait * (1 + older);
  for (let step = 0; step < 120; step++) {
    now += 500 + random.below(500);
    for (let count = step === 0 ? 9 : random.below(4); count > 0; count--) add();
    const picked = queue.pick(now, admit);
    if (picked === undefined) continue;
    if (done.has(picked) || !open.has(picked)) throw new Error(`picked twice, seed ${seed}`);
    pass(picked, 0, size.tenants);
    pass(picked, 1, size.flows);
    if (isLate(picked, open.get(picked)!)) throw new Error(`late, seed ${seed}`);
    open.delete(picked);
    done.add(picked);
    for (const key of keys(picked)) admitted.set(key, now);
    modelAdmit(model, picked, now);
    const units = isCharged ? (random.chance(0.1) ? 1e6 : random.below(1000)) : 0;
    queue.charge(picked.tenant, picked.flow, units);
    modelCharge(model, picked.tenant, picked.flow, units, shares);
  }
  for (const [waiting, place] of open) if (isLate(waiting, place)) throw new Error(`entry ${waiting.id} starves, seed ${seed}`);
  const rest = pickAll(queue, now);
  expect(new Set(rest)).toEqual(new Set(open.keys()));
  expect([rest.length, queue.size, queue.oldest()]).toEqual([open.size, 0, undefined]);
}

describe('random histories', () => {
  test('the order is that of the model, for picks, refusals and forecasts', () => {
    for (let seed = 1; seed <= 2000; seed++) compareHistory(seed, { tenants: 1 + (seed % 4), flows: 1 + (seed % 5) }, 60);
  }, 120_000);

  test('nobody notices who was forgotten', () => {
    for (let seed = 1; seed <= 10; seed++) {
      for (const names of [
        { tenants: 2000, flows: 1 },
        { tenants: 1, flows: 2000 },
      ]) {
        const { remembered, seen } = compareHistory(seed, names, 2000);
        expect(remembered).toBeLessThan(0.8 * seen);
      }
    }
  });

  test('nothing is lost or picked twice, nobody starves', () => {
    for (let seed = 1; seed <= 1000; seed++) starve(seed, seed % 2 === 0);
  }, 120_000);
});
