import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readAdapter } from '../../src/adapters/adapter.ts';
import type { PackedAdapter, SiteTable } from '../../src/adapters/sites.ts';
import { decodeAdapter, encodeAdapter } from '../../src/adapters/stored-adapter.ts';
import { openFolder, readJson } from '../../src/formats/folder.ts';
import { toF32 } from '../../src/formats/half.ts';
import { openSafetensors } from '../../src/formats/safetensors.ts';
import { parseModelConfig } from '../../src/model/config.ts';
import { modelShape } from '../../src/model/shape.ts';
import { createSlices } from '../../src/slices.ts';
import { memoryFolder, safetensors } from './files.ts';
import type { TestTensor } from './files.ts';
import { expected, largestError, product } from './lora-math.ts';

const SHARED = new URL('../../../shared/', import.meta.url);

/** The sites of a Llama, from its config.json. */
function llamaSites(path: string): SiteTable {
  const file = new URL(`${path}/config.json`, SHARED);
  return modelShape(parseModelConfig(JSON.parse(readFileSync(file, 'utf8')), file.pathname)).table;
}

function widthOf({ sites }: SiteTable, module: string): number {
  return sites.find((site) => site.module.endsWith(module))!.outWidth;
}

const KEPT_ALONE: Readonly<Record<string, readonly string[]>> = {
  dora: ['DoRA'],
  'save-norm-head': ['saved modules'],
  'save-norm-embed': ['saved modules'],
  'trained-bias': ['trained biases'],
};

/** How many matrices and vectors are made of a tensor: of one that is fused as many as it has layers. */
function partsOf(name: string): number {
  return name.includes('qkv_proj') ? 3 : name.includes('gate_up_proj') ? 2 : 1;
}

function countParts({ layers, outer, whole }: PackedAdapter): number {
  const blocks = [...layers, outer].map(({ matrices, norms }) =>
    matrices.reduce(
      (sum, { rank4, offsetMagnitude, offsetBias }) =>
        sum + (rank4 > 0 ? 2 : 0) + (offsetMagnitude === undefined ? 0 : 1) + (offsetBias === undefined ? 0 : 1),
      norms.length,
    ),
  );
  return blocks.reduce((sum, count) => sum + count, whole.length);
}

describe.skipIf(!existsSync(SHARED))('reference adapters', () => {
  const arch = new URL('references/arch/', SHARED);
  const families = existsSync(arch) ? readdirSync(arch).map((family) => `references/arch/${family}`) : [];
  const cases = [...families, 'models/frontdesk'].flatMap((path) => {
    const folder = new URL(`${path}/adapters/`, SHARED);
    return existsSync(folder) ? readdirSync(folder).map((name) => [`${path}/adapters/${name}`, `${path}/base`] as const) : [];
  });

  test.each(cases)('%s', async (path, base) => {
    const table = llamaSites(base);
    const folder = await openFolder(new URL(path, SHARED));
    const [exact, half] = [await readAdapter(folder, table, 'exact'), await readAdapter(folder, table, 'half')];
    expect(half.digest).toBe(exact.digest);
    expect(half.bytes).toBeLessThan(exact.bytes);
    const files = await openSafetensors(folder, 'adapter_model');
    expect(countParts(exact)).toBe([...files.tensors.keys()].reduce((sum, name) => sum + partsOf(name), 0));
    expect(exact.unblendable).toEqual(KEPT_ALONE[path.split('/').at(-1)!] ?? []);
    for (const packed of [exact, half]) {
      const bytes = await encodeAdapter(packed, createSlices());
      const again = await encodeAdapter(decodeAdapter(bytes, table)!, createSlices());
      expect(Buffer.compare(again, bytes)).toBe(0);
    }
  });

  test.each(['phi3-fused', 'llama'])('r8-fused over %s is r8-fused under the names of single layers', async (family) => {
    const table = llamaSites(`references/arch/${family}/base`);
    const fused = await openFolder(new URL('references/arch/phi3-fused/adapters/r8-fused', SHARED));
    const parts = new Map([
      ['qkv_proj', ['q_proj', 'k_proj', 'v_proj']],
      ['gate_up_proj', ['gate_proj', 'up_proj']],
    ]);
    const config = (await readJson(fused, 'adapter_config.json')) as { target_modules: string[] };
    const files = await openSafetensors(fused, 'adapter_model');
    const tensors: TestTensor[] = [];
    for (const [name, info] of files.tensors) {
      const bytes = await files.read(info);
      const [whole, pieces] = [...parts].find(([module]) => name.includes(module)) ?? ['', ['']];
      let first = 0;
      for (const piece of pieces) {
        const rows = name.includes('lora_A') || whole === '' ? info.shape[0]! : widthOf(table, piece);
        const rowBytes = bytes.length / info.shape[0]!;
        const own = name.includes('lora_A') ? bytes : bytes.subarray(first * rowBytes, (first + rows) * rowBytes);
        tensors.push({ name: name.replace(whole, piece), shape: [rows, info.shape[1]!], dtype: info.dtype, bytes: own });
        first += rows;
      }
    }
    const target_modules = config.target_modules.flatMap((module) => parts.get(module) ?? [module]);
    const own = memoryFolder({ 'adapter_config.json': { ...config, target_modules }, 'adapter_model.safetensors': safetensors(tensors) });
    expect(tensors.length).toBe(2 * 7 * 2);
    expect(await readAdapter(fused, table, 'exact')).toEqual(await readAdapter(own, table, 'exact'));
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
