import { describe, expect, test } from 'vitest';
import { createLowerTiers, type Move } from '../../src/adapters/lower-tiers.ts';
import { facts } from './core-small.ts';
import { check, createRandom } from './core-random.ts';

interface World {
  readonly resident: Set<string>;
  readonly uploading: Set<string>;
  readonly places: Map<string, number>;
}

function createTiers(heapBytes: number, diskBytes: number) {
  const world: World = { resident: new Set(), uploading: new Set(), places: new Map() };
  const moves: Move[] = [];
  let now = 0;
  const lower = createLowerTiers({
    ...{ heapBytes, diskBytes, clock: () => now },
    place: (content) => world.places.get(content),
    isResident: (content) => world.resident.has(content),
    isUploading: (content) => world.uploading.has(content),
    moved: (move) => void moves.push(move),
  });
  const told = (): string[] => moves.splice(0).map(({ tier, kind, content }) => `${tier} ${kind} ${content}`);
  const arrive = (content: string, bytes: number, from: 'disk' | 'origin' = 'origin', only?: 'copy'): string[] => {
    now += 1;
    lower.arrived(facts(content, bytes), from, only);
    return told();
  };
  return { ...world, lower, told, arrive };
}

describe('in memory', () => {
  test('who arrives makes others leave, those nobody waits for first, then those behind it', () => {
    const { arrive, places, lower } = createTiers(10, 0);
    places.set('waits', 3).set('sooner', 1).set('later', 5);
    for (const content of ['idle', 'later', 'waits']) expect(arrive(content, 3)).toEqual([`heap load ${content}`]);
    expect(arrive('sooner', 3)).toEqual(['heap load sooner', 'heap evict idle']);
    places.set('new', 4);
    expect(arrive('new', 3)).toEqual(['heap load new', 'heap evict later']);
    places.set('last', 9);
    expect(arrive('last', 3)).toEqual(['heap load last']); // all others are needed sooner: it stays beside them
    expect([lower.heap.bytes(), lower.heap.has('last')]).toEqual([12, true]);
    places.delete('last');
    lower.settle();
    expect([lower.heap.bytes(), lower.heap.has('last')]).toEqual([9, false]);
  });

  test('who arrives stays until the next call, though nobody waits for it', () => {
    const { arrive, lower, told } = createTiers(0, 0);
    expect(arrive('a', 3)).toEqual(['heap load a']);
    lower.settle();
    expect([told(), lower.heap.bytes()]).toEqual([['heap evict a'], 0]);
  });

  test('what is on the GPU needs no copy here, but what is being written does', () => {
    const { arrive, resident, uploading, places } = createTiers(6, 0);
    for (const content of ['written', 'uploading']) {
      places.set(content, 0);
      resident.add(content);
      arrive(content, 3);
    }
    uploading.add('uploading');
    expect(arrive('a', 3)).toEqual(['heap load a', 'heap evict written']);
    expect(arrive('b', 3)).toEqual(['heap load b', 'heap evict a']);
  });

  test('a use is to be brought to the GPU', () => {
    const { arrive, lower } = createTiers(6, 0);
    arrive('a', 3);
    arrive('b', 3);
    lower.used('a');
    expect(arrive('c', 3)).toEqual(['heap load c', 'heap evict b']);
  });

  test('what arrives again is loaded once; what is forgotten leaves without a word', () => {
    const { arrive, lower, told } = createTiers(6, 0);
    expect([...arrive('a', 3), ...arrive('a', 3)]).toEqual(['heap load a']);
    lower.forget('a');
    lower.forget('never there');
    expect([told(), lower.heap.bytes()]).toEqual([[], 0]);
  });
});

describe('on disk', () => {
  const MUCH = 1000;

  test('lies what came from an origin, not what came from the disk', () => {
    const { arrive } = createTiers(MUCH, 10);
    expect(arrive('a', 3)).toEqual(['heap load a', 'disk load a']);
    expect(arrive('b', 3, 'disk')).toEqual(['heap load b']);
  });

  test('the least recently used leaves; being read and being brought to the GPU are uses', () => {
    const { arrive, lower } = createTiers(MUCH, 9);
    for (const content of ['a', 'b', 'c']) arrive(content, 3);
    lower.used('a');
    arrive('b', 3, 'disk');
    expect(arrive('d', 3)).toEqual(['heap load d', 'disk evict c', 'disk load d']);
    expect(arrive('e', 3)).toEqual(['heap load e', 'disk evict a', 'disk load e']);
  });

  test('what is waited for and lies nowhere else stays; where that is all there is, nothing is kept or evicted', () => {
    const { arrive, lower, places, resident, told } = createTiers(0, 6);
    for (const content of ['a', 'b']) arrive(content, 3);
    lower.settle();
    told();
    places.set('a', 0).set('b', 99);
    expect(arrive('c', 3)).toEqual(['heap load c', 'disk refuse c']);
    expect([...lower.disk.keys()]).toEqual(['a', 'b']);
    resident.add('b');
    expect(arrive('d', 3)).toEqual(['heap load d', 'heap evict c', 'disk evict b', 'disk load d']);
  });

  test('what is larger than the budget evicts nobody', () => {
    const { arrive } = createTiers(MUCH, 6);
    arrive('a', 3);
    expect(arrive('b', 7)).toEqual(['heap load b', 'disk refuse b']);
    expect(createTiers(MUCH, 0).arrive('a', 1)).toEqual(['heap load a']); // no store: nothing is refused
  });

  test('the only copy never makes room', () => {
    const { arrive, lower, told } = createTiers(MUCH, 6);
    arrive('only', 3, 'origin', 'copy');
    arrive('a', 3);
    expect(arrive('b', 3)).toEqual(['heap load b', 'disk evict a', 'disk load b']);
    expect([lower.shrink(6), lower.shrink(3)]).toEqual([[], ['b']]);
    expect(told()).toEqual(['disk evict b']);
    lower.gone(['only']);
    lower.held([{ key: 'only', bytes: 3, only: undefined }]);
    expect(lower.shrink(3)).toEqual(['only']); // the copy is not the only one any more
  });

  test('nor while others say so, and what is on its way there makes none', () => {
    const { arrive, lower } = createTiers(MUCH, 6);
    arrive('a', 3);
    arrive('b', 3);
    lower.held([{ key: 'a', bytes: 3, only: 'copy' }]);
    expect(lower.shrink(6)).toEqual([]);
    lower.held([{ key: 'a', bytes: 3, only: undefined }]);
    expect(lower.shrink(3, (content) => content === 'b')).toEqual(['a']);
  });

  test('what others put there counts, in the order of its use, and makes room where it is too much', () => {
    const { arrive, lower, told } = createTiers(MUCH, 10);
    arrive('mine', 4);
    const held = (key: string, only?: 'copy') => ({ key, bytes: 3, only });
    lower.held([held('old'), held('mine'), held('only', 'copy')]);
    expect([lower.disk.bytes(), told()]).toEqual([10, []]);
    lower.held([held('new')]);
    expect([told(), [...lower.disk.keys()].sort()]).toEqual([['disk evict mine'], ['new', 'old', 'only']]);
    lower.gone(['old', 'never there']);
    expect(lower.disk.bytes()).toBe(6);
  });
});

test('over random histories budgets hold but for what waits, and the only copies stay', () => {
  for (let seed = 0; seed < 2000; seed++) history(seed);
});

function history(seed: number): void {
  const random = createRandom(seed);
  const [heapBytes, diskBytes] = [random.below(12), random.below(12)];
  const { lower, resident, uploading, places, told, arrive } = createTiers(heapBytes, diskBytes);
  const names = Array.from({ length: 8 }, (_, i) => `a${i}`);
  const sizes = new Map(names.map((name) => [name, random.below(6)]));
  const only = new Set<string>();
  let arrived: string | undefined;
  for (let i = 0; i < 60; i++) {
    const name = random.pick(names);
    const dice = random.below(10);
    const disk = new Set(lower.disk.keys());
    arrived = undefined;
    told();
    if (dice <= 3) {
      const from = disk.has(name) ? random.pick(['disk', 'origin'] as const) : 'origin';
      const copy = random.chance(0.1) ? 'copy' : undefined;
      const said = arrive(name, sizes.get(name)!, from, copy);
      arrived = name;
      check(lower.heap.has(name), 'arrived, and not there');
      if (copy && from === 'origin' && lower.disk.has(name)) only.add(name);
      const isRefused = said.includes(`disk refuse ${name}`);
      if (isRefused) check(!said.some((word) => word.startsWith('disk evict')), 'refused, and others evicted for it');
      check(diskBytes === 0 || isRefused || from === 'disk' || lower.disk.has(name), 'from its origin, and not kept');
    } else if (dice === 4) places.set(name, random.below(5));
    else if (dice === 5) places.delete(name);
    else if (dice === 6) {
      if (resident.delete(name)) uploading.delete(name);
      else if (lower.heap.has(name)) {
        resident.add(name);
        if (random.chance(0.5)) uploading.add(name);
        lower.used(name);
      }
    } else if (dice === 7) uploading.delete(name);
    else if (dice === 8) lower.settle();
    else if (random.chance(0.3)) {
      lower.gone([name]);
      only.delete(name);
    } else {
      const copy = random.chance(0.2) ? 'copy' : undefined;
      lower.held([{ key: name, bytes: sizes.get(name)!, only: copy }]);
      if (copy && lower.disk.has(name)) only.add(name);
      else only.delete(name);
    }
    if (dice > 3 && dice !== 8) continue;
    const stays = (content: string): boolean =>
      uploading.has(content) || content === arrived || (!resident.has(content) && places.has(content));
    const idle = names.filter((content) => lower.heap.has(content) && !stays(content) && lower.heap.sizeOf(content) > 0);
    check(lower.heap.bytes() <= heapBytes || idle.length === 0, 'over its budget, and something might leave');
    const kept = [...lower.disk.keys()].filter((content) => !only.has(content) && sizes.get(content)! > 0);
    const mayLeave = kept.filter((content) => resident.has(content) || lower.heap.has(content) || !places.has(content));
    check(dice !== 8 || lower.disk.bytes() <= diskBytes || mayLeave.length === 0, 'too much on disk');
    for (const content of only) check(lower.disk.has(content), 'the only copy is gone');
  }
}
