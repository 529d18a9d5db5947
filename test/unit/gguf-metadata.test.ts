import { describe, expect, test } from 'vitest';
import { ggufBoolean, ggufBooleans, ggufCount, ggufNumber, ggufNumbers, ggufText, ggufTexts } from '../../src/formats/gguf-metadata.ts';
import type { GgufMetadata } from '../../src/formats/gguf-metadata.ts';

const metadata: GgufMetadata = new Map<string, unknown>([
  ['text', 'llama'],
  ['number', -0.5],
  ['count', 12],
  ['minus', -1],
  ['true', true],
  ['texts', ['a', 'b']],
  ['booleans', [true, false]],
  ['numbers', Float32Array.of(1, 2)],
  ['bytes', Uint8Array.of(1, 2)],
  ['array', [1, 2.5]],
  ['infinite', Infinity],
  ['nan', Float32Array.of(1, NaN)],
  ['mixed', ['a', 1]],
  ['long', new Float32Array(100_000).fill(NaN)],
]);

describe('a key', () => {
  test('is read', () => {
    expect(ggufText(metadata, 'text', 'x')).toBe('llama');
    expect(ggufNumber(metadata, 'number', 'x')).toBe(-0.5);
    expect(ggufCount(metadata, 'count', 'x')).toBe(12);
    expect(ggufBoolean(metadata, 'true', 'x')).toBe(true);
    expect(ggufTexts(metadata, 'texts', 'x')).toEqual(['a', 'b']);
    expect(ggufBooleans(metadata, 'booleans', 'x')).toEqual([true, false]);
    for (const key of ['numbers', 'bytes', 'array']) expect(ggufNumbers(metadata, key, 'x')).toBe(metadata.get(key));
  });

  test('that is absent gives the fallback, also an undefined one', () => {
    expect(ggufText(metadata, 'none', 'x', 'default')).toBe('default');
    expect(ggufNumber(metadata, 'none', 'x', undefined)).toBeUndefined();
    expect(ggufTexts(metadata, 'none', 'x', [])).toEqual([]);
  });

  test.each<[string, () => unknown, string]>([
    ['missing', () => ggufText(metadata, 'none', 'x.gguf'), 'x.gguf: none is missing; it must be text.'],
    ['no text', () => ggufText(metadata, 'count', 'x.gguf', 'default'), 'x.gguf: count is 12; it must be text.'],
    ['infinite', () => ggufNumber(metadata, 'infinite', 'x.gguf'), 'x.gguf: infinite is Infinity; it must be a finite number.'],
    ['a fraction', () => ggufCount(metadata, 'number', 'x.gguf'), 'x.gguf: number is -0.5; it must be an integer from 0 on.'],
    ['a negative integer', () => ggufCount(metadata, 'minus', 'x.gguf'), 'x.gguf: minus is -1; it must be an integer from 0 on.'],
    ['no boolean', () => ggufBoolean(metadata, 'text', 'x.gguf'), 'x.gguf: text is "llama"; it must be true or false.'],
    ['no list', () => ggufTexts(metadata, 'text', 'x.gguf'), 'x.gguf: text is "llama"; it must be a list of texts.'],
    ['mixed', () => ggufTexts(metadata, 'mixed', 'x.gguf'), 'x.gguf: mixed is ["a", 1]; it must be a list of texts.'],
    ['not all booleans', () => ggufBooleans(metadata, 'bytes', 'x.gguf'), 'x.gguf: bytes is [1, 2]; it must be a list of booleans.'],
    ['NaN in a list', () => ggufNumbers(metadata, 'nan', 'x.gguf'), 'x.gguf: nan is [1, NaN]; it must be a list of finite numbers.'],
    ['long', () => ggufNumbers(metadata, 'long', 'x.gguf'), 'x.gguf: long is a list of 100000; it must be a list of finite numbers.'],
  ])('that is %s → gguf_metadata', (_, read, message) => {
    expect(read).toThrow(expect.objectContaining({ code: 'gguf_metadata', message }));
  });
});
