import { expect } from 'vitest';
import { readAdapter } from '../../src/adapters/adapter.ts';
import type { BaseMatrices } from '../../src/adapters/base-matrices.ts';
import type { PackedAdapter, SiteTable } from '../../src/adapters/sites.ts';
import { toF32 } from '../../src/formats/half.ts';
import { memoryFolder, pair, randomNumbers, safetensors, tableOf, tensor } from './files.ts';
import type { TestTensor } from './files.ts';

export const random = randomNumbers(17);
export const noise = (): number => random() - 0.5;

/** A model of two layers and a vocabulary of 16 with biases of q, k, v, all linear layers 8 wide but k and v, which are 4. */
export const PLAIN = tableOf([
  { module: 'self_attn.q_proj', inWidth: 8, outWidth: 8, outStart: 0 },
  { module: 'self_attn.k_proj', inWidth: 8, outWidth: 4, outStart: 8 },
  { module: 'self_attn.v_proj', inWidth: 8, outWidth: 4, outStart: 12 },
  { module: 'self_attn.o_proj', inWidth: 8, outWidth: 8, outStart: 0 },
  { module: 'mlp.gate_proj', inWidth: 8, outWidth: 12, outStart: 0 },
  { module: 'mlp.up_proj', inWidth: 8, outWidth: 12, outStart: 12 },
]);
export const FULL: SiteTable = { ...PLAIN, sites: PLAIN.sites.map((site, i) => ({ ...site, bias: i < 3 ? 'yes' : 'no' })) };
export const CONFIG = { peft_type: 'LORA', r: 3, lora_alpha: 6, target_modules: ['q_proj'] };

export const name = (layer: number, module: string): string => `base_model.model.model.layers.${layer}.${module}`;
export const vector = (of: string, width: number): TestTensor => tensor(of, [width], () => 1 + noise());
export const lora = (of: string, inWidth: number, outWidth: number, rank = 3): TestTensor[] => [
  tensor(`${of}.lora_A.weight`, [rank, inWidth], noise),
  tensor(`${of}.lora_B.weight`, [outWidth, rank], noise),
];
export const Q = [0, 1].flatMap((layer) => pair(layer, 'self_attn.q_proj', 3, noise));
export const valuesOf = ({ bytes }: TestTensor): number[] => [...toF32(bytes, 'F32')];

export function read(
  tensors: readonly TestTensor[],
  config: object,
  table: SiteTable = FULL,
  precision: 'exact' | 'half' = 'exact',
  base?: BaseMatrices,
): Promise<PackedAdapter> {
  const files = { 'adapter_config.json': { ...CONFIG, ...config }, 'adapter_model.safetensors': safetensors(tensors) };
  return readAdapter(memoryFolder(files), table, precision, { base });
}

/** It is refused, with this message. */
export const refused = (tensors: readonly TestTensor[], config: object, message: RegExp, table?: SiteTable) =>
  expect(read(tensors, config, table)).rejects.toMatchObject({
    code: expect.stringMatching(/^(adapter_target|tensor_shape)$/),
    message: expect.stringMatching(message),
  });
