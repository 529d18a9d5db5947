import { readFileSync } from 'node:fs';
import { afterEach, expect, test, vi } from 'vitest';
import { openGguf } from '../../src/formats/gguf.ts';
import { firstBadBlock, repackLayout, repackRows, rowsOfPlane } from '../../src/formats/gguf-repack.ts';
import { GGUF_BLOCKS, isGgufBlockType } from '../../src/formats/gguf-types.ts';
import { codeOf, memoryFolder, randomNumbers } from './files.ts';
import { count, floats, ggufBytes, integer, listBytes, text, textBytes, texts, u64, VALUE } from './gguf-files.ts';

const ROUNDS = Number(process.env['GGUF_MUTATIONS'] ?? 4000);

const valid = ggufBytes({
  entries: [
    text('general.architecture', 'llama'),
    count('general.alignment', 32),
    ['yes', VALUE.bool, integer(1, 1)],
    ['long', VALUE.u64, u64(7)],
    texts('tokens', ['a', 'Ġb', '', 'cc']),
    ['scores', VALUE.list, listBytes(VALUE.f32, 2, u64(0))],
    ['flags', VALUE.list, listBytes(VALUE.bool, 2, integer(1, 2))],
    ['lists', VALUE.list, listBytes(VALUE.list, 2, listBytes(VALUE.text, 1, textBytes('x')), listBytes(VALUE.i64, 1, u64(-1)))],
  ],
  tensors: [
    floats('norm', 8),
    { name: 'q', lengths: [256, 2], type: 12, bytes: new Uint8Array(288).fill(17) },
    { name: 'v', lengths: [64, 1], type: 2, bytes: new Uint8Array(36).fill(17) },
  ],
});
/** The tensors, each filled up to 32 bytes, are behind it. */
const HEADER_END = valid.length - 32 - 288 - 64;

/** The largest memory that was asked for by a number, in bytes. Copies of what is there are not counted. */
function watchAllocations(): () => number {
  let most = 0;
  const ask = (bytes: number): void => void (most = Math.max(most, bytes));
  for (const name of [
    'ArrayBuffer',
    'Array',
    'Uint8Array',
    'Int8Array',
    'Uint16Array',
    'Int16Array',
    'Uint32Array',
    'Int32Array',
    'Float32Array',
    'Float64Array',
  ] as const) {
    const original = globalThis[name] as unknown as new (...args: unknown[]) => object;
    const size =
      name === 'ArrayBuffer' ? 1 : name === 'Array' ? 8 : (globalThis[name] as unknown as { BYTES_PER_ELEMENT: number }).BYTES_PER_ELEMENT;
    const watched = new Proxy(original, {
      construct(target, args: unknown[], newTarget) {
        if (typeof args[0] === 'number') ask(args[0] * size);
        return Reflect.construct(target, args, newTarget) as object;
      },
    });
    vi.stubGlobal(name, watched);
  }
  return () => most;
}

afterEach(() => {
  vi.unstubAllGlobals();
});

/** Opens a file and uses all of it: everything it holds must be well-formed. */
async function useAll(files: Readonly<Record<string, Uint8Array<ArrayBuffer>>>, name: string): Promise<void> {
  const folder = memoryFolder(files);
  const file = await openGguf(folder, name);
  for (const tensor of file.tensors.values()) {
    const bytes = await file.read(tensor);
    const { type, shape, byteLength } = tensor;
    const weights = shape.reduce((a, b) => a * b, 1);
    expect(byteLength).toBe((weights / GGUF_BLOCKS[type].weights) * GGUF_BLOCKS[type].bytes);
    if (!isGgufBlockType(type) || bytes.length === 0 || firstBadBlock(type, bytes) !== undefined) continue;
    const width = shape.at(-1)!;
    const layout = repackLayout(type, weights / width, width);
    const plane = new Uint8Array(layout.bytes);
    repackRows(type, bytes, weights / width, width, rowsOfPlane(plane, layout, 0, weights / width));
  }
}

function mutate(file: Uint8Array<ArrayBuffer>, random: () => number, headerEnd: number): Uint8Array<ArrayBuffer> {
  const changed = file.slice(0, random() < 0.15 ? Math.floor(random() * file.length) : file.length);
  const anywhere = (): number => Math.floor(random() * Math.min(random() < 0.9 ? headerEnd : file.length, changed.length));
  const changes = Math.floor(random() * 3) + (changed.length === file.length ? 1 : 0);
  for (let i = 0; i < changes && changed.length > 8; i++) {
    if (random() < 0.5) changed[anywhere()]! ^= 1 << Math.floor(random() * 8);
    else {
      // A length, a count or an offset, wherever it happens to be: as large as its bytes, or as 2^53, or close to what the file has.
      const sizes = [2n ** 64n - 1n, 2n ** 53n, 2n ** 53n - 1n, 2n ** 31n, BigInt(changed.length), BigInt(Math.floor(random() * 300))];
      const bytes = u64(BigInt.asIntN(64, sizes[Math.floor(random() * sizes.length)]!)).subarray(0, random() < 0.5 ? 8 : 4);
      const at = Math.min(anywhere(), changed.length - 8);
      changed.set(bytes, at);
    }
  }
  return changed;
}

test('the file that is changed is good', async () => {
  expect(await codeOf(() => useAll({ 'a.gguf': valid }, 'a.gguf'))).toBeUndefined();
  const file = await openGguf(memoryFolder({ 'a.gguf': valid }), 'a.gguf');
  expect(file.tensors.get('norm')?.start).toBe(HEADER_END);
});

test(`${ROUNDS} damaged files end in a typed error or in tensors inside the file`, { timeout: 600_000 }, async () => {
  const most = watchAllocations();
  const random = randomNumbers(21);
  const codes = new Map<string, number>();
  let slowest = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const file = mutate(valid, random, HEADER_END);
    const start = performance.now();
    const code = (await codeOf(() => useAll({ 'a.gguf': file }, 'a.gguf'))) ?? 'valid';
    slowest = Math.max(slowest, performance.now() - start);
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  console.log(
    `slowest ${slowest.toFixed(0)} ms, largest allocation ${most()} bytes, ${[...codes].map((entry) => entry.join(' ')).join(', ')}`,
  );
  expect(slowest).toBeLessThan(5000);
  expect(most()).toBeLessThanOrEqual(4 * valid.length + (1 << 20));
  for (const code of ['valid', 'file_truncated', 'gguf_header', 'gguf_offsets', 'tensor_dtype', 'tensor_shape']) {
    expect(codes.get(code), code).toBeGreaterThan(0);
  }
});

test('damaged parts end in a typed error or in tensors inside the files', async () => {
  const fixture = (no: number): Uint8Array<ArrayBuffer> =>
    new Uint8Array(readFileSync(new URL(`../fixtures/gguf/parts-0000${no}-of-00003.gguf`, import.meta.url)));
  const good = Object.fromEntries([1, 2, 3].map((no) => [`a-0000${no}-of-00003.gguf`, fixture(no)]));
  const names = Object.keys(good);
  const random = randomNumbers(22);
  const codes = new Set<string>();
  for (let round = 0; round < ROUNDS / 8; round++) {
    const name = names[Math.floor(random() * 3)]!;
    const file = mutate(good[name]!, random, good[name]!.length);
    const code = await codeOf(() => useAll({ ...good, [name]: file }, names[Math.floor(random() * 3)]!));
    codes.add(code ?? 'valid');
  }
  for (const code of ['valid', 'gguf_split', 'gguf_header', 'file_truncated']) expect([...codes]).toContain(code);
});
