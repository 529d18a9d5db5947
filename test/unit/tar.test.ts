import { describe, expect, test } from 'vitest';
import { tarFiles } from '../../src/node/tar.ts';

const BLOCK = 512;

function member(name: string, body: string, options: { readonly type?: string; readonly size?: string } = {}): Uint8Array {
  const data = new TextEncoder().encode(body);
  const block = new Uint8Array(BLOCK + Math.ceil(data.length / BLOCK) * BLOCK);
  const write = (at: number, value: string): void => block.set(new TextEncoder().encode(value), at);
  write(0, name);
  write(124, options.size ?? `${data.length.toString(8).padStart(11, '0')}\0`);
  write(156, options.type ?? '0');
  block.set(data, BLOCK);
  return block;
}

function archive(...members: Uint8Array[]): Uint8Array {
  return Uint8Array.from([...members, new Uint8Array(2 * BLOCK)].flatMap((part) => [...part]));
}

function read(bytes: Uint8Array): [string, string][] {
  return [...tarFiles(bytes)].map((file) => [file.name, new TextDecoder().decode(file.data)]);
}

describe('tarFiles', () => {
  test('gives regular files of any length and passes over the rest', () => {
    const long = 'x'.repeat(BLOCK);
    const bytes = archive(
      member('./', '', { type: '5' }),
      member('a', 'one'),
      member('b', long),
      member('empty', ''),
      member('c', `${long}!`),
    );
    expect(read(bytes)).toEqual([
      ['a', 'one'],
      ['b', long],
      ['empty', ''],
      ['c', `${long}!`],
    ]);
  });

  test('refuses a file that ends before its size', () => {
    const bytes = member('cut', 'y'.repeat(3 * BLOCK)).subarray(0, 2 * BLOCK);
    expect(() => read(bytes)).toThrow(expect.objectContaining({ code: 'file_truncated', message: expect.stringContaining('cut') }));
  });

  test.each(['99999999999\0', 'zzz\0', '-1\0', '\0'])('refuses the size %j', (size) => {
    expect(() => read(archive(member('odd', 'z', { size })))).toThrow(expect.objectContaining({ code: 'file_invalid' }));
  });
});
