import { expect, test } from 'vitest';
import { readAdapter } from '../../src/adapters/adapter.ts';
import { createTensorReader } from '../../src/adapters/tensor-reader.ts';
import type { TensorInfo } from '../../src/formats/safetensors.ts';
import { memoryFolder, safetensors, tableOf, tensor } from './files.ts';

const MIB = 1 << 20;
const info = (start: number, end: number, file = 'a'): TensorInfo => ({
  name: `${file}${start}`,
  dtype: 'F32',
  shape: [],
  file,
  start,
  end,
});

/** Reads all of them in this order; the bytes' values are their place in the file, the reads are noted as `file start-end`. */
async function readAll(tensors: readonly TensorInfo[], signal?: AbortSignal, onRead: () => void = () => undefined) {
  const reads: string[] = [];
  const told: number[] = [];
  const files = {
    location: 'memory',
    tensors: new Map(),
    read: async ({ file, start, end }: TensorInfo) => {
      reads.push(`${file} ${start}-${end}`);
      onRead();
      return Uint8Array.from({ length: end - start }, (_, i) => (start + i) % 251);
    },
  };
  const reader = createTensorReader(files, tensors, signal, ({ loaded, total }) => told.push(loaded / total));
  const got: (readonly number[])[] = [];
  for (const tensorInfo of tensors) {
    const bytes = await reader.next(tensorInfo);
    got.push([bytes[0]!, bytes.length]);
  }
  expect(got).toEqual(tensors.map(({ start, end }) => [start % 251, end - start]));
  return { reads, told, reader };
}

test('what lies together is read together, in whatever order it is asked for', async () => {
  const { reads, told } = await readAll([info(40, 60), info(8, 40), info(60, 99)]);
  expect(reads).toEqual(['a 8-99']);
  expect(told).toEqual([1]);
});

test('a quarter of a read may be of others, not more', async () => {
  expect(await readAll([info(0, 30), info(40, 70)])).toMatchObject({ reads: ['a 0-70'], told: [1] });
  const { reads, told } = await readAll([info(0, 30), info(60, 90)]);
  expect(reads).toEqual(['a 0-30', 'a 60-90']);
  expect(told).toEqual([0.5, 1]);
  expect((await readAll([info(0, 30), info(60, 90), info(30, 60)])).reads).toEqual(['a 0-90']);
});

test('files are read apart, and at most 4 MiB at once unless one tensor is larger', async () => {
  expect((await readAll([info(0, 9), info(9, 20, 'b')])).reads).toEqual(['a 0-9', 'b 9-20']);
  const large = [info(0, 3 * MIB), info(3 * MIB, 4 * MIB), info(4 * MIB, 5 * MIB), info(5 * MIB, 10 * MIB)];
  expect((await readAll(large)).reads).toEqual([0, 4, 5].map((from, i) => `a ${from * MIB}-${[4, 5, 10][i]! * MIB}`));
});

test('it is left before and after a read', async () => {
  await expect(readAll([info(0, 9)], AbortSignal.abort(new Error('before')))).rejects.toThrow('before');
  const controller = new AbortController();
  await expect(readAll([info(0, 9)], controller.signal, () => controller.abort(new Error('after')))).rejects.toThrow('after');
});

test('only the next tensor is given', async () => {
  const { reader } = await readAll([info(0, 9)]);
  await expect(reader.next(info(0, 9))).rejects.toThrow(RangeError);
});

test('layers that lie in the order of their names are read together, and come out in their own', async () => {
  const table = tableOf([{ module: 'q', inWidth: 8192, outWidth: 4, outStart: 0 }], { prefix: 'l.', layers: 12 });
  const names = Array.from({ length: 12 }, (_, layer) => layer).sort((a, b) => (`${a}.` < `${b}.` ? -1 : 1));
  expect(names[2]).toBe(10);
  const tensors = names.flatMap((layer) => [
    tensor(`base_model.model.l.${layer}.q.lora_A.weight`, [16, 8192], () => layer + 1),
    tensor(`base_model.model.l.${layer}.q.lora_B.weight`, [4, 16], () => layer + 1),
  ]);
  const config = { peft_type: 'LORA', r: 16, lora_alpha: 16, target_modules: ['q'] };
  const folder = memoryFolder({ 'adapter_config.json': config, 'adapter_model.safetensors': safetensors(tensors) });
  let reads = 0;
  const counting: typeof folder = { ...folder, read: (...range) => (reads++, folder.read(...range)) };
  const { layers } = await readAdapter(counting, table, 'exact');
  expect(layers.map(({ words }) => new Float32Array(words.buffer)[0])).toEqual(Array.from({ length: 12 }, (_, layer) => layer + 1));
  expect(reads).toBe(5); // config, length, header, and 6 MiB of tensors
});
