import { describe, expect, test } from 'vitest';
import { readAdapter } from '../../src/adapters/adapter.ts';
import { readGgufAdapter, type GgufNames } from '../../src/adapters/gguf-adapter.ts';
import type { PackedAdapter, SiteTable } from '../../src/adapters/sites.ts';
import { OUTER } from '../../src/adapters/sites.ts';
import { toF32 } from '../../src/formats/half.ts';
import { ggufNamesOf } from '../../src/model/gguf-names.ts';
import { codeOf, memoryFolder, randomNumbers, safetensors, tableOf, tensor } from './files.ts';
import type { TestTensor } from './files.ts';
import { count, ggufBytes, text, VALUE, type Entry, type GgufPart } from './gguf-files.ts';
import { expected, largestError, product, vectorOf } from './lora-math.ts';

const random = randomNumbers(5);
const noise = (): number => random() - 0.5;

/** Two heads of 4 for q, one for k and v. */
const TABLE = tableOf([
  { module: 'self_attn.q_proj', inWidth: 8, outWidth: 8, outStart: 0 },
  { module: 'self_attn.k_proj', inWidth: 8, outWidth: 4, outStart: 8 },
  { module: 'self_attn.v_proj', inWidth: 8, outWidth: 4, outStart: 12 },
  { module: 'mlp.gate_proj', inWidth: 8, outWidth: 12, outStart: 0 },
  { module: 'mlp.up_proj', inWidth: 8, outWidth: 12, outStart: 12 },
]);
const SIZES = { heads: 2, kvHeads: 1, headDim: 4 };
const LLAMA = ggufNamesOf({ family: 'llama', ...SIZES });

const f32 = (key: string, value: number): Entry => [key, VALUE.f32, new Uint8Array(Float32Array.of(value).buffer)];
const part = ({ name, shape, bytes }: TestTensor, type = 0): GgufPart => ({ name, lengths: shape.toReversed(), type, bytes });
const values = ({ bytes }: TestTensor): Float32Array => toF32(bytes, 'F32');

interface Written {
  readonly architecture?: string;
  readonly alpha?: number | undefined;
  readonly type?: string;
  readonly kind?: string;
  readonly more?: readonly Entry[];
}

function written(
  tensors: readonly GgufPart[],
  { architecture = 'llama', alpha = 6, type = 'adapter', kind = 'lora', more = [] }: Written = {},
) {
  const entries = [text('general.architecture', architecture), text('general.type', type), text('adapter.type', kind), ...more];
  return ggufBytes({ entries: [...entries, ...(Number.isNaN(alpha) ? [] : [f32('adapter.lora.alpha', alpha)])], tensors });
}

function read(
  bytes: Uint8Array<ArrayBuffer>,
  table: SiteTable = TABLE,
  names: GgufNames = LLAMA,
  precision: 'exact' | 'half' = 'exact',
): Promise<PackedAdapter> {
  return readGgufAdapter(memoryFolder({ 'a.gguf': bytes }), 'a.gguf', table, names, precision);
}

/** A pair as PEFT has it, and as the file has it. `order`: which row of PEFT's each stored row is. */
function pair(layer: number, module: string, gguf: string, outWidth: number, order?: readonly number[]) {
  const name = `base_model.model.model.layers.${layer}.${module}`;
  const a = tensor(`${name}.lora_A.weight`, [3, 8], noise);
  const b = tensor(`${name}.lora_B.weight`, [outWidth, 3], noise);
  const rows = (order ?? Array.from({ length: outWidth }, (_, i) => i)).flatMap((row) => [...values(b).subarray(row * 3, row * 3 + 3)]);
  const stored = [
    part({ ...a, name: `blk.${layer}.${gguf}.weight.lora_a` }),
    part({ ...b, name: `blk.${layer}.${gguf}.weight.lora_b`, bytes: new Uint8Array(Float32Array.from(rows).buffer) }),
  ];
  return { peft: [a, b], stored };
}

/** llama.cpp's order of a head of 4: the halves interleaved. */
const HEAD = [0, 2, 1, 3];
const PAIRS = [0, 1].flatMap((layer) => [
  pair(layer, 'self_attn.q_proj', 'attn_q', 8, [...HEAD, ...HEAD.map((row) => row + 4)]),
  pair(layer, 'self_attn.k_proj', 'attn_k', 4, HEAD),
  pair(layer, 'self_attn.v_proj', 'attn_v', 4),
  pair(layer, 'mlp.up_proj', 'ffn_up', 12),
]);
const STORED = PAIRS.flatMap(({ stored }) => stored);
const PEFT = PAIRS.flatMap(({ peft }) => peft);
const TARGETS = ['q_proj', 'k_proj', 'v_proj', 'up_proj'];
const readPeft = (tensors: readonly TestTensor[], config: object, table: SiteTable = TABLE) =>
  readAdapter(
    memoryFolder({ 'adapter_config.json': { peft_type: 'LORA', r: 3, ...config }, 'adapter_model.safetensors': safetensors(tensors) }),
    table,
    'exact',
  );

describe('a GGUF LoRA', () => {
  test('is the PEFT adapter that it was made of', async () => {
    const want = await readPeft(PEFT, { lora_alpha: 6, target_modules: TARGETS });
    expect(await read(written(STORED))).toEqual(want);
    expect((await read(written(STORED.toReversed()))).digest).toBe(want.digest);
    expect(want.layers[1]!.matrices.map(({ site, scale }) => [site, scale])).toEqual([0, 1, 2, 4].map((site) => [site, 2]));
  });

  test('alpha is the file’s; without one, or with 0, the scale is 1', async () => {
    const scale = async (alpha: number) => (await read(written(STORED, { alpha }))).layers[0]!.matrices[0]!.scale;
    expect([await scale(12), await scale(1.5), await scale(0), await scale(NaN)]).toEqual([4, 0.5, 1, 1]);
  });

  test('rows are put back for llama alone', async () => {
    const qwen = await read(written(STORED, { architecture: 'qwen2' }), TABLE, ggufNamesOf({ family: 'qwen2', ...SIZES }));
    const llama = await read(written(STORED));
    const own = PAIRS[0]!.peft;
    expect(largestError(product(llama.layers[0]!, 0, TABLE, 'exact'), expected(own, 2))).toBeLessThan(1e-12);
    expect(largestError(product(qwen.layers[0]!, 0, TABLE, 'exact'), expected(own, 2))).toBeGreaterThan(0.1);
    expect(product(qwen.layers[0]!, 2, TABLE, 'exact')).toEqual(product(llama.layers[0]!, 2, TABLE, 'exact'));
  });

  test('fused layers of phi3 are cut', async () => {
    const fused = { ...TABLE, fused: 'yes' as const };
    const { peft, stored } = pair(0, 'mlp.gate_up_proj', 'ffn_up', 24);
    const packed = await read(written(stored, { architecture: 'phi3' }), fused, ggufNamesOf({ family: 'phi3', ...SIZES }));
    expect(packed).toEqual(await readPeft(peft, { lora_alpha: 6, target_modules: ['gate_up_proj'] }, fused));
    expect(packed.layers[0]!.matrices.map(({ site }) => site)).toEqual([3, 4]);
  });

  test('the embedding’s A has a row for each token', async () => {
    const peft = [
      tensor('base_model.model.model.embed_tokens.lora_embedding_A', [3, 16], noise),
      tensor('base_model.model.model.embed_tokens.lora_embedding_B', [8, 3], noise),
    ];
    const turned = Float32Array.from({ length: 48 }, (_, i) => values(peft[0]!)[(i % 3) * 16 + Math.floor(i / 3)]!);
    const stored = [
      part({ name: 'token_embd.weight.lora_a', shape: [16, 3], bytes: new Uint8Array(turned.buffer) }),
      part({ ...peft[1]!, name: 'token_embd.weight.lora_b' }),
    ];
    const packed = await read(written(stored));
    expect(packed).toEqual(await readPeft(peft, { lora_alpha: 6, target_modules: ['embed_tokens'] }));
    expect(packed.outer.matrices[0]!.site).toBe(OUTER.embedding);
  });

  test('norms are served; Gemma’s have the 1 in them', async () => {
    const norm = tensor('blk.0.attn_norm.weight', [8], (i) => i);
    const read1 = async (architecture: string, family: string) => {
      const table = { ...TABLE, normOffset: family === 'gemma2' ? 1 : 0 };
      const packed = await read(written([...STORED, part(norm)], { architecture }), table, ggufNamesOf({ family, ...SIZES }));
      expect(packed.unblendable).toEqual(['saved modules']);
      return vectorOf(packed.layers[0]!, packed.layers[0]!.norms[0]!.offset, 8);
    };
    expect(await read1('llama', 'mistral')).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(await read1('gemma2', 'gemma2')).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test('Q8_0 is read', async () => {
    const table = tableOf([{ module: 'self_attn.v_proj', inWidth: 32, outWidth: 2, outStart: 0 }]);
    const b = tensor('blk.0.attn_v.weight.lora_b', [2, 1], () => 1);
    const blocks = new Uint8Array(34);
    blocks.set([0, 0x38], 0); // 0.5
    blocks.set(new Uint8Array(Int8Array.from({ length: 32 }, (_, i) => i * 8 - 128).buffer), 2);
    const packed = await read(
      written([part({ name: 'blk.0.attn_v.weight.lora_a', shape: [1, 32], bytes: blocks }, 8), part(b)], { alpha: 1 }),
      table,
    );
    const row = Array.from({ length: 32 }, (_, i) => i * 4 - 64);
    expect(product(packed.layers[0]!, 0, table, 'exact')).toEqual([...row, ...row]);
  });
});

describe('refused by name', () => {
  const bad = (tensors: readonly GgufPart[], more: Written, code: string, message: RegExp) =>
    expect(read(written(tensors, more))).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  const rename = (from: string, to: string) => STORED.map((each) => ({ ...each, name: each.name.replace(from, to) }));
  test.each<[string, readonly GgufPart[], Written, string, RegExp]>([
    ['a model', STORED, { type: 'model' }, 'adapter_format', /general\.type is "model"/],
    ['another architecture', STORED, { architecture: 'qwen2' }, 'adapter_target', /"qwen2".*"llama"/],
    ['another kind', STORED, { kind: 'control_vector' }, 'adapter_type', /control_vector/],
    ['Activated LoRA', STORED, { more: [count('adapter.alora.invocation_tokens', 1)] }, 'adapter_setting', /alora/],
    ['no tensors', [], {}, 'adapter_target', /no tensor/],
    ['A alone', STORED.slice(0, 1), {}, 'adapter_target', /has lora_a but no lora_b/],
    ['a layer too many', rename('blk.1', 'blk.2'), {}, 'adapter_target', /match nothing.*blk\.2.*2 layers/s],
    ['a module that the model has not', rename('ffn_up', 'ffn_gate_inp'), {}, 'adapter_target', /ffn_gate_inp/],
    ['a whole matrix', [...STORED, part(tensor('blk.0.ffn_up.weight', [12, 8]))], {}, 'adapter_target', /blk\.0\.ffn_up\.weight/],
    ['a pair of a norm', rename('ffn_up', 'attn_norm'), {}, 'adapter_target', /attn_norm/],
    [
      'another width',
      [part(tensor('blk.0.attn_v.weight.lora_a', [3, 8])), part(tensor('blk.0.attn_v.weight.lora_b', [6, 3]))],
      {},
      'tensor_shape',
      /\[6,3\]/,
    ],
    [
      'a q of another width',
      [part(tensor('blk.0.attn_q.weight.lora_a', [3, 8])), part(tensor('blk.0.attn_q.weight.lora_b', [6, 3]))],
      {},
      'tensor_shape',
      /\[6,3\]/,
    ],
    [
      'A and B of different ranks',
      [part(tensor('blk.0.attn_v.weight.lora_a', [3, 8])), part(tensor('blk.0.attn_v.weight.lora_b', [4, 2]))],
      {},
      'adapter_rank',
      /\[3,8\].*\[4,2\]/,
    ],
    [
      'a vector',
      [part(tensor('blk.0.attn_v.weight.lora_a', [24])), part(tensor('blk.0.attn_v.weight.lora_b', [4, 3]))],
      {},
      'tensor_shape',
      /two dimensions/,
    ],
    [
      'rank 0',
      [part(tensor('blk.0.attn_v.weight.lora_a', [0, 8])), part(tensor('blk.0.attn_v.weight.lora_b', [4, 0]))],
      {},
      'adapter_rank',
      /neither of them 0/,
    ],
    ['alpha beyond f32', STORED, { alpha: Infinity }, 'gguf_metadata', /adapter\.lora\.alpha/],
    [
      'NaN',
      [part(tensor('blk.0.attn_v.weight.lora_a', [3, 8], () => NaN)), part(tensor('blk.0.attn_v.weight.lora_b', [4, 3]))],
      {},
      'tensor_not_finite',
      /NaN/,
    ],
  ])('%s', (_, tensors, more, code, message) => bad(tensors, more, code, message));

  test('another quantisation', async () => {
    const bytes = new Uint8Array(18);
    const table = tableOf([{ module: 'self_attn.v_proj', inWidth: 32, outWidth: 2, outStart: 0 }]);
    const tensors = [
      part({ name: 'blk.0.attn_v.weight.lora_a', shape: [1, 32], bytes }, 2),
      part(tensor('blk.0.attn_v.weight.lora_b', [2, 1])),
    ];
    await expect(read(written(tensors), table)).rejects.toMatchObject({
      code: 'tensor_dtype',
      message: expect.stringMatching(/Q4_0.*Q8_0/),
    });
  });
});

test('any damaged file ends in a typed error or is whole', async () => {
  const whole = written(STORED);
  const numbers = randomNumbers(7);
  const codes = new Set<string>();
  for (let round = 0; round < 1500; round++) {
    const copy = whole.slice(0, numbers() < 0.1 ? Math.floor(numbers() * whole.length) : whole.length);
    const end = numbers() < 0.8 ? Math.min(copy.length, 1400) : copy.length;
    for (let flip = 0; flip < 2 && copy.length > 0; flip++) copy[Math.floor(numbers() * end)]! ^= 1 << Math.floor(numbers() * 8);
    codes.add((await codeOf(() => read(copy, TABLE, LLAMA, 'half'))) ?? 'whole');
  }
  for (const code of ['whole', 'file_truncated', 'gguf_header', 'adapter_target', 'tensor_shape']) expect([...codes]).toContain(code);
});
