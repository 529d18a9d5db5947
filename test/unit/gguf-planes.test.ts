import { describe, expect, test } from 'vitest';
import { repackLayout } from '../../src/formats/gguf-repack.ts';
import { GGUF_BLOCKS, isGgufBlockType, type GgufBlockType, type GgufType } from '../../src/formats/gguf-types.ts';
import { openGguf } from '../../src/formats/gguf.ts';
import { permutedRows } from '../../src/model/gguf-config-tensors.ts';
import { ggufTensors } from '../../src/model/gguf-tensors.ts';
import { openSliceMemory } from '../../src/formats/slice-memory-open.ts';
import { readVector } from '../../src/model/plane-rows.ts';
import { halvesOn, planeType, QUANTIZATION } from '../../src/model/plane-types.ts';
import { placePlane, type Placing, type Plane, type PlaneChunk } from '../../src/model/planes.ts';
import type { ModelTensor, ModelTensors } from '../../src/model/tensors.ts';
import { dequantizeGguf } from '../reference/gguf-dequantize.ts';
import { loadEight } from '../reference/gguf-planes.ts';
import { fakeBuffers, held } from './fake-buffers.ts';
import { memoryFolder, randomNumbers } from './files.ts';
import { floats, ggufBytes } from './gguf-files.ts';

const MIB = 2 ** 20;
const types = Object.keys(GGUF_BLOCKS) as GgufType[];
const blockTypes = types.filter(isGgufBlockType);
const bytesOf = (type: GgufType, numbers: number): number => (numbers / GGUF_BLOCKS[type].weights) * GGUF_BLOCKS[type].bytes;

interface Given {
  readonly name: string;
  readonly type: GgufType;
  readonly shape: readonly number[];
  readonly interleaved?: number;
  /** The bytes from one to another. */
  read(start: number, end: number): Uint8Array<ArrayBuffer>;
}

/** Random bits in every place, scales of 1 among them: no exponent has all its bits set. */
function random(name: string, type: GgufType, shape: readonly [number, number], interleaved?: number): Given {
  const next = randomNumbers(name.length + shape[0]);
  const bytes = Uint8Array.from({ length: bytesOf(type, shape[0] * shape[1]) }, () => Math.floor(next() * 256) & 0xbb);
  return { name, type, shape, read: (start, end) => bytes.slice(start, end), ...(interleaved !== undefined && { interleaved }) };
}

function tensorsOf(given: readonly Given[], seen: (bytes: number) => void = () => undefined): ModelTensors {
  const tensors = given.map(({ name, type, shape, interleaved }): ModelTensor => {
    const end = bytesOf(
      type,
      shape.reduce((a, b) => a * b, 1),
    );
    return { name: `gguf.${name}`, file: 'm.gguf', dtype: type, shape, start: 0, end, ...(interleaved !== undefined && { interleaved }) };
  });
  return {
    location: 'm.gguf',
    format: 'gguf',
    fileName: (name) => `gguf.${name}`,
    tensors: new Map(tensors.map((tensor, i) => [given[i]!.name, tensor])),
    async read({ name, end }, from = 0, to = end) {
      seen(to - from);
      return given.find((one) => `gguf.${one.name}` === name)!.read(from, to);
    },
  };
}

async function load(given: readonly Given[], names: readonly string[], bindingBytes = 2 ** 30, seen?: (bytes: number) => void) {
  const { device, buffers, made } = fakeBuffers(bindingBytes);
  const files = tensorsOf(given, seen);
  const choice = { precision: 'exact', quantize: undefined, halves: 'kept' } as const;
  const placing: Placing = { ...choice, device, buffers, files, fills: [], onProgress: () => undefined, signal: undefined };
  const shapes = names.map((name) => files.tensors.get(name)?.shape ?? [4, 256]);
  const plane = await placePlane(
    placing,
    names,
    shapes.map((shape) => shape[0]!),
    shapes[0]![1]!,
    'layers',
  );
  const memory = await openSliceMemory();
  for (const fill of placing.fills) await fill(memory);
  return { plane, bytes: made() };
}

const BLOCK_OF: ReadonlyMap<string, GgufBlockType> = new Map(
  blockTypes.map((type) => [planeType(type, 'layers', { precision: 'exact', quantize: undefined, halves: 'kept' }), type]),
);

/** The numbers of a chunk, as a kernel would load them. */
function numbersOf({ type, buffer, rows }: PlaneChunk, width: number): number[] {
  const block = BLOCK_OF.get(type)!;
  const layout = repackLayout(block, Math.ceil(rows / 4) * 4, width);
  return Array.from({ length: (rows * width) / 8 }, (_, i) => loadEight(held.get(buffer)!, block, layout, i)).flat();
}

const allOf = ({ chunks, width }: Plane): number[] => chunks.flatMap((chunk) => numbersOf(chunk, width));

/** What the blocks stand for, rows in transformers' order. */
function expected({ type, shape, interleaved, read }: Given): number[] {
  const [rows, width] = shape as [number, number];
  const values = dequantizeGguf(type, read(0, bytesOf(type, rows * width)));
  if (interleaved === undefined) return [...values];
  const out = new Float32Array(values.length);
  for (const [stored, row] of permutedRows(rows / interleaved, interleaved).entries()) {
    out.set(values.subarray(stored * width, (stored + 1) * width), row * width);
  }
  return [...out];
}

describe('planes out of a GGUF file', () => {
  test('a chunk ends where another type begins, and rows of heads are put back in order', async () => {
    const given = [random('q', 'Q4_K', [64, 512], 16), random('k', 'Q6_K', [32, 512], 16), random('v', 'Q6_K', [32, 512])];
    const names = ['q', 'k', 'v'];
    for (const bindingBytes of [2 ** 30, 8 * 512 * 2]) {
      const { plane } = await load(given, names, bindingBytes);
      // not compared as lists: what tells two long ones apart takes minutes
      const [found, wanted] = [allOf(plane), given.flatMap(expected)];
      expect([found.length, found.findIndex((number, i) => number !== wanted[i])]).toEqual([wanted.length, -1]);
      expect(plane.chunks.every(({ firstRow }) => firstRow % 4 === 0)).toBe(true);
      const cuts = plane.chunks.map(({ type, firstRow }) => `${type} ${firstRow}`);
      if (bindingBytes === 2 ** 30) expect(cuts).toEqual(['q4_k 0', 'q6_k 64']);
      else expect(cuts).toEqual(expect.arrayContaining(['q4_k 0', 'q6_k 64']));
    }
    // the order of the stored rows is another one
    const stored = dequantizeGguf('Q4_K', given[0]!.read(0, bytesOf('Q4_K', 64 * 512)));
    expect(expected(given[0]!).some((number, i) => number !== stored[i])).toBe(true);
  });

  test('a matrix comes in slices of 16 MiB at most, whole heads each', async () => {
    const [rows, width, headRows] = [6144, 4096, 96];
    const rowBytes = bytesOf('Q8_0', width);
    // every number of a row is the row's own: a scale of 1, and 32 times a byte
    const read = (start: number, end: number): Uint8Array<ArrayBuffer> => {
      const bytes = new Uint8Array(end - start);
      for (let at = start; at < end; at += rowBytes) {
        const row = bytes.subarray(at - start, at - start + rowBytes).fill((at / rowBytes) % 125);
        for (let block = 0; block < rowBytes; block += 34) row.set([0x00, 0x3c], block);
      }
      return bytes;
    };
    const slices: number[] = [];
    const given: Given = { name: 'q', type: 'Q8_0', shape: [rows, width], interleaved: headRows, read };
    const { plane } = await load([given], ['q'], 2 ** 30, (bytes) => slices.push(bytes));
    expect(slices.length).toBeGreaterThan(1);
    expect(Math.max(...slices)).toBeLessThanOrEqual(16 * MIB);
    expect(slices.every((bytes) => bytes % (headRows * rowBytes) === 0)).toBe(true);
    expect(slices.reduce((a, b) => a + b)).toBe(rows * rowBytes);
    const levels = held.get(plane.chunks[0]!.buffer)!;
    for (const [stored, row] of permutedRows(rows / headRows, headRows).entries()) expect(levels[row * width + 7]).toBe(stored % 125);
  });

  test.each(types)('%s takes at most 1.25 times the bytes of the file', async (type) => {
    const shape = [68, 1024] as const;
    const { bytes } = await load([random('o', type, shape)], ['o']);
    expect(bytes / bytesOf(type, shape[0] * shape[1])).toBeLessThanOrEqual(1.25);
  });

  test('f16 stays f16 on every device', () => {
    const files = tensorsOf([random('o', 'F16', [4, 256])]);
    const swiftshader = { software: true, features: { subgroups: 'yes', f16: 'no' } } as const;
    expect(halvesOn(swiftshader, files)).toBe('kept');
    expect(halvesOn(swiftshader, { location: '', tensors: files.tensors, read: files.read })).toBe('widened');
  });

  test('what is in blocks is not rounded again, what is not is', () => {
    const choice = { precision: 'exact', quantize: QUANTIZATION.q4, halves: 'kept' } as const;
    expect((['Q8_0', 'Q5_K', 'F16'] as const).map((type) => planeType(type, 'layers', choice))).toEqual(['q8', 'q5_k', 'q4']);
  });

  test.each(blockTypes)('%s with a scale that is no number is refused by its place', async (type) => {
    const good = random('o', type, [12, 512]);
    const bytes = good.read(0, bytesOf(type, 12 * 512));
    const { bytes: size, weights } = GGUF_BLOCKS[type];
    const at = { Q2_K: 80, Q3_K: 108, Q6_K: 208 }[type as string] ?? 0;
    bytes.set([0x00, 0x7c], 5 * size + at);
    const broken: Given = { ...good, read: (start, end) => bytes.slice(start, end) };
    const message = expect.stringContaining(`gguf.o holds a scale that is NaN or infinity at element ${5 * weights}`);
    await expect(load([broken], ['o'])).rejects.toEqual(expect.objectContaining({ code: 'tensor_not_finite', message }));
  });

  test('a tensor that is not there is named as the file would', async () => {
    const error = expect.objectContaining({ code: 'tensor_missing', message: expect.stringMatching(/gguf\.o, which its metadata/) });
    await expect(load([], ['o'])).rejects.toEqual(error);
  });

  test('biases of heads are put back in order', async () => {
    const values = Float32Array.from({ length: 32 }, (_, i) => i + 0.5);
    const given: Given = { name: 'b', type: 'F32', shape: [32], interleaved: 8, read: () => new Uint8Array(values.slice().buffer) };
    const files = tensorsOf([given]);
    const reading = { files, onProgress: () => undefined, signal: undefined };
    const bytes = await readVector(reading, { ...files.tensors.get('b')!, dtype: 'F32' });
    const order = permutedRows(4, 8);
    const found = new Float32Array(bytes.buffer);
    expect(Array.from(order, (row) => found[row])).toEqual([...values]);
    expect([...found]).not.toEqual([...values]);
  });
});

test('tensors have transformers’ names, those of two heads in a llama their order', async () => {
  const parts = [
    floats('token_embd.weight', 8, 4),
    floats('blk.1.attn_q.weight', 8, 16),
    floats('blk.1.attn_v.weight', 8, 8),
    floats('rope_freqs.weight', 4),
  ];
  const gguf = await openGguf(memoryFolder({ 'm.gguf': ggufBytes({ tensors: parts }) }), 'm.gguf');
  const llama = ggufTensors(gguf, 'llama', { layers: 2, headDim: 8 });
  expect([...llama.tensors.keys()].sort()).toEqual([
    'model.embed_tokens.weight',
    'model.layers.1.self_attn.q_proj.weight',
    'model.layers.1.self_attn.v_proj.weight',
  ]);
  const query = llama.tensors.get('model.layers.1.self_attn.q_proj.weight')!;
  expect(query).toMatchObject({ name: 'blk.1.attn_q.weight', file: 'm.gguf', dtype: 'F32', shape: [16, 8], interleaved: 8 });
  expect(query.end - query.start).toBe(16 * 8 * 4);
  expect(llama.tensors.get('model.layers.1.self_attn.v_proj.weight')).not.toHaveProperty('interleaved');
  expect(llama.fileName?.('model.layers.0.mlp.up_proj.weight')).toBe('blk.0.ffn_up.weight');
  expect(new Float32Array((await llama.read(query, 4, 12)).buffer)).toEqual(Float32Array.of(1, 2));
  const qwen = ggufTensors(gguf, 'qwen2', { layers: 2, headDim: 8 });
  expect(qwen.tensors.get('model.layers.1.self_attn.q_proj.weight')).not.toHaveProperty('interleaved');
});
