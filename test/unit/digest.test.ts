import { expect, test } from 'vitest';
import { readAdapter } from '../../src/adapters/adapter.ts';
import { digestParts, sha256 } from '../../src/adapters/digest.ts';
import { TABLE, memoryFolder, pair, safetensors } from './files.ts';
import type { TestTensor } from './files.ts';

const CONFIG = { peft_type: 'LORA', r: 2, lora_alpha: 4, target_modules: ['q_proj'] };
const TENSORS = [...pair(0, 'self_attn.q_proj', 2), ...pair(1, 'self_attn.q_proj', 2, (i) => -i)];

async function digestOf(tensors: readonly TestTensor[], config: object, precision: 'exact' | 'half' = 'exact'): Promise<string> {
  const folder = memoryFolder({ 'adapter_config.json': config, 'adapter_model.safetensors': safetensors(tensors) });
  return (await readAdapter(folder, TABLE, precision)).digest;
}

test('sha256 is SHA-256', async () => {
  expect(await sha256(new TextEncoder().encode('abc'))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});

test('the same mathematics has the same digest', async () => {
  const digest = await digestOf(TENSORS, CONFIG);
  const reversed = Object.fromEntries(Object.entries(CONFIG).reverse());
  expect(await digestOf([...TENSORS].reverse(), reversed)).toBe(digest);
  expect(await digestOf(TENSORS, CONFIG, 'half')).toBe(digest);
  expect(await digestOf(TENSORS, { ...CONFIG, lora_dropout: 0.3, target_modules: 'all-linear', base_model_name_or_path: 'x' })).toBe(
    digest,
  );
  expect(await digestOf(TENSORS, { ...CONFIG, lora_alpha: 1, alpha_pattern: { q_proj: 4 } })).toBe(digest);
  const older = TENSORS.map((entry) => ({ ...entry, name: entry.name.replace('.weight', '.default.weight') }));
  expect(await digestOf(older, CONFIG)).toBe(digest);
});

test('other mathematics has another digest', async () => {
  const changed = TENSORS.map((entry, i) => (i === 3 ? { ...entry, bytes: entry.bytes.with(0, 1) } : entry));
  const digests = await Promise.all([
    digestOf(TENSORS, CONFIG),
    digestOf(changed, CONFIG),
    digestOf(TENSORS, { ...CONFIG, lora_alpha: 5 }),
    digestOf(TENSORS, { ...CONFIG, use_rslora: true }),
    digestOf(TENSORS.slice(0, 2), CONFIG),
    digestOf(pair(1, 'self_attn.q_proj', 2), CONFIG),
    digestOf([...pair(0, 'self_attn.q_proj', 2, (i) => -i), ...pair(1, 'self_attn.q_proj', 2)], CONFIG),
    digestOf([...pair(0, 'self_attn.o_proj', 2), ...pair(1, 'self_attn.o_proj', 2, (i) => -i)], { ...CONFIG, target_modules: ['o_proj'] }),
  ]);
  expect(new Set(digests).size).toBe(digests.length);
});

test('layers are ordered as numbers', async () => {
  const row = (layer: number) => ({
    layer,
    module: 'm',
    scale: 1,
    a: { dtype: 'F32', shape: [1, 4], sha256: `a${layer}` },
    b: { dtype: 'F32', shape: [4, 1], sha256: `b${layer}` },
  });
  expect(await digestParts([row(10), row(2)], [])).toBe(await digestParts([row(2), row(10)], []));
});
