import { describe, expect, test } from 'vitest';
import { openSafetensors } from '../../src/formats/safetensors.ts';
import { codeOf, memoryFolder, randomNumbers, safetensors, tensor, withHeader } from './files.ts';

const open = (file: Uint8Array<ArrayBuffer>) => openSafetensors(memoryFolder({ 'model.safetensors': file }), 'model');
const entry = (dtype: unknown, shape: unknown, offsets: unknown) => ({ dtype, shape, data_offsets: offsets });

describe('one file', () => {
  test('gives the tensors and their bytes', async () => {
    const files = await open(safetensors([tensor('b', [2, 3]), tensor('none', [0, 7]), tensor('a', [], () => 5)]));
    expect([...files.tensors.keys()]).toEqual(['b', 'none', 'a']);
    const b = files.tensors.get('b')!;
    expect(b).toMatchObject({ file: 'model.safetensors', dtype: 'F32', shape: [2, 3] });
    expect([...new Float32Array((await files.read(b)).buffer)]).toEqual([0, 1, 2, 3, 4, 5]);
    expect([...new Float32Array((await files.read(b, 8, 16)).buffer)]).toEqual([2, 3]);
    expect([...new Float32Array((await files.read(files.tensors.get('a')!)).buffer)]).toEqual([5]);
    await expect(files.read(b, 0, 25)).rejects.toThrow(RangeError);
  });

  test('takes trailing spaces, any order of keys, and packed types', async () => {
    const header = JSON.stringify({ z: entry('F4', [4], [4, 6]), a: entry('F32', [1], [0, 4]) });
    const files = await open(withHeader(`${header}   `, new Uint8Array(6)));
    expect([...files.tensors.keys()]).toEqual(['a', 'z']);
  });
});

const data = new Uint8Array(8);
const bad: [string, string, Uint8Array<ArrayBuffer>, RegExp][] = [
  ['fewer than 8 bytes', 'file_truncated', new Uint8Array(5), /5 bytes/],
  ['header beyond the file', 'file_truncated', withHeader('{}').slice(0, 9), /ends at byte 10/],
  ['header too long', 'safetensors_header', new Uint8Array([0, 0, 0, 0, 1, 0, 0, 0, 123]), /4294967296/],
  ['data cut short', 'file_truncated', safetensors([tensor('first', [2]), tensor('cut', [2])]).slice(0, -1), /"cut"/],
  ['no JSON', 'safetensors_header', withHeader('{"a":'), /not valid JSON/],
  ['not an object', 'safetensors_header', withHeader('[1]'), /begin with/],
  ['NaN in the header', 'safetensors_header', withHeader('{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', data), /JSON/],
  ['not UTF-8', 'safetensors_header', Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d), /JSON/],
  [
    'a key twice',
    'safetensors_header',
    withHeader('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"\\u0061":{}}', data),
    /"a" twice/,
  ],
  ['metadata of numbers', 'safetensors_header', withHeader('{"__metadata__":{"a":1}}'), /__metadata__/],
  ['entry without shape', 'safetensors_header', withHeader('{"w":{"dtype":"F32","data_offsets":[0,8]}}', data), /"w" has the shape/],
  ['negative dimension', 'safetensors_header', withHeader(JSON.stringify({ w: entry('F32', [-2], [0, 8]) }), data), /"w"/],
  ['fractional dimension', 'safetensors_header', withHeader(JSON.stringify({ w: entry('F32', [1.5], [0, 8]) }), data), /"w"/],
  ['three offsets', 'safetensors_header', withHeader(JSON.stringify({ w: entry('F32', [2], [0, 8, 9]) }), data), /"w"/],
  ['unknown dtype', 'tensor_dtype', withHeader(JSON.stringify({ w: entry('F33', [2], [0, 8]) }), data), /"w".*"F33"/],
  ['a dtype named like a method', 'tensor_dtype', withHeader(JSON.stringify({ w: entry('toString', [2], [0, 8]) }), data), /"w"/],
  ['shape and offsets disagree', 'safetensors_offsets', withHeader(JSON.stringify({ w: entry('F32', [3], [0, 8]) }), data), /"w"/],
  ['end before start', 'safetensors_offsets', withHeader(JSON.stringify({ w: entry('F32', [2], [8, 0]) }), data), /"w"/],
  [
    'a size that overflows',
    'safetensors_offsets',
    withHeader(JSON.stringify({ w: entry('F32', [2 ** 40, 2 ** 40], [0, 8]) }), data),
    /"w"/,
  ],
  ['a hole', 'safetensors_offsets', withHeader(JSON.stringify({ w: entry('F32', [1], [4, 8]) }), data), /"w" leaves a hole/],
  [
    'an overlap',
    'safetensors_offsets',
    withHeader(JSON.stringify({ v: entry('F32', [2], [0, 8]), w: entry('F32', [1], [4, 8]) }), data),
    /"w" overlaps/,
  ],
  ['bytes of no tensor', 'safetensors_offsets', withHeader(JSON.stringify({ w: entry('F32', [1], [0, 4]) }), data), /4 bytes/],
  ['half a byte', 'safetensors_offsets', withHeader(JSON.stringify({ w: entry('F4', [3], [0, 1]) }), data), /"w"/],
];

test.each(bad)('%s → %s', async (_, code, file, message) => {
  await expect(open(file)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  await expect(open(file)).rejects.toThrow(/model\.safetensors/);
});

describe('shards', () => {
  const one = safetensors([tensor('a', [2]), tensor('b', [1])]);
  const two = safetensors([tensor('c', [3])]);
  const index = { metadata: { total_size: 24 }, weight_map: { a: 'x-1.safetensors', b: 'x-1.safetensors', c: 'x-2.safetensors' } };
  const shards = (changes: object) =>
    openSafetensors(
      memoryFolder({ 'model.safetensors.index.json': index, 'x-1.safetensors': one, 'x-2.safetensors': two, ...changes }),
      'model',
    );

  test('are one set of tensors', async () => {
    const files = await shards({});
    expect([...files.tensors].map(([name, { file }]) => [name, file])).toEqual(Object.entries(index.weight_map));
    expect([...new Float32Array((await files.read(files.tensors.get('c')!)).buffer)]).toEqual([0, 1, 2]);
  });

  test.each<[string, string, object, RegExp]>([
    ['missing shard', 'file_missing', { 'model.safetensors.index.json': { weight_map: { a: 'x-3.safetensors' } } }, /x-3/],
    ['tensor not in its shard', 'tensor_missing', { 'x-2.safetensors': safetensors([tensor('d', [1])]) }, /x-2.*"c"/],
    ['tensor in two shards', 'file_invalid', { 'x-2.safetensors': safetensors([tensor('c', [1]), tensor('a', [1])]) }, /"a".*x-1.*x-2/],
    ['a shard elsewhere', 'file_invalid', { 'model.safetensors.index.json': { weight_map: { a: '../x-1.safetensors' } } }, /\.\.\/x-1/],
    ['no map', 'file_invalid', { 'model.safetensors.index.json': {} }, /weight_map/],
    ['NaN', 'file_invalid', { 'model.safetensors.index.json': '{"metadata":{"total_size":NaN}}' }, /NaN at line 1, column 27/],
  ])('%s → %s', async (_, code, changes, message) => {
    await expect(shards(changes)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test('neither file → file_missing', async () => {
    await expect(openSafetensors(memoryFolder({}), 'model')).rejects.toMatchObject({ code: 'file_missing' });
  });
});

test('any damaged header ends in a typed error or in tensors inside the file', async () => {
  const valid = safetensors([tensor('a', [2, 3]), tensor('b', [4]), tensor('c', [1, 1])]);
  const headerEnd = 8 + new DataView(valid.buffer).getUint32(0, true);
  const random = randomNumbers(11);
  const codes = new Map<string, number>();
  for (let round = 0; round < 4000; round++) {
    const file = valid.slice(0, random() < 0.2 ? Math.floor(random() * valid.length) : valid.length);
    const flips = 1 + Math.floor(random() * 3);
    for (let flip = 0; flip < flips; flip++)
      file[Math.floor(random() * Math.min(headerEnd, file.length))]! ^= 1 << Math.floor(random() * 8);
    const code = await codeOf(async () => {
      const files = await open(file);
      for (const info of files.tensors.values()) await files.read(info);
    });
    codes.set(code ?? 'valid', (codes.get(code ?? 'valid') ?? 0) + 1);
  }
  for (const code of ['valid', 'file_truncated', 'safetensors_header', 'safetensors_offsets', 'tensor_dtype']) {
    expect(codes.get(code), code).toBeGreaterThan(0);
  }
});
