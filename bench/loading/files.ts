import { closeSync, existsSync, mkdirSync, openSync, readSync, renameSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BlockType } from '../../test/reference/gguf-dequantize.ts';
import { BLOCK_SIZES } from '../../test/reference/gguf-dequantize.ts';
import { isSeeded, seededBlocks } from '../../test/suites/gguf-blocks.ts';
import { modelEntries, settingsOf } from '../../test/suites/gguf-model-metadata.ts';
import { GGML_TYPES } from '../../test/suites/gguf-model-writer.ts';
import { ggufBytes } from '../../test/unit/gguf-files.ts';
import { randomNumbers } from '../../test/unit/files.ts';

/** A llama of the widths of TinyLlama, with as many layers as make a gigabyte. */
const HIDDEN = 2048;
const INTERMEDIATE = 5632;
const VOCABULARY = 32_000;
/** Seeded bytes are repeated after so many weights. */
const PERIOD = 1 << 20;

interface Part {
  readonly name: string;
  readonly gguf: string;
  readonly shape: readonly number[];
  readonly type: BlockType;
}

function config(layers: number): Record<string, unknown> {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: VOCABULARY,
    hidden_size: HIDDEN,
    intermediate_size: INTERMEDIATE,
    num_hidden_layers: layers,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    max_position_embeddings: 2048,
    tie_word_embeddings: true,
    bos_token_id: 1,
    eos_token_id: 2,
  };
}

/** What each matrix is in: as makers of files do, some in more bits than others. */
type TypeOf = (name: string) => BlockType;

function parts(layers: number, typeOf: TypeOf): readonly Part[] {
  const matrices = [
    ['self_attn.q_proj', 'attn_q', HIDDEN, HIDDEN],
    ['self_attn.k_proj', 'attn_k', HIDDEN / 8, HIDDEN],
    ['self_attn.v_proj', 'attn_v', HIDDEN / 8, HIDDEN],
    ['self_attn.o_proj', 'attn_output', HIDDEN, HIDDEN],
    ['mlp.gate_proj', 'ffn_gate', INTERMEDIATE, HIDDEN],
    ['mlp.up_proj', 'ffn_up', INTERMEDIATE, HIDDEN],
    ['mlp.down_proj', 'ffn_down', HIDDEN, INTERMEDIATE],
  ] as const;
  const norms = [
    ['input_layernorm', 'attn_norm'],
    ['post_attention_layernorm', 'ffn_norm'],
  ] as const;
  const inLayer = (i: number): Part[] => [
    ...norms.map(([name, gguf]): Part => ({ ...named(i, name, gguf), shape: [HIDDEN], type: 'F32' })),
    ...matrices.map(([name, gguf, rows, width]): Part => ({ ...named(i, name, gguf), shape: [rows, width], type: typeOf(gguf) })),
  ];
  return [
    { name: 'model.embed_tokens.weight', gguf: 'token_embd.weight', shape: [VOCABULARY, HIDDEN], type: typeOf('token_embd') },
    { name: 'model.norm.weight', gguf: 'output_norm.weight', shape: [HIDDEN], type: 'F32' },
    ...Array.from({ length: layers }, (_, i) => inLayer(i)).flat(),
  ];
}

const named = (layer: number, name: string, gguf: string): Pick<Part, 'name' | 'gguf'> => ({
  name: `model.layers.${layer}.${name}.weight`,
  gguf: `blk.${layer}.${gguf}.weight`,
});

function bytesOf({ shape, type }: Part): number {
  const [weights, bytes] = BLOCK_SIZES[type];
  return (shape.reduce((a, b) => a * b, 1) / weights) * bytes;
}

/** So many seeded bytes of a type, the same again and again. */
function pattern(type: BlockType): Uint8Array<ArrayBuffer> {
  if (isSeeded(type)) return seededBlocks(type, PERIOD, 7);
  const random = randomNumbers(7);
  const values = Float32Array.from({ length: PERIOD }, () => (random() - 0.5) * 0.2);
  if (type === 'F32') return new Uint8Array(values.buffer);
  if (type !== 'BF16') throw new Error(`${type} is not written`);
  return new Uint8Array(Uint16Array.from(new Uint32Array(values.buffer), (word) => word >>> 16).buffer);
}

/** Writes a header and the parts behind it, each filled up to a multiple of `alignment`, unless the file is there. */
function writeFile(path: string, header: Uint8Array, all: readonly Part[], alignment: number): void {
  const padded = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;
  const size = header.length + all.reduce((sum, part) => sum + padded(bytesOf(part)), 0);
  if (existsSync(path) && statSync(path).size === size) return;
  const patterns = new Map([...new Set(all.map(({ type }) => type))].map((type) => [type, pattern(type)]));
  const file = openSync(`${path}.part`, 'w');
  writeSync(file, header);
  for (const part of all) {
    const bytes = patterns.get(part.type)!;
    for (let left = bytesOf(part); left > 0; left -= bytes.length) writeSync(file, bytes, 0, Math.min(left, bytes.length));
    writeSync(file, new Uint8Array(padded(bytesOf(part)) - bytesOf(part)));
  }
  closeSync(file);
  renameSync(`${path}.part`, path);
}

const folder = fileURLToPath(new URL('../../.cache/bench-loading', import.meta.url));

/** A model that is there to be loaded. */
export interface Written {
  /** As `openModel` takes it. */
  readonly model: string;
  readonly file: string;
}

/** A gigabyte of bf16. */
export function writeSafetensors(): Written {
  const layers = 9;
  const all = parts(layers, () => 'BF16');
  let at = 0;
  const header: Record<string, unknown> = {};
  for (const part of all) {
    const dtype = part.type;
    header[part.name] = { dtype, shape: part.shape, data_offsets: [at, (at += bytesOf(part))] };
  }
  const text = JSON.stringify(header);
  const json = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const prefix = new Uint8Array(BigUint64Array.of(BigInt(json.length)).buffer);
  mkdirSync(join(folder, 'safetensors'), { recursive: true });
  writeFileSync(join(folder, 'safetensors/config.json'), JSON.stringify(config(layers)));
  const file = join(folder, 'safetensors/model.safetensors');
  writeFile(file, Buffer.concat([prefix, json]), all, 1);
  return { model: join(folder, 'safetensors'), file };
}

/** A gigabyte of the types of a Q4_K_M. */
export function writeGguf(): Written {
  const layers = 36;
  const all = parts(layers, (name) => (/token_embd|attn_v|ffn_down/.test(name) ? 'Q6_K' : 'Q4_K'));
  let at = 0;
  const tensors = all.map((part) => {
    const offset = at;
    at += Math.ceil(bytesOf(part) / 32) * 32;
    return { name: part.gguf, lengths: part.shape.toReversed(), type: GGML_TYPES[part.type], bytes: new Uint8Array(0), offset };
  });
  const header = ggufBytes({ entries: modelEntries(settingsOf(config(layers))), tensors });
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'model.gguf');
  writeFile(file, header, all, 32);
  return { model: file, file };
}

/** Reads the file once, so that the system has it in memory. */
export function warm(path: string): void {
  const file = openSync(path, 'r');
  const bytes = new Uint8Array(16 << 20);
  while (readSync(file, bytes) > 0);
  closeSync(file);
}
