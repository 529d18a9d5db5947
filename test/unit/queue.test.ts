import { describe, expect, test } from 'vitest';
import { createWaitQueue } from '../../src/engine/queue.ts';
import type { Verdict, Waiting, WaitQueue } from '../../src/engine/queue.ts';
import { admit, entry, filled, makeQueue, nextId, PATIENCE, pickAll, shares } from './queue-entries.ts';

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
      const guest = entry({ tenant: `guest ${nextId()}` });
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
