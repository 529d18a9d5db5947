import { describe, expect, test } from 'vitest';
import { createStopMatcher } from '../../src/text/stop.ts';
import { below, seeded } from './text-files.ts';

function run(stops: readonly string[], pieces: readonly string[]): { text: string; stop: string | undefined; shown: string[] } {
  const matcher = createStopMatcher(stops);
  const shown: string[] = [];
  for (const piece of pieces) {
    const { text, stop } = matcher.push(piece);
    shown.push(text);
    if (stop !== undefined) return { text: shown.join(''), stop, shown };
  }
  const { text, stop } = matcher.flush();
  shown.push(text);
  return { text: shown.join(''), stop, shown };
}

/** The plain meaning: of all matches the first to begin, of those the shortest. */
function bruteForce(stops: readonly string[], text: string): { text: string; stop: string | undefined } {
  for (let start = 0; start < text.length; start++) {
    const here = stops.filter((stop) => text.startsWith(stop, start)).sort((a, b) => a.length - b.length);
    if (here.length > 0) return { text: text.slice(0, start), stop: here[0] };
  }
  return { text, stop: undefined };
}

describe('stop strings', () => {
  test('holds back what may begin a stop string, and nothing else', () => {
    expect(run(['\n\nUser:'], ['Hi', '\n', '\nUs', 'e', 'r', ': x']).shown).toEqual(['Hi', '', '', '', '', '']);
    expect(run(['\n\nUser:'], ['Hi\n', '\nUsed', ' car']).shown).toEqual(['Hi', '\n\nUsed', ' car', '']);
    expect(run(['\n\n'], ['a\n', 'b']).shown).toEqual(['a', '\nb', '']);
  });

  test('gives back what was held when the answer ends', () => {
    expect(run(['abc'], ['xab'])).toEqual({ text: 'xab', stop: undefined, shown: ['x', 'ab'] });
  });

  test('waits for an earlier stop string that may still complete', () => {
    expect(run(['abcd', 'bc'], ['abc', 'd'])).toMatchObject({ text: '', stop: 'abcd' });
    expect(run(['abcd', 'bc'], ['abc', 'x'])).toMatchObject({ text: 'a', stop: 'bc' });
    expect(run(['abcd', 'bc'], ['abc'])).toMatchObject({ text: 'a', stop: 'bc' });
    expect(run(['ab', 'abcd'], ['abcd'])).toMatchObject({ text: '', stop: 'ab' });
  });

  test('shows nothing after a stop string', () => {
    const matcher = createStopMatcher(['.']);
    expect(matcher.push('a.b')).toEqual({ text: 'a', stop: '.' });
    expect(matcher.push('c')).toEqual({ text: '', stop: '.' });
    expect(matcher.flush()).toEqual({ text: '', stop: '.' });
  });

  test('passes everything through without stop strings', () => {
    expect(run([], ['a', 'b']).shown).toEqual(['a', 'b', '']);
  });

  test('refuses an empty stop string', () => {
    expect(() => createStopMatcher(['a', ''])).toThrow(RangeError);
  });

  test('equals the plain meaning however the text is cut', () => {
    const random = seeded(3);
    const word = (most: number): string =>
      Array.from({ length: 1 + below(random, most) }, () => 'aab😀'.at(below(random, 5)) ?? '').join('');
    let stopped = 0;
    for (let round = 0; round < 5000; round++) {
      const stops = Array.from({ length: 1 + below(random, 4) }, () => word(5));
      const text = word(30);
      const pieces: string[] = [];
      for (let at = 0; at < text.length;) {
        const length = 1 + below(random, 4);
        pieces.push(text.slice(at, at + length));
        at += length;
      }
      const expected = bruteForce(stops, text);
      const { text: shown, stop } = run(stops, pieces);
      expect({ stops, text: shown, stop }).toEqual({ stops, ...expected });
      if (stop !== undefined) stopped++;
    }
    expect(stopped).toBeGreaterThan(1000);
  });

  test('costs the same per character whatever came before', () => {
    const matcher = createStopMatcher([`${'a'.repeat(2000)}b`]);
    const start = performance.now();
    for (let i = 0; i < 200_000; i++) matcher.push('a');
    expect(performance.now() - start).toBeLessThan(5000);
  });
});
