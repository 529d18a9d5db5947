import { toF32 } from '../../src/formats/half.ts';
import { tensor, type TestTensor } from '../unit/files.ts';
import { tensors } from './bad-file-changes.ts';
import { ADAPTER_FILES, readFiles, type Files } from './fixtures.ts';
import { uniform } from './kernel-harness.ts';
import { checkSameLogits, type Question } from './same-logits.ts';
import type { Case, Environment } from './suite.ts';

const QWEN = 'test/fixtures/arch/qwen3-qknorm';
const BASE_FILES = ['config.json', 'model.safetensors'] as const;
const BASE_WEIGHTS = 'model.safetensors';
const ADAPTER_WEIGHTS = 'adapter_model.safetensors';
/** No multiple of 4, and less than the base's own. */
const VOCABULARY = 413;
const WIDTH = 64;
const RANK = 8;
const QUESTIONS: readonly Question[] = [
  { prompt: [3, 14, 15, 92, 65], next: [7, 412], of: 'adapter' },
  { prompt: [412, 8, 0], next: [411, 2], of: 'adapter' },
];

const EMBEDDING = 'model.embed_tokens';
const HEAD = 'lm_head';
const saved = ({ name, ...rest }: TestTensor): TestTensor => ({ ...rest, name: `base_model.model.${name}` });

function change(files: Files, name: string, with_: (all: TestTensor[]) => TestTensor[]): Files {
  const copy = { ...files };
  tensors(with_)(copy, name);
  return copy;
}

function changeConfig(files: Files, name: string, fields: object): Files {
  const config = JSON.parse(new TextDecoder().decode(files[name])) as object;
  return { ...files, [name]: new TextEncoder().encode(JSON.stringify({ ...config, ...fields })) };
}

/** These take the place of those of their names, or come in addition. */
const replaced = (files: Files, by: readonly TestTensor[]): Files =>
  change(files, BASE_WEIGHTS, (all) => [...all.filter(({ name }) => by.every((each) => each.name !== name)), ...by]);

/** Qwen 3 with an odd vocabulary, the embedding cut to it and the head tied. */
async function oddBase(environment: Environment): Promise<Files> {
  const files = await readFiles(environment, `${QWEN}/base`, BASE_FILES);
  const cut = change(files, BASE_WEIGHTS, (all) =>
    all.map((each) => {
      if (each.name !== `${EMBEDDING}.weight`) return each;
      return { ...each, shape: [VOCABULARY, WIDTH], bytes: each.bytes.slice(0, VOCABULARY * WIDTH * 2) };
    }),
  );
  return changeConfig(cut, 'config.json', { vocab_size: VOCABULARY });
}

function matrix(name: string, rows: number, width: number, seed: number): TestTensor {
  const values = uniform(seed)(rows * width, 1);
  return tensor(name, [rows, width], (i) => values[i]!);
}

const numbers = ({ bytes }: TestTensor): Float32Array => toF32(bytes, 'F32');

/** W + scale * B · A, for A (rank, in) and B (out, rank). */
function merged(weights: TestTensor, a: TestTensor, b: TestTensor, scale: number): Float32Array {
  const [valuesA, valuesB] = [numbers(a), numbers(b)];
  const inWidth = a.shape[1]!;
  return numbers(weights).map((value, i) => {
    let sum = 0;
    for (let r = 0; r < RANK; r++) sum += valuesB[Math.floor(i / inWidth) * RANK + r]! * valuesA[r * inWidth + (i % inWidth)]!;
    return value + scale * sum;
  });
}

/** Saved norms of heads, embedding and head give what a base gives that has them. */
async function checkSaved(environment: Environment): Promise<void> {
  const model = await oddBase(environment);
  const plain = await readFiles(environment, `${QWEN}/adapters/r8-all`, ADAPTER_FILES);
  const norm = (layer: number, name: string): TestTensor => {
    const values = uniform(layer + name.length + name.charCodeAt(0))(32, 0.5);
    return tensor(`model.layers.${layer}.self_attn.${name}.weight`, [32], (i) => 1 + values[i]!);
  };
  const own = [
    ...[norm(0, 'q_norm'), norm(1, 'q_norm'), norm(0, 'k_norm'), norm(1, 'k_norm')],
    ...[matrix(`${EMBEDDING}.weight`, VOCABULARY, WIDTH, 1), matrix(`${HEAD}.weight`, VOCABULARY, WIDTH, 2)],
  ];
  const files = change(plain, ADAPTER_WEIGHTS, (all) => [...all, ...own.map(saved)]);
  const adapter = changeConfig(files, 'adapter_config.json', { modules_to_save: ['q_norm', 'k_norm', 'embed_tokens', 'lm_head'] });
  const reference = changeConfig(replaced(model, own), 'config.json', { tie_word_embeddings: false });
  await checkSameLogits(environment, { model, adapter }, { model: reference, adapter: plain }, QUESTIONS, 2e-5);
}

/**
 * Pairs of embedding and head beside weights of these, which are other than the base's: PEFT saves the weights wherever such a layer is a
 * target, and loads them.
 */
async function checkPairs(environment: Environment): Promise<void> {
  const model = await oddBase(environment);
  const plain = await readFiles(environment, `${QWEN}/adapters/r8-all`, ADAPTER_FILES);
  const config = JSON.parse(new TextDecoder().decode(plain['adapter_config.json'])) as { target_modules: string[]; lora_alpha: number };
  const scale = config.lora_alpha / RANK;
  const embedding = matrix(`${EMBEDDING}.base_layer.weight`, VOCABULARY, WIDTH, 1);
  const head = matrix(`${HEAD}.base_layer.weight`, VOCABULARY, WIDTH, 2);
  const tokens = matrix(`${EMBEDDING}.lora_embedding_A`, RANK, VOCABULARY, 3);
  const directions = matrix(`${EMBEDDING}.lora_embedding_B`, WIDTH, RANK, 4);
  const a = matrix(`${HEAD}.lora_A.weight`, RANK, WIDTH, 5);
  const b = matrix(`${HEAD}.lora_B.weight`, VOCABULARY, RANK, 6);
  const files = change(plain, ADAPTER_WEIGHTS, (all) => [...all, ...[embedding, head, tokens, directions, a, b].map(saved)]);
  const adapter = changeConfig(files, 'adapter_config.json', { target_modules: [...config.target_modules, 'embed_tokens', 'lm_head'] });
  const ofEmbedding = new Float32Array(VOCABULARY * WIDTH);
  const turned = merged({ ...embedding, bytes: new Uint8Array(new Float32Array(WIDTH * VOCABULARY).buffer) }, tokens, directions, scale);
  numbers(embedding).forEach((value, i) => (ofEmbedding[i] = value + turned[(i % WIDTH) * VOCABULARY + Math.floor(i / WIDTH)]!));
  const ofHead = merged(head, a, b, scale);
  const own = [
    tensor(`${EMBEDDING}.weight`, [VOCABULARY, WIDTH], (i) => ofEmbedding[i]!),
    tensor(`${HEAD}.weight`, [VOCABULARY, WIDTH], (i) => ofHead[i]!),
  ];
  const reference = changeConfig(replaced(model, own), 'config.json', { tie_word_embeddings: false });
  await checkSameLogits(environment, { model, adapter }, { model: reference, adapter: plain }, QUESTIONS, 2e-5);
}

/** Adapters that change more than linear layers, against bases that hold what they change; the vocabulary is no multiple of 4. */
export function mergedCases(environment: Environment): Case[] {
  return [
    { name: 'saved norms of heads, embedding and head', run: () => checkSaved(environment) },
    { name: 'pairs of embedding and head beside saved weights', run: () => checkPairs(environment) },
  ];
}
