import { describe, expect, test } from 'vitest';
import { createResidency } from '../../src/adapters/cache.ts';

describe('residency', () => {
  test('victims are idle adapters, least recently used first', () => {
    const residency = createResidency();
    for (const key of ['a', 'b', 'c', 'd']) residency.add(key);
    residency.touch('a');
    residency.touch('c');
    residency.touch('a');
    expect(residency.victims(new Set())).toEqual(['b', 'd', 'c', 'a']);
    expect(residency.victims(new Set(['d', 'a', 'elsewhere']))).toEqual(['b', 'c']);
  });

  test('what was removed is gone, and comes back as the youngest', () => {
    const residency = createResidency();
    residency.add('a');
    residency.add('b');
    residency.remove('a');
    expect(residency.has('a')).toBe(false);
    expect(residency.victims(new Set())).toEqual(['b']);
    residency.add('a');
    expect(residency.has('a')).toBe(true);
    expect(residency.victims(new Set())).toEqual(['b', 'a']);
  });

  test('refuses to note what cannot have happened', () => {
    const residency = createResidency();
    residency.add('a');
    expect(() => residency.add('a')).toThrow(RangeError);
    expect(() => residency.touch('b')).toThrow(RangeError);
    expect(() => residency.remove('b')).toThrow(RangeError);
  });
});
