import { describe, expect, test } from 'vitest';
import type { Waiting } from '../../src/engine/queue.ts';
import { admit, entry, filled, makeQueue, nextId, PATIENCE, pickAll } from './queue-entries.ts';
import { createRandom } from './queue-model.ts';
import type { Random, Shares } from './queue-model.ts';

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

describe('cost', () => {
  test('4096 entries: a pick looks at few of them, and at each a few times where all are refused', () => {
    for (const level of ['tenant', 'flow', 'priority'] as const) {
      let looks = 0;
      class Counted {
        readonly id = nextId();
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
