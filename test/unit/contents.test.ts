import { describe, expect, test } from 'vitest';
import { createContents } from '../../src/engine/contents.ts';
import { check, createRandom } from './core-random.ts';

describe('what an adapter stands for', () => {
  test('is itself until its digest is known', () => {
    const contents = createContents();
    expect([contents.of('a'), [...contents.names('a')]]).toEqual(['a', ['a']]);
    expect(contents.identify('a', 'D')).toBe('a');
    expect([contents.of('a'), [...contents.names('D')]]).toEqual(['D', ['a']]);
  });

  test('is one for all of one digest', () => {
    const contents = createContents();
    for (const name of ['a', 'b', 'c']) contents.identify(name, 'D');
    expect([...contents.names('D')]).toEqual(['a', 'b', 'c']);
    expect(contents.forget('b')).toEqual({ content: 'D', was: 'shared' });
    expect([contents.of('b'), [...contents.names('D')]]).toEqual(['b', ['a', 'c']]);
    expect(contents.forget('a')).toEqual({ content: 'D', was: 'shared' });
    expect(contents.forget('c')).toEqual({ content: 'D', was: 'last' });
  });

  test('may change, which leaves the others what they were', () => {
    const contents = createContents();
    contents.identify('a', 'D');
    contents.identify('b', 'D');
    expect(contents.identify('a', 'D')).toBe('D');
    expect(contents.identify('a', 'E')).toBe('D');
    expect([contents.of('a'), contents.of('b'), [...contents.names('D')]]).toEqual(['E', 'D', ['b']]);
    expect(contents.forget('b')).toEqual({ content: 'D', was: 'last' });
    expect(contents.forget('a')).toEqual({ content: 'E', was: 'last' });
  });

  test('nothing is left of one that was never known', () => {
    expect(createContents().forget('a')).toEqual({ content: 'a', was: 'last' });
  });

  test('over random histories it is what was said last', () => {
    for (let seed = 0; seed < 500; seed++) {
      const random = createRandom(seed);
      const contents = createContents();
      const model = new Map<string, string>();
      const namesOf = (digest: string): string[] => [...model].filter(([, other]) => other === digest).map(([name]) => name);
      for (let i = 0; i < 40; i++) {
        const name = `a${random.below(5)}`;
        const digest = `D${random.below(3)}`;
        const before = model.get(name) ?? name;
        if (random.chance(0.7)) {
          check(contents.identify(name, digest) === before, 'identified from something else');
          model.set(name, digest);
        } else {
          model.delete(name);
          const { content, was } = contents.forget(name);
          check(content === before && was === (namesOf(before).length > 0 ? 'shared' : 'last'), 'forgotten wrongly');
        }
        for (let n = 0; n < 5; n++) check(contents.of(`a${n}`) === (model.get(`a${n}`) ?? `a${n}`), 'stands for something else');
        for (const each of new Set(model.values())) {
          check([...contents.names(each)].sort().join() === namesOf(each).sort().join(), 'other names');
        }
      }
    }
  });
});
