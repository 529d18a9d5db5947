import { describe, expect, test } from 'vitest';
import { PATIENCE_MS } from '../../src/engine/admission.ts';
import type { Sequence, SequenceRequest } from '../../src/engine/sequence.ts';
import { createRandom, type Random } from './core-random.ts';
import { createSmall, one, type Small } from './core-small.ts';

const STEP_MS = 20;

/** Keeps so many requests waiting, whatever runs, until somebody in particular has begun; returns the milliseconds that it waited. */
function waitAmong(small: Small, flood: () => void, victim: Sequence, bound: number): number {
  const { scheduler, queue } = small.core;
  while (victim.admissions === 0) {
    if (small.now - victim.arrival > bound) throw new Error(`It waited ${bound} ms, and ${scheduler.counts().waiting} wait`);
    while (queue.size < 24) flood();
    small.run();
    small.now += STEP_MS;
  }
  return small.now - victim.arrival;
}

describe('nobody starves who waits beside an endless flood', () => {
  const ANSWER = 10; // rows of the longest answer in the flood: so many steps until everyone who ran has left
  const BOUND = PATIENCE_MS + (ANSWER + 8) * STEP_MS;
  const flooded = (small: Small, random: Random, more: Partial<SequenceRequest> = {}) => {
    for (const name of ['a', 'b', 'c', 'd']) small.read(name, 3);
    return (): void => {
      const adapter = random.pick(['', '', 'a', 'b', 'c']);
      small.add(random.between(1, 20), random.between(1, ANSWER), { ...(adapter === '' ? {} : one(adapter)), priority: -1, ...more });
    };
  };

  test.each<[string, number, Partial<SequenceRequest>]>([
    ['of more urgent requests', 5, {}],
    ['with a long prompt', 200, {}],
    ['with an adapter that is not there', 5, one('d')],
    ['with a blend', 5, one('a', 'd')],
    ['with a row that not all have', 5, { slots: 'adjusted' }],
    ['for prompt logits', 40, { logits: 'prompt' }],
    ['as another tenant', 5, { tenant: 'other' }],
  ])('%s', (_, prompt, more) => {
    const small = createSmall({ pages: 20, sequences: 6, adapters: 3, adjustRows: 1 });
    const flood = flooded(small, createRandom(prompt));
    for (let i = 0; i < 40; i++) {
      flood();
      small.run();
      small.now += STEP_MS;
    }
    const victim = small.add(prompt, 2, more);
    expect(waitAmong(small, flood, victim, BOUND)).toBeLessThanOrEqual(BOUND);
  });

  test('of others who begin like itself', () => {
    const small = createSmall({ pages: 20, sequences: 6 });
    const text = Array.from({ length: 40 }, (_, i) => i);
    const random = createRandom(1);
    const flood = (): void => void small.add([...text, random.below(100)], random.between(1, ANSWER), { priority: -1 });
    for (let i = 0; i < 20; i++) {
      flood();
      small.run();
    }
    const victim = small.add([...text, 5], 2);
    expect(waitAmong(small, flood, victim, BOUND)).toBeLessThanOrEqual(BOUND);
  });

  test('and each of several has its turn, one every three seconds', () => {
    const small = createSmall({ pages: 20, sequences: 6, adapters: 3 });
    const flood = flooded(small, createRandom(3));
    const victims = ['', 'a', 'd', 'd'].map((adapter, i) => small.add(5, 2, { ...(adapter === '' ? {} : one(adapter)), priority: i }));
    for (const victim of victims) waitAmong(small, flood, victim, 3 * BOUND);
  });
});

test('who was given less is next: a prompt token counts once, an answer token twice', () => {
  const small = createSmall({ sequences: 1 });
  const [talks, reads] = [{ tenant: 'talks' }, { tenant: 'reads' }];
  const [first, second] = [small.add(10, 2, reads), small.add(1, 20, talks)];
  const [third, last] = [small.add(10, 2, talks), small.add(10, 2, reads)];
  const order: Sequence[] = [];
  for (let i = 0; i < 40; i++) for (const { sequence } of small.run().work) if (!order.includes(sequence)) order.push(sequence);
  expect(order.map(({ id }) => id)).toEqual([first, second, last, third].map(({ id }) => id));
});

describe('over random loads', () => {
  /** Some seconds of a saturated engine; returns the longest time from arrival to admission. */
  const longestWait = (seed: number): number => {
    const random = createRandom(seed);
    const sequences = random.between(2, 6);
    const rows = { sequences, adjustRows: random.between(1, sequences) };
    const small = createSmall({ ...rows, pages: random.between(8, 24), adapters: random.between(1, 4) });
    const names = ['', '', 'a', 'b', 'c', 'd', 'e'].slice(0, random.between(1, 7));
    for (const name of names) small.read(name, random.between(1, 4));
    const arrive = (): Sequence => {
      const adapters = new Set([random.pick(names), random.chance(0.2) ? random.pick(names) : '']);
      adapters.delete('');
      const slots = random.chance(0.2) ? 'adjusted' : 'any';
      return small.add(random.between(1, 60), random.between(1, 20), { ...one(...adapters), slots });
    };
    let open = Array.from({ length: 12 }, arrive);
    let longest = 0;
    for (; small.now < 20_000; small.now += STEP_MS) {
      small.run(random.between(1, 3));
      for (const { admissions, arrival } of open) if (admissions === 0) longest = Math.max(longest, small.now - arrival);
      open = open.map((sequence) => (sequence.phase === 'finished' ? arrive() : sequence));
    }
    return longest;
  };

  test('nobody waits for longer than a few turns of three seconds', () => {
    const waits = Array.from({ length: 20 }, (_, seed) => longestWait(seed));
    expect(Math.max(...waits)).toBeLessThan(4 * PATIENCE_MS);
    expect(Math.min(...waits)).toBeLessThan(PATIENCE_MS);
  });
});
