import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { openFolder, readJson } from '../../src/formats/folder.ts';

import { ggufOfAdapter } from '../suites/gguf-adapter-writer.ts';
import type { ConfigJson } from '../suites/gguf-model-metadata.ts';
import { ggufOfModel, readModel } from '../suites/gguf-model-writer.ts';
import type { BlockType } from '../reference/gguf-dequantize.ts';
import { LARGE, seededModel } from '../suites/gguf-quantised.ts';
import { repositoryFile } from './text-files.ts';

// What tools/gguf-arch.py and tools/gguf-lora.py made with gguf-py's own names of keys and tensors.
const hashes = hashesOf('gguf-recipes');

function hashesOf(name: string): [hash: string, file: string][] {
  const lines = readFileSync(repositoryFile(`test/fixtures/${name}.sha256`), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => line.split(/\s+/) as [hash: string, file: string]);
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function folderOf(family: string): string {
  const own = repositoryFile(`test/fixtures/arch/${family}`);
  return existsSync(`${own}/adapters`)
    ? own
    : `${process.env['WEBLORA_REFERENCES'] ?? repositoryFile('../shared/references')}/arch/${family}`;
}

describe('the writers write the bytes of the recipes', () => {
  for (const [hash, file] of hashes) {
    const [family, adapter] = file.split('.') as [string, string];
    const folder = folderOf(family);
    const isThere = existsSync(folder);
    test.skipIf(!isThere)(`${file}${isThere ? '' : ` (skipped: there is no ${folder})`}`, async () => {
      const base = await openFolder(`${folder}/base`);
      const bytes =
        adapter === 'gguf'
          ? ggufOfModel(await readModel(base))
          : await ggufOfAdapter(await openFolder(`${folder}/adapters/${adapter}`), (await readJson(base, 'config.json')) as ConfigJson);
      expect(sha256(bytes)).toBe(hash);
    });
  }
});

describe('the seeded llama is what gguf-py quantises', () => {
  for (const [hash, file] of hashesOf('gguf-quantised')) {
    test(file, () => expect(sha256(ggufOfModel(seededModel(LARGE, () => file.split('.')[0] as BlockType)))).toBe(hash));
  }
});
