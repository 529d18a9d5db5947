import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readAdapter } from '../../src/adapters/adapter.ts';
import type { SiteTable } from '../../src/adapters/sites.ts';
import { openFolder } from '../../src/formats/folder.ts';
import { toF32 } from '../../src/formats/half.ts';
import { openSafetensors } from '../../src/formats/safetensors.ts';
import { parseModelConfig } from '../../src/model/config.ts';
import { modelShape } from '../../src/model/shape.ts';
import { expected, largestError, product } from './lora-math.ts';

const SHARED = new URL('../../../shared/', import.meta.url);

/** The sites of a Llama, from its config.json. */
function llamaSites(path: string): SiteTable {
  const file = new URL(`${path}/config.json`, SHARED);
  return modelShape(parseModelConfig(JSON.parse(readFileSync(file, 'utf8')), file.pathname)).table;
}

describe.skipIf(!existsSync(SHARED))('reference adapters', () => {
  const refused: Readonly<Record<string, RegExp>> = {
    dora: /use_dora/,
    'lm-head': /lm_head/,
    embed: /embed_tokens/,
    'save-norm-head': /modules_to_save/,
    'save-norm-embed': /modules_to_save/,
  };
  const cases = [
    ['references/arch/llama', 'references/arch/llama/base'],
    ['references/arch/llama-tied', 'references/arch/llama-tied/base'],
    ['models/frontdesk', 'models/frontdesk/base'],
  ].flatMap(([path, base]) => {
    const folder = new URL(`${path}/adapters/`, SHARED);
    return existsSync(folder) ? readdirSync(folder).map((name) => [`${path}/adapters/${name}`, base!, name] as const) : [];
  });

  test.each(cases)('%s', async (path, base, name) => {
    const table = llamaSites(base);
    const folder = await openFolder(new URL(path, SHARED));
    const message = refused[name];
    if (message) {
      const error = await readAdapter(folder, table, 'exact').catch((cause: unknown) => cause);
      expect(error).toMatchObject({ code: expect.stringMatching(/^adapter_(setting|target)$/), message: expect.stringMatching(message) });
      return;
    }
    const [exact, half] = [await readAdapter(folder, table, 'exact'), await readAdapter(folder, table, 'half')];
    expect(half.digest).toBe(exact.digest);
    expect(half.bytes).toBeLessThan(exact.bytes);
    const files = await openSafetensors(folder, 'adapter_model');
    expect(exact.layers.flatMap(({ matrices }) => matrices).length * 2).toBe(files.tensors.size);
  });

  test('a packed reference adapter has the product of its tensors', async () => {
    const table = llamaSites('references/arch/llama/base');
    for (const [name, scale] of [
      ['r16-rslora', undefined],
      ['rank-pattern', 8],
    ] as const) {
      const folder = await openFolder(new URL(`references/arch/llama/adapters/${name}`, SHARED));
      const config = JSON.parse(readFileSync(new URL(`references/arch/llama/adapters/${name}/adapter_config.json`, SHARED), 'utf8'));
      const files = await openSafetensors(folder, 'adapter_model');
      const halves = await Promise.all(
        ['A', 'B'].map(async (half) => {
          const info = files.tensors.get(`base_model.model.model.layers.1.self_attn.q_proj.lora_${half}.weight`)!;
          const values = toF32(await files.read(info), info.dtype as 'F32');
          return { name: info.name, shape: info.shape, bytes: new Uint8Array(values.buffer) };
        }),
      );
      const want = expected(halves, scale ?? config.lora_alpha / Math.sqrt(config.r));
      const [exact, half] = [await readAdapter(folder, table, 'exact'), await readAdapter(folder, table, 'half')];
      expect(exact.layers[1]!.matrices[0]!.site).toBe(0);
      expect(largestError(product(exact.layers[1]!, 0, table, 'exact'), want)).toBeLessThan(1e-12);
      expect(largestError(product(half.layers[1]!, 0, table, 'half'), want)).toBeLessThan(2e-3);
    }
  });
});
