import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Folder } from '../../src/formats/folder.ts';
import { ggufBytes, text, VALUE } from './gguf-files.ts';
import { codeOf, memoryFolder, pair, randomNumbers, safetensors, tensor } from './files.ts';
import { memoryStore } from '../../src/adapters/store.ts';
import { adapterFiles, answer, dropped, open } from './tiers-harness.ts';

const NORMS = [0, 1].map((layer) => tensor(`base_model.model.model.layers.${layer}.input_layernorm.weight`, [8], () => 1));

/** An adapter with norms of its own. */
function withNorms(location: string, seed: number): Folder {
  const tensors = [0, 1].flatMap((layer) => pair(layer, 'self_attn.q_proj', 4, randomNumbers(seed + 1000 * layer)));
  const config = { peft_type: 'LORA', r: 4, lora_alpha: 4, target_modules: ['q_proj'], modules_to_save: ['input_layernorm'] };
  return { ...memoryFolder({ 'adapter_config.json': config, 'adapter_model.safetensors': safetensors([...tensors, ...NORMS]) }), location };
}

describe('an adapter that does more than add low-rank pairs', () => {
  const refusal = {
    code: 'request_invalid',
    param: 'adapter',
    message: expect.stringMatching(/"norms" has saved modules, and cannot be blended/),
  };

  test('is refused in a blend, before and after it was read; alone it is served', async () => {
    const { adapters, ask, load } = await open();
    await adapters.add('norms', withNorms('n', 1));
    await adapters.add('plain', dropped('p', 2));
    const blend = [
      { id: 'plain', scale: 1 },
      { id: 'norms', scale: 1 },
    ];
    const [first, plain] = await Promise.allSettled([ask(blend), ask('plain')]);
    expect(first).toMatchObject({ status: 'rejected', reason: refusal });
    expect(plain).toMatchObject({ status: 'fulfilled', value: await answer(2) });
    await expect(ask(blend)).rejects.toMatchObject(refusal);
    await expect(
      ask([
        { id: 'norms', scale: 1 },
        { id: 'norms', scale: -1 },
      ]),
    ).rejects.toMatchObject(refusal);
    await expect(ask([{ id: 'norms', scale: 2 }])).rejects.toMatchObject({
      code: 'request_invalid',
      message: expect.stringMatching(/scaled by 2/),
    });
    await load('norms');
    expect(await ask('norms')).toBe(await ask([{ id: 'norms', scale: 1 }]));
  });

  test('a blend that waits for it ends when others have it read', async () => {
    const { adapters, ask, load } = await open();
    await adapters.add('norms', withNorms('n', 1));
    const [blended, loaded] = await Promise.allSettled([
      ask([
        { id: 'norms', scale: 0.5 },
        { id: 'norms', scale: 0.5 },
      ]),
      load('norms'),
    ]);
    expect(blended).toMatchObject({ reason: refusal });
    expect(loaded.status).toBe('fulfilled');
  });

  test('a store remembers what it is', async () => {
    const store = memoryStore();
    const before = await open({ store });
    await before.adapters.add('norms', withNorms('n', 1));
    await before.load('norms');
    await before.close();
    const { ask, list } = await open({ store });
    expect(await list()).toEqual([['norms', 'n', 'disk']]);
    await expect(
      ask([
        { id: 'norms', scale: 1 },
        { id: 'norms', scale: 1 },
      ]),
    ).rejects.toMatchObject(refusal);
    expect((await list())[0]![2]).toBe('disk'); // nobody read it for that
  });
});

describe('a GGUF LoRA', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weblora-gguf-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  /** The adapter of `dropped('', 1)`: q's rows in llama.cpp's order. */
  const bytes = (): Uint8Array<ArrayBuffer> => {
    const order = [0, 2, 1, 3, 4, 6, 5, 7];
    const parts = [0, 1].flatMap((layer) => {
      const [a, b] = pair(layer, 'self_attn.q_proj', 4, randomNumbers(1 + 1000 * layer));
      const rows = order.map((row) => b!.bytes.subarray(row * 16, row * 16 + 16));
      return [
        { name: `blk.${layer}.attn_q.weight.lora_a`, lengths: [8, 4], type: 0, bytes: a!.bytes },
        { name: `blk.${layer}.attn_q.weight.lora_b`, lengths: [4, 8], type: 0, bytes: new Uint8Array(rows.flatMap((row) => [...row])) },
      ];
    });
    const alpha = ['adapter.lora.alpha', VALUE.f32, new Uint8Array(Float32Array.of(4).buffer)] as const;
    const entries = [text('general.architecture', 'llama'), text('general.type', 'adapter'), text('adapter.type', 'lora'), alpha];
    return ggufBytes({ entries, tensors: parts });
  };

  test('comes from a path, a folder with nothing else, a file that was dropped, and bytes', async () => {
    writeFileSync(join(folder, 'pirate.gguf'), bytes());
    writeFileSync(join(folder, 'README.md'), 'arr');
    const { adapters, ask, load } = await open();
    const sources = {
      path: join(folder, 'pirate.gguf'),
      url: new URL(`file://${folder}/pirate.gguf`),
      folder,
      file: [new File([bytes()], 'pirate.gguf')],
      bytes: { 'pirate.gguf': bytes() },
    };
    const digests = new Set<string>();
    for (const [id, source] of Object.entries(sources)) {
      await adapters.add(id, source);
      expect(await ask(id), id).toBe(await answer(1));
      digests.add(await load(id));
    }
    await adapters.add('peft', dropped('peft', 1));
    digests.add(await load('peft'));
    expect(digests.size).toBe(1);
  });

  test('is read again where it changed', async () => {
    const path = join(folder, 'changing.gguf');
    writeFileSync(path, bytes());
    const { adapters, load } = await open();
    await adapters.add('a', path);
    const before = await load('a');
    const changed = bytes();
    changed[changed.length - 4]! ^= 1;
    writeFileSync(path, changed);
    expect((await adapters.load('a', { revalidate: true })).digest).not.toBe(before);
  });

  test('beside PEFT’s files these are read; two are not clear, and one that is not there is named', async () => {
    const { adapters, ask, load } = await open();
    await adapters.add('both', { ...adapterFiles(2), 'x.gguf': bytes() });
    expect(await ask('both')).toBe(await answer(2));
    await adapters.add('two', { 'x.gguf': bytes(), 'y.gguf': bytes() });
    expect(await codeOf(() => load('two'))).toBe('gguf_ambiguous');
    await adapters.add('none', join(folder, 'nobody.gguf'));
    await expect(load('none')).rejects.toMatchObject({ code: 'file_missing', message: expect.stringMatching(/nobody\.gguf/) });
  });
});
