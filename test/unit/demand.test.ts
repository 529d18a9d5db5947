import { describe, expect, test } from 'vitest';
import { createContents } from '../../src/engine/contents.ts';
import { createDemand } from '../../src/engine/demand.ts';
import { createSequence, type Sequence } from '../../src/engine/sequence.ts';
import { one } from './core-small.ts';
import { check, createRandom } from './core-random.ts';

const sequenceOf = (...adapters: readonly string[]): Sequence =>
  createSequence({ id: 0, prompt: [1], maxTokens: 1, logits: 'sampled', arrival: 0, ...one(...adapters) });

function createBoth() {
  const contents = createContents();
  const demand = createDemand(contents);
  const identify = (adapter: string, digest: string): void => {
    const before = contents.identify(adapter, digest);
    if (before !== digest) demand.identify(adapter, before, digest);
  };
  const forget = (adapter: string): void => {
    const { content } = contents.forget(adapter);
    if (content !== adapter) demand.identify(adapter, content, adapter);
  };
  return { contents, demand, identify, forget };
}

describe('who needs which content', () => {
  test('two parts that turn out to be one count as one, and are gone with their sequence', () => {
    for (const when of ['before', 'between', 'after'] as const) {
      const { demand, identify } = createBoth();
      const sequence = sequenceOf('a', 'b');
      if (when === 'before') identify('a', 'D');
      demand.count(sequence, 'running', 1);
      if (when !== 'before') identify('a', 'D');
      if (when === 'between') identify('b', 'D');
      const distinct = when === 'between' ? 1 : 2;
      expect([demand.running(), demand.inUse('D'), demand.fresh(['a', 'b', 'c'])]).toEqual([distinct, true, 1]);
      if (when !== 'between') identify('b', 'D');
      expect([demand.running(), demand.inUse('D'), demand.inUse('b')]).toEqual([1, true, false]);
      demand.count(sequence, 'running', -1);
      expect([demand.running(), demand.inUse('D'), demand.inUse('a')]).toEqual([0, false, false]);
    }
  });

  test('what a flow waits for follows what its adapters stand for', () => {
    const { demand, identify, forget } = createBoth();
    const sequence = sequenceOf('a', 'b');
    demand.count(sequence, 'waiting', 1);
    expect(demand.adaptersOf(sequence.flow)).toEqual(['a', 'b']);
    identify('a', 'D');
    expect(demand.adaptersOf(sequence.flow)).toEqual(['D', 'b']);
    identify('b', 'D');
    expect(demand.adaptersOf(sequence.flow)).toEqual(['D']);
    forget('a');
    expect(demand.adaptersOf(sequence.flow)).toEqual(['a', 'D']);
    demand.count(sequence, 'waiting', -1);
    expect([demand.adaptersOf(sequence.flow), demand.place('a'), demand.place('D')]).toEqual([[], undefined, undefined]);
  });

  test('places are those of the last forecast, far behind where it has none, and none where nobody waits', () => {
    const { demand, identify } = createBoth();
    for (const name of ['a', 'b', 'c']) demand.count(sequenceOf(name), 'waiting', 1);
    demand.expect(['b', 'x', 'a', 'b'], 'far');
    expect(['a', 'b', 'c', 'x'].map(demand.place)).toEqual([2, 0, Infinity, undefined]);
    identify('c', 'x');
    expect(['c', 'x'].map(demand.place)).toEqual([undefined, 1]);
    demand.expect(['a'], 'near');
    expect(['a', 'x'].map(demand.place)).toEqual([0, 1]);
    demand.expect([], 'near');
    expect(['a', 'x'].map(demand.place)).toEqual([2, 1]);
    demand.expect([], 'far');
    expect(['a', 'x'].map(demand.place)).toEqual([Infinity, Infinity]);
  });

  test('a sequence that has an adapter twice counts once', () => {
    const { demand } = createBoth();
    const twice = sequenceOf('a', 'a');
    demand.count(twice, 'running', 1);
    demand.count(twice, 'running', -1);
    expect([demand.running(), demand.inUse('a')]).toEqual([0, false]);
  });

  test('over random histories counts are what a plain list of sequences says', () => {
    for (let seed = 0; seed < 500; seed++) history(seed);
  });
});

function history(seed: number): void {
  const random = createRandom(seed);
  const { contents, demand, identify, forget } = createBoth();
  const held: { readonly sequence: Sequence; readonly what: 'waiting' | 'running' }[] = [];
  const names = Array.from({ length: 5 }, (_, i) => `a${i}`);
  const digests = ['D0', 'D1', 'D2'];
  for (let i = 0; i < 60; i++) {
    const dice = random.below(4);
    if (dice === 0) {
      const what = random.pick(['waiting', 'running'] as const);
      const sequence = sequenceOf(...Array.from({ length: random.between(1, 3) }, () => random.pick(names)));
      held.push({ sequence, what });
      demand.count(sequence, what, 1);
    } else if (dice === 1 && held.length > 0) {
      const [{ sequence, what }] = held.splice(random.below(held.length), 1) as [(typeof held)[number]];
      demand.count(sequence, what, -1);
    } else if (dice === 2) identify(random.pick(names), random.pick(digests));
    else if (random.chance(0.3)) forget(random.pick(names));
    const contentsOf = ({ parts }: Sequence): string[] => parts.map(({ adapter }) => contents.of(adapter));
    const having = (what: string): Set<string> => new Set(held.flatMap((each) => (each.what === what ? contentsOf(each.sequence) : [])));
    const [running, waiting] = [having('running'), having('waiting')];
    check(demand.running() === running.size, 'wrong number of contents in use');
    check(demand.fresh(names) === new Set(names.map(contents.of).filter((content) => !running.has(content))).size, 'wrong fresh');
    for (const content of [...names, ...digests]) {
      check(demand.inUse(content) === running.has(content), `${content}: wrong in use`);
      check((demand.place(content) !== undefined) === waiting.has(content), `${content}: wrong place`);
    }
    for (const { sequence, what } of held) {
      if (what !== 'waiting') continue;
      const flow = [...demand.adaptersOf(sequence.flow)].sort().join();
      check(flow === [...new Set(contentsOf(sequence))].sort().join(), 'a flow waits for something else');
    }
  }
}
