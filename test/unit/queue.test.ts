import { describe, expect, test } from 'vitest';
import { createWaitQueue } from '../../src/engine/queue.ts';
import type { Verdict, Waiting, WaitQueue } from '../../src/engine/queue.ts';
import { createRandom, emptyModel, levels, modelAdd, modelAdmit, modelCharge, modelPick, modelRemove } from './queue-model.ts';
import type { Model, Random, Shares } from './queue-model.ts';

const PATIENCE = 3000;
let lastId = 0;
const weights: Readonly<Record<string, number>> = { heavy: 3, 'adapter 1': 2 };
const shares: Shares = { patience: PATIENCE, weight: (name) => weights[name] ?? 1 };
const makeQueue = ({ patience, weight }: Shares = shares): WaitQueue<Waiting> =>
  createWaitQueue({ tenantWeight: weight, flowWeight: weight, patience });
const entry = (fields: Partial<Waiting> = {}): Waiting => ({
  id: (lastId += 1),
  tenant: '',
  priority: 0,
  arrival: 0,
  flow: '',
  work: 100,
  ...fields,
});
const admit = (): Verdict => 'admit';

function filled(...entries: Waiting[]): WaitQueue<Waiting> {
  const queue = makeQueue();
  for (const one of entries) queue.add(one);
  return queue;
}

function pickAll(queue: WaitQueue<Waiting>, now = 0): Waiting[] {
  const picked: Waiting[] = [];
  for (let next = queue.pick(now, admit); next !== undefined; next = queue.pick(now, admit)) picked.push(next);
  return picked;
}

describe('order', () => {
  test('within a flow by priority, then arrival, then id', () => {
    const [d, c, b, a] = [{ priority: 1 }, { arrival: 5, id: 900_002 }, { arrival: 5, id: 900_001 }, { priority: -1, arrival: 9 }].map(
      entry,
    );
    expect(pickAll(filled(d!, c!, b!, a!), 9)).toEqual([a, b, c, d]);
  });

  test('at each level priority goes before service, service before arrival, arrival before id', () => {
    for (const level of ['tenant', 'flow'] as const) {
      const [urgent, old, rested, other] = ['urgent', 'old', 'rested', 'other'].map((name) => ({ [level]: name }));
      const entries = [
        entry({ ...urgent, arrival: 4, priority: -1 }),
        entry({ ...rested, arrival: 3 }),
        entry({ ...other, arrival: 2 }),
        entry({ ...old, arrival: 2 }),
      ];
      const queue = filled(...entries);
      for (const { tenant, flow } of [entries[0]!, entries[2]!, entries[3]!]) queue.charge(tenant, flow, 10);
      expect(pickAll(queue, 4), level).toEqual(entries);
    }
  });

  test('service counts per weight, among tenants and among the flows of each', () => {
    const queue = filled(entry({ tenant: 'heavy' }), entry({ tenant: 'light' }));
    queue.charge('heavy', '', 29);
    queue.charge('light', '', 10);
    expect(queue.pick(0, admit)?.tenant).toBe('heavy');
    const flows = filled(entry({ flow: 'adapter 0' }), entry({ flow: 'adapter 1' }));
    flows.charge('', 'adapter 1', 19);
    flows.charge('', 'adapter 0', 10);
    flows.charge('someone else', 'adapter 1', 1000);
    expect(flows.pick(0, admit)?.flow).toBe('adapter 1');
  });

  test('flows within a quantum of service go by arrival, tenants do not', () => {
    const queue = createWaitQueue<Waiting>({ tenantWeight: () => 1, flowWeight: () => 1, patience: PATIENCE, flowQuantum: 100 });
    for (const flow of ['first', 'second']) for (const tenant of ['x', 'y']) queue.add(entry({ tenant, flow }));
    queue.charge('x', 'first', 99);
    expect(queue.pick(0, admit)).toMatchObject({ tenant: 'y', flow: 'first' });
    queue.charge('y', 'first', 150);
    expect(queue.pick(0, admit)).toMatchObject({ tenant: 'x', flow: 'first' });
    queue.charge('x', 'second', 10);
    expect(queue.pick(0, admit)).toMatchObject({ tenant: 'x', flow: 'second' });
  });

  test('verdicts: later asks the next of the flow, skip the next flow, stop nobody, and all are forgotten with the pick', () => {
    const entries = ['a', 'a', 'b', 'b', 'c'].map((flow) => entry({ flow }));
    const queue = filled(...entries, entry({ tenant: 'next', arrival: 1 }));
    const asked: Waiting[] = [];
    const ask =
      (...answers: Verdict[]) =>
      (one: Waiting): Verdict =>
        asked.push(one) <= answers.length ? answers[asked.length - 1]! : 'skip';
    expect(queue.pick(0, ask('later', 'later', 'skip', 'stop', 'admit'))).toBe(undefined);
    expect(asked).toEqual([entries[0], entries[1], entries[2], entries[4]]);
    asked.length = 0;
    expect(queue.pick(0, ask('later', 'later', 'later', 'admit'))).toBe(entries[3]);
    expect(queue.size).toBe(5);
    asked.length = 0;
    expect(queue.pick(0, ask())).toBe(undefined);
    expect(asked.map(({ tenant, flow }) => tenant + flow)).toEqual(['a', 'b', 'c', 'next']);
  });

  test('contents: has, size, entries, oldest, remove; what cannot be ordered is refused', () => {
    const [a, b] = [entry({ arrival: 7, priority: -1 }), entry({ arrival: 5, tenant: 'x' })];
    const queue = filled(a, b);
    expect([queue.size, queue.oldest(), queue.has(b), [...queue.entries()]]).toEqual([2, 5, true, [a, b]]);
    queue.remove(b);
    queue.remove(b);
    expect([queue.size, queue.oldest(), queue.has(b)]).toEqual([1, 7, false]);
    expect(() => queue.add(a)).toThrow(RangeError);
    expect(() => queue.add(entry({ arrival: NaN }))).toThrow(RangeError);
    expect(() => queue.charge('', '', NaN)).toThrow(RangeError);
    expect(() => makeQueue({ ...shares, patience: 0 })).toThrow(RangeError);
    expect(() => makeQueue({ ...shares, weight: () => 0 }).add(entry())).toThrow(RangeError);
    expect(pickAll(queue)).toEqual([a]);
    expect(queue.oldest()).toBe(undefined);
  });
});

describe('virtual counters', () => {
  test('who returns is lifted to the least of those that wait: idle time earns no credit', () => {
    const queue = filled(entry({ tenant: 'busy' }), entry({ tenant: 'busier' }), entry({ tenant: 'back', priority: -1 }));
    expect(queue.pick(0, admit)?.tenant).toBe('back');
    queue.charge('busy', '', 1000);
    queue.charge('busier', '', 2000);
    for (const tenant of ['new', 'back']) queue.add(entry({ tenant, arrival: 1 }));
    queue.charge('back', '', 2);
    queue.charge('new', '', 1);
    expect(pickAll(queue, 1).map(({ tenant }) => tenant)).toEqual(['busy', 'new', 'back', 'busier']);
  });

  test('it is never lowered, and where none waits it is lifted to who was served last', () => {
    const queue = filled(entry({ tenant: 'a' }));
    queue.charge('a', '', 500);
    queue.pick(0, admit);
    queue.charge('a', '', 500);
    queue.add(entry({ tenant: 'b', arrival: 1 })); // at 1000, as a
    queue.add(entry({ tenant: 'a', arrival: 2 }));
    queue.charge('a', '', 1);
    queue.add(entry({ tenant: 'c', arrival: 3 })); // at 1000 too, later than b
    expect(pickAll(queue, 3).map(({ tenant }) => tenant)).toEqual(['b', 'c', 'a']);
  });

  /** Tenants that come and go make the queue forget others. */
  const churn = (queue: WaitQueue<Waiting>, count: number): void => {
    for (let index = 0; index < count; index++) {
      const guest = entry({ tenant: `guest ${lastId}` });
      queue.add(guest);
      queue.remove(guest);
    }
  };

  test('who was admitted or charged lately is not forgotten', () => {
    const queue = filled(entry({ tenant: 'runs' }), entry({ tenant: 'waits', priority: 1 }), entry({ tenant: 'later' }));
    queue.charge('waits', '', 1000);
    churn(queue, 200);
    expect([queue.pick(0, admit)?.tenant, queue.pick(0, admit)?.tenant]).toEqual(['runs', 'later']);
    for (let times = 0; times < 5; times++) {
      churn(queue, 66);
      queue.charge('runs', '', 2); // 10 in all: lifted to 1000 on return
    }
    queue.add(entry({ tenant: 'runs', priority: 1, arrival: 1 }));
    queue.charge('waits', '', 1);
    expect(queue.pick(1, admit)?.tenant).toBe('runs');
  });

  test('who was forgotten is charged as if it had just come back', () => {
    const queue = filled(entry({ tenant: 'waits' }));
    queue.charge('waits', '', 1000);
    queue.charge('forgotten', '', 5);
    queue.add(entry({ tenant: 'forgotten', arrival: 1 }));
    queue.charge('waits', '', 4);
    expect(queue.pick(1, admit)?.tenant).toBe('waits');
  });

  test('the one served last is remembered for whom to lift', () => {
    const queue = filled(entry({ tenant: 'last' }));
    queue.pick(0, admit);
    churn(queue, 200);
    queue.charge('last', '', 1000);
    for (const tenant of ['new', 'last']) queue.add(entry({ tenant, arrival: 1 }));
    queue.charge('new', '', 1);
    expect(queue.pick(1, admit)?.tenant).toBe('last');
  });

  test('idle tenants and flows are forgotten', () => {
    for (const level of ['tenant', 'flow'] as const) {
      const queue = makeQueue();
      for (let index = 0; index < 10_000; index++) {
        queue.add(entry({ [level]: `${level} ${index}`, arrival: index }));
        const { tenant, flow } = queue.pick(index, admit)!;
        queue.charge(tenant, flow, 100);
      }
      expect(queue.remembered, level).toBeLessThan(300);
    }
  });

  test('they are, up to a limit, even where one that is never admitted holds the least counter', () => {
    for (const level of ['tenant', 'flow'] as const) {
      const queue = filled(entry({ [level]: 'stuck' }));
      for (let index = 0; index < 10_000; index++) {
        queue.add(entry({ [level]: `${level} ${index}`, arrival: index }));
        const { tenant, flow } = queue.pick(index, (one) => (one[level] === 'stuck' ? 'skip' : 'admit'))!;
        queue.charge(tenant, flow, 100);
      }
      expect(queue.remembered, level).toBeLessThan(2500);
    }
  });
});

describe('patience', () => {
  test('a tenant, a flow, and an entry that were passed over for 3 s are next, once', () => {
    for (const level of ['tenant', 'flow', 'entry'] as const) {
      const name = (value: string): object => (level === 'entry' ? {} : { [level]: value });
      const patient = [entry({ ...name('patient'), priority: 1 }), entry({ ...name('patient'), priority: 1, arrival: 1 })];
      const queue = filled(...patient, ...Array.from({ length: 9 }, (_, index) => entry({ ...name('urgent'), arrival: index })));
      const turns = [2998, 2999, 3000, 4000, 5999, 6001, 6002].map((now) => queue.pick(now, admit)!.priority);
      expect(turns, level).toEqual([0, 0, 1, 0, 0, 1, 0]);
    }
  });

  test('it goes before priority, never before fair shares: who had more service waits until the one admitted last has as much', () => {
    for (const level of ['tenant', 'flow'] as const) {
      const queue = filled(entry({ [level]: 'patient', priority: 1 }), ...[1, 2, 3, 4].map(() => entry({ [level]: 'urgent' })));
      const charge = (name: string, units: number): void =>
        level === 'tenant' ? queue.charge(name, '', units) : queue.charge('', name, units);
      charge('patient', 20);
      const turns = [2000, 3000, 4000, 5000].map((now) => {
        const picked = queue.pick(now, admit)!;
        charge(picked[level], 10);
        return picked.priority;
      });
      expect(turns, level).toEqual([0, 0, 1, 0]);
    }
  });

  test('nobody is passed over while nobody else is admitted', () => {
    for (const level of ['tenant', 'flow', 'entry'] as const) {
      const name = (value: string): object => (level === 'entry' ? {} : { [level]: value });
      const queue = filled(entry({ ...name('patient'), priority: 1 }), entry({ ...name('urgent'), arrival: 4000 }));
      expect(queue.pick(5000, admit)?.priority, level).toBe(0);
    }
  });

  test('the longest wait goes first', () => {
    for (const level of ['tenant', 'flow'] as const) {
      const waits = [30, 10, 20].map((arrival) => entry({ [level]: `from ${arrival}`, arrival, priority: arrival === 10 ? 9 : 5 }));
      const queue = filled(...waits, entry({ [level]: 'urgent', arrival: 40 }), entry({ [level]: 'urgent', arrival: 40 }));
      expect(queue.pick(100, admit)?.priority).toBe(0);
      expect(pickAll(queue, 9000).map(({ arrival }) => arrival)).toEqual([10, 20, 30, 40]);
    }
  });
});

describe('forecast', () => {
  test('an early turn in thought is one turn, too', () => {
    const queue = filled(...[-1, 5, 5].map((priority) => entry({ flow: 'a', priority })));
    expect(queue.pick(2000, admit)?.priority).toBe(-1);
    for (const late of [{ flow: 'a', priority: -1 }, { flow: 'b' }, { flow: 'c', tenant: 'other' }])
      queue.add(entry({ ...late, arrival: 3400 }));
    queue.charge('other', 'c', 250);
    expect(queue.upcoming(3, 3500)).toEqual(['a', 'b', 'c']);
    queue.charge('other', 'c', 0);
    queue.charge('', 'a', 100);
    expect(queue.upcoming(3, 3500)).toEqual(['a', 'c', 'b']);
  });

  test('as many as there are, each once, none for the base model', () => {
    const queue = filled(...['', 'a', 'a', 'b'].map((flow) => entry({ flow })), entry({ tenant: 'other', flow: 'a' }));
    expect([queue.upcoming(9, 0), queue.upcoming(1, 0), queue.upcoming(0, 0), makeQueue().upcoming(9, 0)]).toEqual([
      ['a', 'b'],
      ['a'],
      [],
      [],
    ]);
    while (queue.pick(0, ({ flow }) => (flow === 'a' ? 'admit' : 'skip')) !== undefined);
    expect(queue.upcoming(9, 0)).toEqual(['b']);
  });
});

/** Serves a flooder beside others with shorter requests that always wait, too; answers what share of the service it got. `pace` is ms a pick. */
function shareOf(random: Random, by: 'tenant' | 'flow', weight: Shares['weight'], others: number, pace: number): number {
  const queue = makeQueue({ patience: PATIENCE, weight });
  const arrive = (name: string, now: number): void => {
    const flow = name === 'flooder' && by === 'tenant' ? { flow: `adapter ${random.below(100)}` } : {};
    queue.add(entry({ ...flow, [by]: name, arrival: now, work: 1 + random.below(name === 'flooder' ? 1000 : 100) }));
  };
  for (let index = 0; index < 500; index++) arrive('flooder', 0);
  for (let index = 0; index < 2 * others; index++) arrive(`other ${index % others}`, 0); // two of each, so that one always waits
  let [served, all] = [0, 0];
  for (let now = 1; now < 4000 * pace; now += 1 + random.below(2 * pace)) {
    const picked = queue.pick(now, admit)!;
    queue.charge(picked.tenant, picked.flow, picked.work);
    all += picked.work;
    if (picked[by] === 'flooder') served += picked.work;
    arrive(picked[by], now);
  }
  return served / all;
}

describe('shares', () => {
  test.each([20, 100, 500, 2000])(
    'who floods gets at most 1.1 times its share while others wait, at %d ms a pick',
    (pace) => {
      for (let seed = 1; seed <= 3; seed++) {
        for (const by of ['tenant', 'flow'] as const) {
          for (const [flooder, other, others] of [
            [1, 1, 1],
            [1, 3, 1],
            [3, 1, 1],
            [1, 1, 8],
          ] as const) {
            const weight = (name: string): number => (name === 'flooder' ? flooder : name.startsWith('other') ? other : 1);
            const share = shareOf(createRandom(seed), by, weight, others, pace) / (flooder / (flooder + other * others));
            expect(share, `${by} ${flooder}:${other}, ${others} others, seed ${seed}`).toBeLessThan(1.1);
            expect(share).toBeGreaterThan(0.9);
          }
        }
      }
    },
    60_000,
  );
});

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

describe('cost', () => {
  test('4096 entries: a pick looks at few of them, and at each a few times where all are refused', () => {
    for (const level of ['tenant', 'flow', 'priority'] as const) {
      let looks = 0;
      class Counted {
        readonly id = (lastId += 1);
        readonly [key: string]: unknown;
        readonly index: number;
        constructor(index: number) {
          this.index = index;
          Object.assign(this, {
            tenant: '',
            flow: 'adapter',
            priority: 0,
            work: 100,
            [level]: level === 'priority' ? index : `${level} ${index}`,
          });
        }
        get arrival(): number {
          looks += 1;
          return this.index;
        }
      }
      const all = Array.from({ length: 4096 }, (_, index) => new Counted(index) as unknown as Waiting);
      const queue = filled(...all);
      queue.pick(5000, admit);
      const acts: [act: () => unknown, most: number][] = [
        [() => queue.remove(all[3000]!), 500],
        [() => queue.add(all[3000]!), 500],
        [() => queue.pick(9000, admit), 1000],
        [() => queue.upcoming(32, 9000), 32_000],
        [() => queue.pick(9000, () => 'later'), 4096 * 20],
      ];
      for (const [act, most] of acts) {
        looks = 0;
        act();
        expect(looks, `${act}, ${level}`).toBeLessThan(most);
      }
    }
  });

  test('a forecast does not follow a long line to its end', () => {
    let looks = 0;
    const long = Array.from({ length: 4096 }, () => entry({ flow: 'long', priority: -1 }));
    for (const one of long) Object.defineProperty(one, 'work', { get: () => ((looks += 1), 100) });
    const queue = filled(...long, entry({ flow: 'behind' }), entry({ tenant: 'base', flow: '' }));
    expect(queue.upcoming(5, 0)).toEqual(['long', 'behind']);
    expect(queue.upcoming(1, 0)).toEqual(['long']);
    expect(looks).toBeLessThan(100);
    expect(queue.size).toBe(4098);
  });
});
