import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import type { Rolldown } from 'vite';
import { beforeAll, describe, expect, test } from 'vitest';
import { entries } from '../../vite.config.ts';

/** Core with tokenizer and templates. */
const MOST_CORE_BYTES = 60 * 1024;

/** Bytes that an app downloads for an entry point, packages included: minified and gzipped, all chunks that it loads by itself. */
async function gzipBytes(entry: string): Promise<number> {
  const result = (await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      target: 'es2022',
      minify: true,
      copyPublicDir: false,
      // An app's build: in a library's one Vite keeps the white space.
      rolldownOptions: { input: entry, preserveEntrySignatures: 'strict', external: (id) => id.startsWith('node:') || id === 'webgpu' },
    },
  })) as Rolldown.RolldownOutput | Rolldown.RolldownOutput[];
  const outputs = Array.isArray(result) ? result : [result];
  const code = outputs.flatMap((output) => output.output).flatMap((file) => (file.type === 'chunk' ? [file.code] : []));
  return gzipSync(code.join('\n'), { level: 9 }).length;
}

describe('size of the entry points', () => {
  const sizes = new Map<string, number>();

  beforeAll(async () => {
    await Promise.all(Object.entries(entries).map(async ([name, path]) => sizes.set(name, await gzipBytes(path))));
    console.log([...sizes].map(([name, bytes]) => `${name}: ${(bytes / 1024).toFixed(1)} KB gzip`).join(', '));
  });

  test('core with tokenizer and templates is at most 60 KB', () => {
    expect(sizes.get('index')).toBeGreaterThan(1024);
    expect(sizes.get('index')).toBeLessThanOrEqual(MOST_CORE_BYTES);
  });
});
