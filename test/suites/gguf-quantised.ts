import { toF16 } from '../../src/formats/half.ts';
import { dequantizeGguf, type BlockType } from '../reference/gguf-dequantize.ts';
import { QUANTIZED_TYPES, quantizeGguf } from '../reference/gguf-quantize.ts';
import { randomNumbers, safetensors, type TestTensor } from '../unit/files.ts';
import { isSeeded, SEEDED_TYPES, seededBlocks } from './gguf-blocks.ts';
import { ggufSource } from './gguf-families.ts';
import { f32Tensor, ggufOfModel, type ModelTensor, type ModelToWrite } from './gguf-model-writer.ts';
import { checkSameLogits, type Question } from './same-logits.ts';
import type { Case, Environment } from './suite.ts';
import { tolerance } from './tolerance.ts';

const HIDDEN = 256;
const INTERMEDIATE = 512;
const VOCABULARY = 384;
const LAYERS = 2;

/** Heads of a seeded llama: with 8 of 32 and one of k and v, types change inside 64 rows of q, k, v. */
interface Heads {
  readonly heads: number;
  readonly kvHeads: number;
}
export const LARGE: Heads = { heads: 4, kvHeads: 2 };
const SMALL: Heads = { heads: 8, kvHeads: 1 };

/** The type of a matrix by its name. */
type TypeOf = (name: string) => BlockType;

function configOf({ heads, kvHeads }: Heads): ModelToWrite['config'] {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: VOCABULARY,
    hidden_size: HIDDEN,
    intermediate_size: INTERMEDIATE,
    num_hidden_layers: LAYERS,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    rms_norm_eps: 2 ** -17,
    rope_theta: 10_000,
    max_position_embeddings: 256,
    tie_word_embeddings: false,
    bos_token_id: 1,
    eos_token_id: 2,
  };
}

function matrices({ heads, kvHeads }: Heads): readonly (readonly [name: string, rows: number, width: number])[] {
  const keyRows = (HIDDEN / heads) * kvHeads;
  const layer = [
    ['self_attn.q_proj', HIDDEN, HIDDEN],
    ['self_attn.k_proj', keyRows, HIDDEN],
    ['self_attn.v_proj', keyRows, HIDDEN],
    ['self_attn.o_proj', HIDDEN, HIDDEN],
    ['mlp.gate_proj', INTERMEDIATE, HIDDEN],
    ['mlp.up_proj', INTERMEDIATE, HIDDEN],
    ['mlp.down_proj', HIDDEN, INTERMEDIATE],
  ] as const;
  return [
    ['model.embed_tokens.weight', VOCABULARY, HIDDEN],
    ['lm_head.weight', VOCABULARY, HIDDEN],
    ...Array.from({ length: LAYERS }, (_, i) =>
      layer.map(([name, rows, width]) => [`model.layers.${i}.${name}.weight`, rows, width] as const),
    ).flat(),
  ];
}

/** Rows of seeded numbers, by gguf-py's rules where it has any for the type, else of seeded blocks. */
function seededMatrix(type: BlockType, rows: number, width: number, seed: number): ModelTensor {
  const shape = [rows, width];
  if (isSeeded(type)) return { shape, type, bytes: seededBlocks(type, rows * width, seed) };
  const random = randomNumbers(seed);
  const values = Float32Array.from({ length: rows * width }, () => (random() - 0.5) * 0.2);
  if (type === 'F32') return f32Tensor(shape, values);
  if (type !== 'F16' && type !== 'BF16') return { shape, type, bytes: quantizeGguf(type, values) };
  const bits = new Uint32Array(values.buffer);
  const halves = type === 'F16' ? toF16(values) : Uint16Array.from(bits, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
  return { shape, type, bytes: new Uint8Array(halves.buffer) };
}

/** A llama whose every matrix is of the type that it is given; tools/gguf-quantised.py writes the same for types that gguf-py quantises. */
export function seededModel(heads: Heads, typeOf: TypeOf): ModelToWrite {
  const tensors = new Map<string, ModelTensor>();
  for (const [i, [name, rows, width]] of matrices(heads).entries()) tensors.set(name, seededMatrix(typeOf(name), rows, width, 100 + i));
  const norms = ['model.norm.weight'];
  for (let i = 0; i < LAYERS; i++)
    norms.push(`model.layers.${i}.input_layernorm.weight`, `model.layers.${i}.post_attention_layernorm.weight`);
  const random = randomNumbers(99);
  for (const name of norms) {
    tensors.set(
      name,
      f32Tensor(
        [HIDDEN],
        Float32Array.from({ length: HIDDEN }, () => 0.8 + 0.4 * random()),
      ),
    );
  }
  return { config: configOf(heads), tensors };
}

/** The folder that holds as F32 what the blocks stand for. */
export function dequantisedFolder({ config, tensors }: ModelToWrite): Record<string, Uint8Array<ArrayBuffer>> {
  const all = Array.from(tensors, ([name, { shape, type, bytes }]): TestTensor => {
    const values = type === 'F32' ? bytes : new Uint8Array(dequantizeGguf(type, bytes).buffer);
    return { name, shape, bytes: values };
  });
  return { 'config.json': new TextEncoder().encode(JSON.stringify(config)), 'model.safetensors': safetensors(all) };
}

/** Prompts of one row and of several tiles of them; what follows is decoded together. */
const QUESTIONS: readonly Question[] = [1, 2, 9, 37].map((length, i) => {
  const tokens = Array.from({ length: length + 3 }, (_, at) => (at * 53 + i * 17 + 5) % VOCABULARY);
  return { prompt: tokens.slice(0, length), next: tokens.slice(length), of: 'base' };
});

async function checkTypes(environment: Environment, heads: Heads, typeOf: TypeOf): Promise<void> {
  const model = seededModel(heads, typeOf);
  const [gguf, folder] = [ggufSource(ggufOfModel(model)), dequantisedFolder(model)];
  await checkSameLogits(environment, { model: gguf }, { model: folder }, QUESTIONS, tolerance('exact', 'base'));
}

/** What makers of GGUF files do: more bits where they count, and not the same everywhere. */
const MIXED: readonly (readonly [part: string, type: BlockType])[] = [
  ['embed_tokens', 'Q6_K'],
  ['lm_head', 'Q8_0'],
  ['0.self_attn.q_proj', 'Q4_K'],
  ['0.self_attn.k_proj', 'Q6_K'],
  ['0.self_attn.v_proj', 'Q8_0'],
  ['1.self_attn.q_proj', 'Q5_1'],
  ['1.self_attn.k_proj', 'F16'],
  ['1.self_attn.v_proj', 'IQ4_NL'],
  ['0.mlp.gate_proj', 'Q5_K'],
  ['0.mlp.up_proj', 'Q3_K'],
  ['mlp.down_proj', 'Q4_1'],
  ['', 'Q4_K'],
];
export const mixed: TypeOf = (name) => MIXED.find(([part]) => name.includes(part))![1];

/** Files of every type give the logits of what their blocks stand for. */
export function ggufQuantisedCases(
  environment: Environment,
  types: readonly BlockType[] = [...SEEDED_TYPES, ...QUANTIZED_TYPES, 'F16', 'BF16'],
): Case[] {
  return [
    ...types.map((type): Case => {
      const run = (): Promise<void> => checkTypes(environment, LARGE, () => type);
      return { name: `${type}: the logits of the dequantised tensors, in prefill and decode`, run };
    }),
    {
      name: 'q, k and v of several types: the logits of the dequantised tensors',
      run: () => checkTypes(environment, LARGE, mixed),
    },
    {
      name: 'types that change inside 64 rows of q, k and v: the logits of the dequantised tensors',
      run: () => checkTypes(environment, SMALL, mixed),
    },
  ];
}
