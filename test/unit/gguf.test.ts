import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { openGguf } from '../../src/formats/gguf.ts';
import { memoryFolder } from './files.ts';
import { bytesOf, count, floats, ggufBytes, integer, listBytes, text, textBytes, texts, u32, u64, VALUE } from './gguf-files.ts';
import type { Entry, GgufPart } from './gguf-files.ts';

const fixture = (name: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(readFileSync(new URL(`../fixtures/gguf/${name}`, import.meta.url)));
const open = (file: Uint8Array<ArrayBuffer>) => openGguf(memoryFolder({ 'model.gguf': file }), 'model.gguf');
const numbers = (bytes: Uint8Array<ArrayBuffer>): number[] => [...new Float32Array(bytes.buffer)];

describe('a file of the gguf package', () => {
  test('has its metadata, of every type', async () => {
    const { metadata, version, location } = await open(fixture('blocks.gguf'));
    expect({ version, location }).toEqual({ version: 3, location: 'memory/model.gguf' });
    expect(Object.fromEntries([...metadata].map(([key, value]) => [key.replace('test.', ''), value]))).toEqual({
      'general.architecture': 'llama',
      u8: 255,
      i8: -128,
      u16: 65535,
      i16: -32768,
      u32: 2 ** 32 - 1,
      i32: -(2 ** 31),
      f32: Math.fround(0.1),
      bool: true,
      text: 'grün, 緑, \ufeff🌱',
      u64: 2 ** 53 - 1,
      i64: -(2 ** 53) + 1,
      f64: 0.1,
      texts: ['', '\ufeff', 'Ġgrün'],
      integers: Int32Array.of(1, -2, 3),
      floats: Float32Array.of(0.5, -0.1),
      booleans: [true, false],
      bytes: Uint8Array.of(0, 7, 255),
      long: Float64Array.of(0, 2 ** 53 - 1),
    });
  });

  test('has its tensors, the length of a row last', async () => {
    const file = await open(fixture('blocks.gguf'));
    expect(file.tensors.size).toBe(30);
    expect(file.tensors.get('blocks.Q4_K')).toMatchObject({ type: 'Q4_K', shape: [3, 512], byteLength: 864, file: 'model.gguf' });
    expect(file.tensors.get('blocks.BF16')).toMatchObject({ type: 'BF16', shape: [2, 32], byteLength: 128 });
    const starts = [...file.tensors.values()].map((tensor) => tensor.start);
    expect(starts).toEqual(starts.toSorted((a, b) => a - b));
  });

  test('is read in parts', async () => {
    const files = {
      'a-00001-of-00003.gguf': fixture('parts-00001-of-00003.gguf'),
      'a-00002-of-00003.gguf': fixture('parts-00002-of-00003.gguf'),
    };
    const all = { ...files, 'a-00003-of-00003.gguf': fixture('parts-00003-of-00003.gguf') };
    for (const part of Object.keys(all)) {
      const file = await openGguf(memoryFolder(all), part);
      expect(file.metadata.get('general.name')).toBe('in parts');
      expect([...file.tensors.values()].map((tensor) => `${tensor.name} ${tensor.file}`)).toEqual([
        'part.0 a-00001-of-00003.gguf',
        'part.1 a-00001-of-00003.gguf',
        'part.2 a-00002-of-00003.gguf',
        'part.3 a-00002-of-00003.gguf',
        'part.4 a-00003-of-00003.gguf',
      ]);
      expect(Math.round(numbers(await file.read(file.tensors.get('part.4')!)).reduce((a, b) => a + b, 0) / 6)).toBe(4);
    }
  });
});

describe('one file', () => {
  test('gives the bytes of its tensors', async () => {
    const file = await open(ggufBytes({ version: 2, tensors: [floats('b', 3, 2), floats('none', 7, 0), floats('a')] }));
    expect(file.version).toBe(2);
    const b = file.tensors.get('b')!;
    expect(b).toMatchObject({ shape: [2, 3], byteLength: 24 });
    expect(file.tensors.get('none')).toMatchObject({ shape: [0, 7], byteLength: 0 });
    expect(file.tensors.get('a')).toMatchObject({ shape: [], byteLength: 4 });
    expect(numbers(await file.read(b))).toEqual([0, 1, 2, 3, 4, 5]);
    expect(numbers(await file.read(b, 8, 16))).toEqual([2, 3]);
    for (const [start, end] of [
      [0, 25],
      [-1, 4],
      [8, 4],
    ] as const)
      await expect(file.read(b, start, end)).rejects.toThrow(RangeError);
  });

  test('may have any alignment that is a power of two, no tensors, and lists in lists', async () => {
    const lists = listBytes(VALUE.list, 2, listBytes(VALUE.u16, 1, integer(7, 2)), listBytes(VALUE.text, 1, textBytes('x')));
    const entries: Entry[] = [count('general.alignment', 4), ['lists', VALUE.list, lists]];
    const file = await open(ggufBytes({ entries, alignment: 4, tensors: [floats('a', 1), floats('b', 2)] }));
    expect(file.metadata.get('lists')).toEqual([Uint16Array.of(7), ['x']]);
    expect(numbers(await file.read(file.tensors.get('b')!))).toEqual([0, 1]);
    const tensors = [...file.tensors.values()];
    expect(tensors[1]!.start - tensors[0]!.start).toBe(4);
    expect((await open(ggufBytes({ entries }))).tensors.size).toBe(0);
  });

  test('with millions of numbers where one is expected is refused at once', async () => {
    const many: Entry = ['general.alignment', VALUE.list, listBytes(VALUE.u8, 4_000_000, new Uint8Array(4_000_000).fill(32))];
    const began = performance.now();
    const message = expect.stringMatching(/alignment is \[32,32,.*\.\.\.; it must/);
    await expect(open(ggufBytes({ entries: [many] }))).rejects.toMatchObject({ code: 'gguf_header', message });
    expect(performance.now() - began).toBeLessThan(2000); // as JSON it takes ten times as long
  });

  test('may describe its tensors in any order', async () => {
    const file = await open(
      ggufBytes({
        tensors: [
          { ...floats('b', 2), offset: 32 },
          { ...floats('a', 8), offset: 0 },
        ],
      }),
    );
    expect([...file.tensors.keys()]).toEqual(['a', 'b']);
    expect(numbers(await file.read(file.tensors.get('b')!))).toEqual([0, 1]);
  });

  test('has keys and names like those of JS objects', async () => {
    const file = await open(ggufBytes({ entries: [text('__proto__', 'a')], tensors: [floats('constructor', 1)] }));
    expect([...file.metadata, ...file.tensors.keys()]).toEqual([['__proto__', 'a'], 'constructor']);
  });

  test('has its header read in few slices that grow, and its tensors not at all', async () => {
    const tokens = Array.from({ length: 150_000 }, (_, i) => `Ġtoken${i}`);
    const scores = new Uint8Array(Float32Array.from(tokens, (_, i) => -i).buffer);
    const list: Entry = ['scores', VALUE.list, listBytes(VALUE.f32, tokens.length, scores)];
    const bytes = ggufBytes({ entries: [texts('tokens', tokens), list, text('last', 'x')], tensors: [floats('big', 4_000_000)] });
    const reads: [number, number][] = [];
    const folder = memoryFolder({ 'model.gguf': bytes });
    const watched = {
      ...folder,
      read: (name: string, start: number, end: number) => (reads.push([start, end]), folder.read(name, start, end)),
    };
    const file = await openGguf(watched, 'model.gguf');
    expect(file.metadata.get('tokens')).toEqual(tokens);
    expect(file.metadata.get('scores')).toHaveProperty('149999', -149_999);
    expect(file.metadata.get('last')).toBe('x');
    expect(reads.length).toBeLessThan(8);
    expect(reads[0]).toEqual([0, 256 << 10]);
    expect(reads.every(([start], i) => start === (reads[i - 1]?.[1] ?? 0))).toBe(true);
    expect(reads.at(-1)![1] - file.tensors.get('big')!.start).toBeLessThan(4 << 20);
  });
});

const good = ggufBytes({ entries: [text('general.architecture', 'llama')], tensors: [floats('first', 2), floats('cut', 2)] });
const value = (type: number, ...bytes: Uint8Array[]): Uint8Array<ArrayBuffer> => ggufBytes({ entries: [['k', type, bytesOf(...bytes)]] });
const list = (type: number, length: number | bigint, ...items: Uint8Array[]): Uint8Array<ArrayBuffer> =>
  value(VALUE.list, listBytes(type, length, ...items));
const withTensors = (...tensors: GgufPart[]): Uint8Array<ArrayBuffer> => ggufBytes({ tensors });
const typed = (type: number, ...lengths: (number | bigint)[]): Uint8Array<ArrayBuffer> =>
  withTensors({ name: 'w', lengths, type, bytes: new Uint8Array(64) });
const nested = (depth: number): Uint8Array<ArrayBuffer> =>
  depth === 0 ? listBytes(VALUE.u8, 0) : listBytes(VALUE.list, 1, nested(depth - 1));
/** 257 lists of so many booleans. */
const booleans = (length: number): Uint8Array<ArrayBuffer> => {
  const lists = Array.from({ length: 257 }, () => listBytes(VALUE.bool, length, new Uint8Array(length)));
  return list(VALUE.list, lists.length, ...lists);
};
const bigEndian = (() => {
  const file = good.slice();
  file.set([0, 0, 0, 3], 4);
  return file;
})();

const bad: [string, string, Uint8Array<ArrayBuffer>, RegExp][] = [
  ['an empty file', 'file_truncated', new Uint8Array(0), /0 bytes, but its beginning/],
  ['another format', 'gguf_header', new TextEncoder().encode('ggjt and so on, more'), /does not begin with GGUF/],
  ['version 1', 'gguf_header', ggufBytes({ version: 1 }), /version 1;.*again/],
  ['version 4', 'gguf_header', ggufBytes({ version: 4 }), /version 4/],
  ['big-endian', 'gguf_header', bigEndian, /big-endian/],
  ['cut inside the header', 'file_truncated', good.slice(0, 62), /key "general.architecture" at byte \d+ takes/],
  ['cut inside a tensor', 'file_truncated', good.slice(0, good.length - 25), /"cut" ends at byte/],
  ['a key twice', 'gguf_header', ggufBytes({ entries: [count('a', 1), text('b', ''), count('a', 1)] }), /key "a" twice/],
  ['a tensor twice', 'gguf_header', withTensors(floats('a', 1), floats('a', 1)), /tensor "a" twice/],
  ['more keys than there are', 'file_truncated', ggufBytes({ entryCount: 60_000 }), /key 1 of 60000/],
  ['more tensors than there are', 'file_truncated', ggufBytes({ tensorCount: 7 }), /tensor 1 of 7/],
  ['too many keys', 'gguf_header', ggufBytes({ entryCount: 65_537 }), /65537 keys/],
  ['too many tensors', 'gguf_header', ggufBytes({ tensorCount: 2 ** 18 + 1 }), /262145 tensors/],
  ['a count beyond 2^53', 'gguf_header', ggufBytes({ tensorCount: 2n ** 53n }), /beyond 2\^53/],
  ['an unknown type of value', 'gguf_header', value(13, u32(0)), /"k" has the unknown type 13/],
  ['a list of an unknown type', 'gguf_header', list(13, 1, u32(0)), /"k" has the unknown type 13/],
  ['a boolean 2', 'gguf_header', value(VALUE.bool, integer(2, 1)), /"k" is the boolean 2/],
  ['a list with a boolean 2', 'gguf_header', list(VALUE.bool, 2, integer(1, 1), integer(2, 1)), /"k" is the boolean 2/],
  ['a u64 of 2^53', 'gguf_header', value(VALUE.u64, u64(2n ** 53n)), /"k" at byte \d+ is a number beyond 2\^53/],
  ['an i64 of -2^53', 'gguf_header', value(VALUE.i64, u64(-(2n ** 53n))), /beyond 2\^53/],
  ['a list with a u64 of 2^64 - 1', 'gguf_header', list(VALUE.u64, 1, u64(-1n)), /beyond 2\^53/],
  ['text that is no UTF-8', 'gguf_header', value(VALUE.text, u64(1), integer(255, 1)), /"k" at byte \d+ is not valid UTF-8/],
  ['text longer than the file', 'file_truncated', value(VALUE.text, u64(2 ** 50)), /"k" at byte \d+ takes 1125899906842624/],
  ['a long key', 'gguf_header', ggufBytes({ entries: [text('x'.repeat(65_536), '')] }), /65536 bytes; the format allows 65535/],
  ['a list longer than the file', 'file_truncated', list(VALUE.f32, 2 ** 50), /takes 4503599627370496/],
  ['a list of texts longer than the file', 'file_truncated', list(VALUE.text, 2 ** 40), /takes 8796093022208/],
  ['a list of lists longer than the file', 'file_truncated', list(VALUE.list, 2 ** 40), /takes 13194139533312/],
  ['too many booleans', 'gguf_header', list(VALUE.bool, 2 ** 40), /"k" has 1099511627776 booleans/],
  ['too many booleans in all', 'gguf_header', booleans(256), /"k" has 256 booleans; a header may have 65536/],
  ['too many lists', 'gguf_header', list(VALUE.list, 65_536, new Uint8Array(65_536 * 12)), /more than 65536 lists/],
  ['lists too deep', 'gguf_header', value(VALUE.list, nested(8)), /more than 8 deep/],
  ['an alignment of 24', 'gguf_header', ggufBytes({ entries: [count('general.alignment', 24)] }), /general.alignment is 24/],
  ['an alignment of 0', 'gguf_header', ggufBytes({ entries: [count('general.alignment', 0)] }), /general.alignment is 0/],
  [
    'an alignment of 0.5',
    'gguf_header',
    ggufBytes({ entries: [['general.alignment', VALUE.f32, new Uint8Array(Float32Array.of(0.5).buffer)]] }),
    /general.alignment is 0.5/,
  ],
  ['an alignment as text', 'gguf_header', ggufBytes({ entries: [text('general.alignment', '32')] }), /general.alignment is "32"/],
  ['five dimensions', 'gguf_header', typed(0, 1, 1, 1, 1, 1), /"w" has 5 dimensions/],
  ['two billion dimensions', 'gguf_header', bytesOf(ggufBytes({ tensorCount: 1 }), textBytes('w'), u32(2 ** 31)), /2147483648 dimensions/],
  ['a type that is not served', 'tensor_dtype', typed(39, 32), /"w" is MXFP4, which is not served; served are F32/],
  ['a type that was given up', 'tensor_dtype', typed(31, 32), /"w" is Q4_0_4_4/],
  ['an unknown type', 'tensor_dtype', typed(999, 32), /"w" is of the unknown number 999/],
  ['half a block', 'tensor_shape', typed(12, 128, 2), /"w" is Q4_K with rows of 128 weights; Q4_K needs a multiple of 256/],
  ['more than can be counted', 'gguf_offsets', typed(0, 2 ** 40, 2 ** 40), /"w" is F32 \[1099511627776,1099511627776\]/],
  ['bytes that the file has not', 'file_truncated', typed(0, 2 ** 40), /"w" ends at byte/],
  ['an offset askew', 'gguf_offsets', withTensors({ ...floats('w', 1), offset: 8 }), /"w" begins 8 bytes.*no multiple of 32/],
  ['an offset beyond the file', 'file_truncated', withTensors({ ...floats('w', 1), offset: 2 ** 45 }), /"w" ends at byte/],
  ['an overlap', 'gguf_offsets', withTensors(floats('v', 16), { ...floats('w', 1), offset: 32 }), /"v" and "w" overlap/],
  [
    'an overlap in another order',
    'gguf_offsets',
    withTensors({ ...floats('w', 1), offset: 32 }, { ...floats('v', 16), offset: 0 }),
    /overlap/,
  ],
  [
    'an overlap around nothing',
    'gguf_offsets',
    withTensors(floats('v', 16), { ...floats('none', 0), offset: 32 }, { ...floats('w', 1), offset: 32 }),
    /"v" and "w" overlap/,
  ],
];

test.each(bad)('%s → %s', async (_, code, file, message) => {
  await expect(open(file)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  await expect(open(file)).rejects.toThrow(/memory\/model\.gguf/);
});

describe('a file of eight gigabytes', () => {
  /** It reads as if it went on with zeros; `short` bytes are missing from every read. */
  const huge = (bytes: Uint8Array<ArrayBuffer>, short = 0) => {
    const asked: number[] = [];
    const folder = {
      location: 'memory',
      size: async () => 2 ** 33,
      async read(_: string, start: number, end: number) {
        asked.push(end - start);
        const slice = new Uint8Array(end - start - short);
        slice.set(bytes.subarray(start, end - short));
        return slice;
      },
    };
    return { folder, asked };
  };

  test.each([
    ['text', value(VALUE.text, u64(2 ** 32))],
    ['numbers', list(VALUE.f32, 2 ** 30)],
    ['texts', list(VALUE.text, 2 ** 29)],
    ['lists', list(VALUE.list, 2 ** 29)],
  ])('is not read for one value: %s', async (_, file) => {
    const { folder, asked } = huge(file);
    const message = expect.stringMatching(/"k" would make its header longer than/);
    await expect(openGguf(folder, 'model.gguf')).rejects.toMatchObject({ code: 'gguf_header', message });
    expect(asked).toEqual([256 << 10]);
  });

  test('whose reads come short is truncated', async () => {
    const { folder } = huge(good, 3);
    await expect(openGguf(folder, 'model.gguf')).rejects.toMatchObject({ code: 'file_truncated' });
  });
});

test('no file → file_missing', async () => {
  await expect(openGguf(memoryFolder({}), 'model.gguf')).rejects.toMatchObject({ code: 'file_missing' });
});

describe('parts that do not belong together', () => {
  const part = (no: number, of: number, tensors: GgufPart[], more: Entry[] = []): Uint8Array<ArrayBuffer> =>
    ggufBytes({ entries: [count('split.no', no), count('split.count', of), ...more], tensors });
  const one = part(0, 2, [floats('a', 1)], [count('split.tensors.count', 2)]);
  const two = part(1, 2, [floats('b', 1)]);
  const names = ['x-00001-of-00002.gguf', 'x-00002-of-00002.gguf'] as const;
  const openParts = (first: Uint8Array<ArrayBuffer>, second: Uint8Array<ArrayBuffer>) =>
    openGguf(memoryFolder({ [names[0]]: first, [names[1]]: second }), names[0]);

  test('good ones do', async () => {
    expect([...(await openParts(one, two)).tensors.keys()]).toEqual(['a', 'b']);
    expect([...(await open(part(0, 1, [floats('a', 1)]))).tensors.keys()]).toEqual(['a']);
  });

  test.each<[string, Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>, RegExp]>([
    ['the same part twice', one, one, /00002-of.*it is part 1 \(split.no 0\).*part 2/],
    ['the second first', two, two, /00001-of.*it is part 2/],
    ['parts of another split', one, part(1, 3, [floats('b', 1)]), /00002-of.*one of 3 parts.*others are 2/],
    ['a part that is none', one, ggufBytes({ tensors: [floats('b', 1)] }), /00002-of.*split.no is missing/],
    ['a tensor in two', one, part(1, 2, [floats('a', 1)]), /"a" is in two parts, x-00001.*x-00002/],
    ['too many tensors', one, part(1, 2, [floats('b', 1), floats('c', 1)]), /hold 3 tensors, but split.tensors.count is 2/],
    ['a name that says another count', part(0, 3, []), two, /one of 3 parts.*NAME-00001-of-00003/],
    ['a count that is text', ggufBytes({ entries: [text('split.count', '2')] }), two, /split.count is "2"/],
  ])('%s → gguf_split', async (_, first, second, message) => {
    await expect(openParts(first, second)).rejects.toMatchObject({ code: 'gguf_split', message: expect.stringMatching(message) });
  });

  test('a name that says nothing → gguf_split', async () => {
    await expect(open(one)).rejects.toMatchObject({ code: 'gguf_split', message: expect.stringMatching(/NAME-00001-of-00002/) });
  });

  test('a part that is not there → file_missing', async () => {
    const message = expect.stringMatching(/memory\/x-00002-of-00002.gguf, part 2 of the 2 that x-00001-of-00002.gguf belongs to/);
    await expect(openGguf(memoryFolder({ [names[0]]: one }), names[0])).rejects.toMatchObject({ code: 'file_missing', message });
  });
});
