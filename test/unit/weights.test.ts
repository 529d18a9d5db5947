import { describe, expect, test } from 'vitest';
import { openSafetensors, type TensorFiles } from '../../src/formats/safetensors.ts';
import type { QuantizedType, WeightType } from '../../src/kernels/libraries.ts';
import { modelShape } from '../../src/model/shape.ts';
import { halvesOn, planeType, type Halves, type Quantization, type WeightDtype } from '../../src/model/plane-types.ts';
import type { Plane } from '../../src/model/planes.ts';
import { placeWeights } from '../../src/model/weights.ts';
import { llamaConfig } from '../suites/llama-config.ts';
import { dequantize } from '../reference/dequantize.ts';
import { fakeBuffers, held, type Lower } from './fake-buffers.ts';
import { memoryFolder, randomNumbers, safetensors, tensor, type TestTensor } from './files.ts';

const CONFIG = llamaConfig({
  vocabSize: 50,
  hiddenSize: 40,
  intermediateSize: 72,
  layers: 1,
  heads: 2,
  kvHeads: 1,
  headDim: 24,
  tiedEmbeddings: true,
  contextLength: 64,
});

const EMBEDDING = 'model.embed_tokens.weight';

/** All tensors of the model, with random numbers. */
function tensors(): TestTensor[] {
  const { prefix, sites } = modelShape(CONFIG).table;
  const random = randomNumbers(4);
  const add = (name: string, shape: readonly number[]): TestTensor => tensor(name, shape, () => random() - 0.5);
  return [
    add(EMBEDDING, [50, 40]),
    add('model.norm.weight', [40]),
    add(`${prefix}0.input_layernorm.weight`, [40]),
    add(`${prefix}0.post_attention_layernorm.weight`, [40]),
    ...sites.map(({ module, inWidth, outWidth }) => add(`${prefix}0.${module}.weight`, [outWidth, inWidth])),
  ];
}

async function load(given: readonly TestTensor[], quantize: Quantization | undefined, bytes: number, config = CONFIG, lower?: Lower) {
  const { device, buffers } = fakeBuffers(bytes, lower);
  const files = await openSafetensors(memoryFolder({ 'model.safetensors': safetensors(given) }), 'model');
  const loading = {
    device,
    buffers,
    files,
    precision: 'exact',
    quantize,
    halves: 'kept',
    onProgress: () => undefined,
    signal: undefined,
  } as const;
  const { weights, fill } = await placeWeights(loading, config, modelShape(config));
  await fill();
  return weights;
}

const typesOf = ({ chunks }: Plane): WeightType[] => [...new Set(chunks.map(({ type }) => type))];

/** A plane's numbers without what fills up its rows. */
function numbersOf({ rows, width, chunks }: Plane): Float32Array {
  const wide = Math.ceil(width / 32) * 32;
  const out = new Float32Array(rows * width);
  for (const { type, buffer, firstRow, rows: count } of chunks) {
    const words = new Uint32Array(held.get(buffer)!.buffer);
    const all = type === 'f32' ? new Float32Array(words.buffer) : dequantize(type as 'q8', words, Math.ceil(count / 4) * 4, wide);
    for (let row = 0; row < count; row++) out.set(all.subarray(row * wide, row * wide + width), (firstRow + row) * width);
  }
  return out;
}

const all = (type: Quantization['layers']): Quantization => ({ vocabulary: type, layers: type });

/** The same numbers within a share of the largest that a type must keep. */
function near(found: Float32Array, expected: Float32Array, share: number): void {
  expect(found.length).toBe(expected.length);
  for (const [i, number] of found.entries()) expect(Math.abs(number - expected[i]!)).toBeLessThanOrEqual(share);
}

describe('planes', () => {
  const given = tensors();
  const numbers = (name: string): Float32Array => new Float32Array(given.find((one) => one.name.includes(name))!.bytes.buffer);

  test.each<['f32' | QuantizedType, number, number]>([
    ['f32', 1 << 20, 0],
    ['q8', 1 << 20, 0.5 / 254],
    ['q4', 1 << 20, 0.08],
    ['q4_1', 1 << 20, 0.05],
    // 8 rows of 64 numbers at most: every plane is cut, one tensor inside another's chunk
    ['f32', 8 * 64 * 4, 0],
    ['q8', 8 * (64 + 8), 0.5 / 254],
    ['q4', 8 * (32 + 8), 0.08],
    ['q4_1', 8 * (32 + 16), 0.05],
  ])('%s in bindings of %i bytes', async (type, bytes, share) => {
    const quantize = type === 'f32' ? undefined : all(type);
    const { embedding, head, layers } = await load(given, quantize, bytes);
    expect(head).toBe(embedding);
    near(numbersOf(embedding), numbers(EMBEDDING), share);
    const { qkv, gateUp, down } = layers[0]!;
    near(numbersOf(qkv), Float32Array.from(['q_proj', 'k_proj', 'v_proj'].flatMap((name) => [...numbers(name)])), share);
    near(numbersOf(gateUp), Float32Array.from(['gate_proj', 'up_proj'].flatMap((name) => [...numbers(name)])), share);
    near(numbersOf(down), numbers('down_proj'), share);
    for (const plane of [embedding, qkv, gateUp, down]) {
      expect(typesOf(plane)).toEqual([type]);
      expect(plane.chunks.length).toBe(bytes === 1 << 20 ? 1 : Math.ceil(plane.rows / (plane.chunks[0]!.rows || 1)));
      if (bytes < 1 << 20) expect(plane.chunks.length).toBeGreaterThan(1);
    }
  });

  test('a plane is cut where a buffer ends, on devices whose bindings could be larger', async () => {
    const { embedding } = await load(given, undefined, 8 * 64 * 4, CONFIG, 'maxBufferSize');
    expect(embedding.chunks.map(({ rows }) => rows)).toEqual([8, 8, 8, 8, 8, 8, 2]);
    near(numbersOf(embedding), numbers(EMBEDDING), 0);
  });

  test('f16 becomes f32 where software unpacks it, the model is small and nothing asks for halves', () => {
    const on = (software: boolean, subgroups: 'yes' | 'no', elements: number) => {
      const info = { name: 'a', file: 'a', dtype: 'F16', shape: [2, elements / 2] };
      const tensors = new Map([['a', info]]) as unknown as TensorFiles['tensors'];
      return halvesOn({ software, features: { subgroups, f16: 'no' } }, { tensors } as TensorFiles);
    };
    expect([on(true, 'yes', 2), on(true, 'yes', 64 << 20), on(true, 'yes', (64 << 20) + 2)]).toEqual(['widened', 'widened', 'kept']);
    expect([on(true, 'no', 2), on(false, 'yes', 2)]).toEqual(['kept', 'kept']);
    const typed = (dtype: WeightDtype, precision: 'exact' | 'half', halves: Halves): WeightType =>
      planeType(dtype, 'layers', { precision, quantize: undefined, halves });
    expect([typed('F16', 'exact', 'widened'), typed('F16', 'exact', 'kept')]).toEqual(['f32', 'f16']);
    expect([typed('F16', 'half', 'widened'), typed('BF16', 'exact', 'widened')]).toEqual(['f16', 'bf16']);
  });

  test('vocabulary and layers have types of their own, norms stay f32', async () => {
    const { embedding, finalNorm, layers } = await load(given, { vocabulary: 'q8', layers: 'q4' }, 1 << 20);
    expect([embedding, layers[0]!.qkv, layers[0]!.down].flatMap(typesOf)).toEqual(['q8', 'q4', 'q4']);
    expect(new Float32Array(held.get(finalNorm)!.buffer)).toEqual(numbers('model.norm.weight'));
  });

  test.each([Number.NaN, Infinity, -Infinity])('%f is refused, quantised or not', async (bad) => {
    const broken = given.map((one) => (one.name.includes('up_proj') ? tensor(one.name, one.shape, (i) => (i === 77 ? bad : 0)) : one));
    for (const quantize of [undefined, all('q8'), all('q4')]) {
      const error = expect.objectContaining({ code: 'tensor_not_finite', message: expect.stringContaining('element 77') });
      await expect(load(broken, quantize, 1 << 20)).rejects.toEqual(error);
    }
  });

  test('a number that leaves no room for steps around it is refused by its name', async () => {
    const broken = given.map((one) => (one.name.includes('up_proj') ? tensor(one.name, one.shape, (i) => (i === 3 ? 3e38 : 0)) : one));
    const error = expect.objectContaining({
      code: 'model_unsupported',
      message: expect.stringMatching(/up_proj.*e\+38.*without quantize/s),
    });
    await expect(load(broken, all('q4'), 1 << 20)).rejects.toEqual(error);
    await load(broken, undefined, 1 << 20);
  });
});

describe('tensors that a family has', () => {
  const floats = (buffer: GPUBuffer | undefined): number[] => [...new Float32Array(held.get(buffer!)!.buffer)];
  const LAYER = 'model.layers.0.';
  /** A tensor of numbers that count up from `first`, exact in f32 with 1 added. */
  const counting = (name: string, shape: readonly number[], first: number): TestTensor => tensor(name, shape, (i) => first + i / 8);
  const counted = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i / 8);

  const gemma = {
    ...CONFIG,
    norms: 'around',
    normOffset: 1,
    queryKeyNorm: 'each head',
    biases: { qkv: true, o: true, mlp: true },
  } as const;
  const norms = ['input', 'post_attention', 'pre_feedforward', 'post_feedforward'].map((name) => `${LAYER}${name}_layernorm.weight`);
  const modules = ['q', 'k', 'v', 'o']
    .map((name) => `self_attn.${name}_proj`)
    .concat(['gate', 'up', 'down'].map((name) => `mlp.${name}_proj`));
  const heights = [48, 24, 24, 40, 72, 72, 40];
  const around = [
    ...tensors().filter(({ name }) => !name.includes('norm')),
    counting('model.norm.weight', [40], 1),
    ...norms.map((name, i) => counting(name, [40], 10 * (i + 1))),
    ...['q', 'k'].map((name, i) => counting(`${LAYER}self_attn.${name}_norm.weight`, [24], 100 + 10 * i)),
    ...modules.map((name, i) => counting(`${LAYER}${name}.bias`, [heights[i]!], 1000 * (i + 1))),
  ];

  test('norms are around each block, with what is added to them; biases lie as the outputs do', async () => {
    const { finalNorm, layers } = await load(around, undefined, 1 << 20, gemma);
    const { inputNorm, attentionNorm, postNorm, feedForwardNorm, headVectors, oBias, gateUpBias, downBias } = layers[0]!;
    expect(floats(finalNorm)).toEqual(counted(2, 40));
    expect([inputNorm, attentionNorm, postNorm, feedForwardNorm].map(floats)).toEqual([11, 21, 31, 41].map((first) => counted(first, 40)));
    // biases have nothing added; the norms of heads stand behind them
    const vectors = [counted(1000, 48), counted(2000, 24), counted(3000, 24), counted(101, 24), counted(111, 24)];
    expect(floats(headVectors)).toEqual(vectors.flat());
    expect([oBias, downBias].map(floats)).toEqual([counted(4000, 40), counted(7000, 40)]);
    expect(floats(gateUpBias)).toEqual([...counted(5000, 72), ...counted(6000, 72)]);
  });

  test('without any of these there is nothing but two norms', async () => {
    const [layer] = (await load(tensors(), undefined, 1 << 20)).layers;
    const { headVectors, oBias, attentionNorm, gateUpBias, downBias, feedForwardNorm } = layer!;
    expect([headVectors, oBias, attentionNorm, gateUpBias, downBias, feedForwardNorm]).toEqual(new Array(6).fill(undefined));
  });

  test('a fused tensor is a plane, the same as its parts below each other', async () => {
    const apart = tensors();
    const join = (name: string, parts: readonly string[]): TestTensor => {
      const found = parts.map((part) => apart.find((each) => each.name.includes(part))!);
      const all = found.flatMap(({ bytes }) => [...new Float32Array(bytes.buffer)]);
      return tensor(`${LAYER}${name}.weight`, [all.length / 40, 40], (i) => all[i]!);
    };
    const parts = [
      ['q_proj', 'k_proj', 'v_proj'],
      ['gate_proj', 'up_proj'],
    ] as const;
    const joined = [join('self_attn.qkv_proj', parts[0]), join('mlp.gate_up_proj', parts[1])];
    const fused = [...apart.filter(({ name }) => !parts.flat().some((part) => name.includes(part))), ...joined];
    const [one, other] = await Promise.all([load(apart, all('q8'), 1 << 20), load(fused, all('q8'), 1 << 20, { ...CONFIG, fused: true })]);
    for (const group of ['qkv', 'gateUp'] as const) expect(numbersOf(other.layers[0]![group])).toEqual(numbersOf(one.layers[0]![group]));
    await expect(load(apart, undefined, 1 << 20, { ...CONFIG, fused: true })).rejects.toMatchObject({ code: 'tensor_missing' });
  });

  test('a tensor that the config asks for and the file has not is named', async () => {
    const without = around.filter(({ name }) => !name.endsWith('k_norm.weight'));
    const error = { code: 'tensor_missing', message: expect.stringContaining('model.layers.0.self_attn.k_norm.weight') as string };
    await expect(load(without, undefined, 1 << 20, gemma)).rejects.toMatchObject(error);
  });
});
