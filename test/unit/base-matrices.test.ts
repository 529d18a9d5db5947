import { describe, expect, test } from 'vitest';
import type { BaseMatrices } from '../../src/adapters/base-matrices.ts';
import type { SiteTable } from '../../src/adapters/sites.ts';
import { baseMatrices } from '../../src/engine/base-matrices.ts';
import { openSafetensors } from '../../src/formats/safetensors.ts';
import { FULL, lora, noise, Q, read } from './adapter-parts-files.ts';
import { memoryFolder, safetensors, tensor } from './files.ts';
import type { TestTensor } from './files.ts';

const TIED: SiteTable = { ...FULL, tied: 'yes' };
/** Numbers that bf16 holds. */
const short = (name: string): TestTensor => tensor(name, [16, 8], (i) => ((i * 37) % 128) / 32 - 2);
const asBf16 = (of: TestTensor): TestTensor => {
  const words = new Uint32Array(of.bytes.buffer);
  return { ...of, dtype: 'BF16', bytes: new Uint8Array(Uint16Array.from(words, (word) => word >>> 16).buffer) };
};
const EMBEDDING = short('model.embed_tokens.weight');
const HEAD = tensor('lm_head.weight', [16, 8], noise);

async function baseOf(tensors: readonly TestTensor[], table: SiteTable): Promise<BaseMatrices> {
  return baseMatrices(await openSafetensors(memoryFolder({ 'model.safetensors': safetensors(tensors) }), 'model'), table);
}
const named = (of: TestTensor, name: string): TestTensor => ({ ...of, name: `base_model.model.${name}` });

describe('matrices that PEFT saved with the base', () => {
  const pair = lora('base_model.model.lm_head', 8, 16);
  const config = { target_modules: ['q_proj', 'lm_head'] };

  test("the base's own change nothing: the adapter is what it is without them", async () => {
    const base = await baseOf([asBf16(EMBEDDING), HEAD], FULL);
    const want = await read([...Q, ...pair], config);
    const saved = [named(HEAD, 'lm_head.base_layer.weight'), named(EMBEDDING, 'model.embed_tokens.weight')];
    const found = await read([...Q, ...pair, ...saved], config, FULL, 'exact', base);
    expect(found).toEqual(want);
    expect([found.whole, found.unblendable]).toEqual([[], []]);
    expect((await read([...Q, ...pair, ...saved], config)).whole.length).toBe(2); // nothing to compare with
  });

  test('of tied weights either one is the embedding', async () => {
    const base = await baseOf([EMBEDDING], TIED);
    for (const name of ['lm_head.base_layer.weight', 'model.embed_tokens.weight']) {
      expect((await read([...Q, ...pair, named(EMBEDDING, name)], config, TIED, 'exact', base)).whole).toEqual([]);
    }
  });

  test('one number that is another is a matrix of its own', async () => {
    const other = { ...HEAD, bytes: HEAD.bytes.with(HEAD.bytes.length - 2, HEAD.bytes.at(-2)! ^ 1) };
    const base = await baseOf([EMBEDDING, HEAD], FULL);
    const { whole, unblendable } = await read([...Q, ...pair, named(other, 'lm_head.base_layer.weight')], config, FULL, 'exact', base);
    expect([whole.length, whole[0]!.slices, unblendable]).toEqual([1, [other.bytes], ['saved modules']]);
  });

  test('a base that cannot be read, or holds no plain numbers, is not compared with', async () => {
    const saved = [...Q, ...pair, named(HEAD, 'lm_head.base_layer.weight')];
    const away = await baseOf([EMBEDDING], FULL);
    expect((await read(saved, config, FULL, 'exact', away)).whole.length).toBe(1);
    const broken = baseMatrices(
      {
        location: 'base',
        tensors: new Map([['lm_head.weight', { name: 'lm_head.weight', file: 'a', dtype: 'F32', shape: [16, 8], start: 0, end: 512 }]]),
        read: () => Promise.reject(new Error('away')),
      },
      FULL,
    );
    expect((await read(saved, config, FULL, 'exact', broken)).whole.length).toBe(1);
  });
});
