import type { QuantizedType } from '../../src/kernels/libraries.ts';
import { quantizeRows } from '../../src/model/quantize.ts';
import { QUANTIZATION, type Quantization } from '../../src/model/plane-types.ts';
import { dequantize } from '../reference/dequantize.ts';
import { safetensors, type TestTensor } from '../unit/files.ts';
import { prompt, run, sameBits } from './batching.ts';
import { openDirectModel, type DirectModel, type DirectSettings } from './direct-model.ts';
import { LLAMA } from './adapters.ts';
import { folder, memoryFolder, source } from './fixtures.ts';
import { uniform } from './kernel-harness.ts';
import { padded } from './kernel-planes.ts';
import { check, type Case, type Environment } from './suite.ts';
import { checkPosition, largest, logSoftmax } from './tolerance.ts';

/** Widths that are no multiples of 32 or 8, so that blocks end in zeros; a vocabulary that is no multiple of 4. */
const SHAPE = { vocabulary: 515, hidden: 72, intermediate: 100, heads: 4, kvHeads: 2, headDim: 24, layers: 2 } as const;

/** Each type in both places. */
const QUANTIZATIONS: readonly Quantization[] = [
  { vocabulary: 'q8', layers: 'q8' },
  { vocabulary: 'q4_1', layers: 'q4' },
  { vocabulary: 'q4', layers: 'q4_1' },
];

/** Sums of the same numbers in the same order: what a compiler may still do differently is to fuse. */
const TOLERANCE = 1e-5;

/** A model of random weights, f32; each tensor may be changed before it is written. */
function modelFolder(change: (tensor: TestTensor, use: keyof Quantization) => TestTensor) {
  const { vocabulary, hidden, intermediate, heads, kvHeads, headDim, layers } = SHAPE;
  const tensors: TestTensor[] = [];
  const add = (name: string, shape: readonly number[], use?: keyof Quantization): void => {
    const numbers = uniform(tensors.length)(
      shape.reduce((a, b) => a * b),
      1.5 / Math.sqrt(shape.at(-1)!),
    );
    const values = use === undefined ? numbers.map((number) => 1 + number) : numbers;
    const tensor = { name, shape, bytes: new Uint8Array(values.buffer) };
    tensors.push(use === undefined ? tensor : change(tensor, use));
  };
  add('model.embed_tokens.weight', [vocabulary, hidden], 'vocabulary');
  add('lm_head.weight', [vocabulary, hidden], 'vocabulary');
  add('model.norm.weight', [hidden]);
  for (let layer = 0; layer < layers; layer++) {
    const name = `model.layers.${layer}.`;
    add(`${name}input_layernorm.weight`, [hidden]);
    add(`${name}post_attention_layernorm.weight`, [hidden]);
    add(`${name}self_attn.q_proj.weight`, [heads * headDim, hidden], 'layers');
    for (const module of ['k_proj', 'v_proj']) add(`${name}self_attn.${module}.weight`, [kvHeads * headDim, hidden], 'layers');
    add(`${name}self_attn.o_proj.weight`, [hidden, heads * headDim], 'layers');
    for (const module of ['gate_proj', 'up_proj']) add(`${name}mlp.${module}.weight`, [intermediate, hidden], 'layers');
    add(`${name}mlp.down_proj.weight`, [hidden, intermediate], 'layers');
  }
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: vocabulary,
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headDim,
    hidden_act: 'silu',
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_word_embeddings: false,
    max_position_embeddings: 512,
  };
  const text = new TextEncoder().encode(JSON.stringify(config));
  return memoryFolder('random model', { 'config.json': text, 'model.safetensors': safetensors(tensors) });
}

/** The tensor with each number replaced by what its type makes of it. */
function dequantized(tensor: TestTensor, type: QuantizedType): TestTensor {
  const [rows, width] = tensor.shape as [number, number];
  const { values, scales } = quantizeRows(type, new Float32Array(tensor.bytes.buffer), rows, width);
  const words = new Uint32Array((values.length + scales.length) / 4);
  words.set(new Uint32Array(values.buffer));
  words.set(new Uint32Array(scales.buffer), values.length / 4);
  const all = dequantize(type, words, rows, padded(width));
  const numbers = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) numbers.set(all.subarray(row * padded(width), row * padded(width) + width), row * width);
  return { ...tensor, bytes: new Uint8Array(numbers.buffer) };
}

/** Tokens of a prompt in one step, and sequences beside it. */
const STEPS = [
  { chunk: 1, beside: 0 },
  { chunk: 16, beside: 0 },
  { chunk: 21, beside: 5 },
  { chunk: 1, beside: 3 },
] as const;

/** `beside` of other sequences are the base's, as the row itself. */
const logits = (direct: DirectModel, tokens: readonly number[], chunk: number, beside: number): Promise<Float32Array[]> =>
  run(
    direct,
    tokens,
    undefined,
    chunk,
    Array.from({ length: beside }, () => NO_ADAPTER),
  );

const NO_ADAPTER = { slot: 0, scale: 1, rank4: 0 } as const;

async function checkModel(environment: Environment, quantize: Quantization, precision: 'exact' | 'half'): Promise<void> {
  const settings: DirectSettings = { precision, batchRows: 64, sequences: 8, poolBytes: 2 << 20 };
  const tokens = prompt(21, 5);
  await using plain = await openDirectModel(
    environment.gpu,
    modelFolder((tensor, use) => dequantized(tensor, quantize[use])),
    { ...settings, precision: 'exact' },
  );
  await using direct = await openDirectModel(
    environment.gpu,
    modelFolder((tensor) => tensor),
    { ...settings, quantize },
  );
  const expected = await logits(plain, tokens, tokens.length, 0);
  const whole = await logits(direct, tokens, tokens.length, 0);
  const tolerance = precision === 'exact' ? TOLERANCE : 5e-3;
  for (const [position, row] of whole.entries()) {
    const most = tolerance * largest(expected[position]!);
    const bad = row.findIndex((value, i) => !(Math.abs(value - expected[position]![i]!) <= most));
    check(bad < 0, () => `position ${position}: token ${bad} has ${row[bad]}, dequantised before ${expected[position]![bad]}`);
  }
  for (const { chunk, beside } of STEPS) {
    const rows = await logits(direct, tokens, chunk, beside);
    for (const [position, row] of rows.entries()) {
      sameBits(`chunks of ${chunk}, ${beside} others, position ${position}`, row, whole[position]!);
    }
  }
}

/** The option of the engine: the same log-probabilities as a model that was given the types, and `stats()` says so. */
async function checkEngine(environment: Environment, kind: 'q8' | 'q4'): Promise<void> {
  const tokens = prompt(30, 5);
  const settings = { precision: 'exact', quantize: QUANTIZATION[kind] } as const;
  await using direct = await openDirectModel(environment.gpu, await folder(environment, `${LLAMA}/base`), settings);
  const expected = await logits(direct, tokens, tokens.length, 0);
  const options = { model: await source(environment, `${LLAMA}/base`), precision: 'exact', memory: { pool: 16 << 20 } } as const;
  await using engine = await environment.createEngine({ ...options, quantize: kind });
  const { quantize } = await engine.stats();
  check(quantize === kind, () => `stats().quantize is ${quantize}`);
  const { promptLogprobs } = await engine.generate(tokens, { maxTokens: 1, promptLogprobs: -1 }).result();
  for (const [position, row] of expected.slice(0, -1).entries()) {
    const { topTokens, topLogprobs } = promptLogprobs![position + 1]!;
    const found = new Float32Array(row.length);
    topTokens.forEach((token, place) => (found[token] = topLogprobs[place]!));
    checkPosition(`position ${position}`, found, logSoftmax(row), row, TOLERANCE);
  }
}

/** A quantised model computes what it would with its weights as f32, and the same in every batch. */
export function quantisedCases(environment: Environment): Case[] {
  const exact = QUANTIZATIONS.map((quantize) => ({ quantize, precision: 'exact' }) as const);
  const models = [...exact, { quantize: QUANTIZATIONS[0]!, precision: 'half' } as const].map(({ quantize, precision }) => ({
    name: `${precision}, vocabulary ${quantize.vocabulary}, layers ${quantize.layers}: logits of the dequantised model, alone as in any batch`,
    run: () => checkModel(environment, quantize, precision),
  }));
  const engines = (['q8', 'q4'] as const).map((kind) => ({
    name: `engine, ${kind}: log-probabilities of the types that it stands for`,
    run: () => checkEngine(environment, kind),
  }));
  return [...models, ...engines];
}
