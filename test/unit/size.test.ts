import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import type { Rolldown } from 'vite';
import { beforeAll, describe, expect, test } from 'vitest';
import { shaderText, withoutComments } from '../../tools/shader-text.mjs';

const root = new URL('../../', import.meta.url).pathname;
const KB = 1024;

interface Limit {
  /** What an app writes. */
  readonly app: string;
  /** Gzip of what the app loads before it calls anything. */
  readonly most?: number;
  /** Parts that the usual model loads on demand, and the most that they, what they import and the start weigh together. */
  readonly usual?: { readonly parts: readonly string[]; readonly most: number };
}

/** Apps that use one entry point each; `src` stands for the package. */
const APPS: Readonly<Record<string, Limit>> = {
  'createEngine (safetensors Llama, tokenizer, templates)': {
    app: "import { createEngine } from 'src/index.ts'; globalThis.engine = createEngine;",
    most: 56 * KB,
    // every family's config and forward pass is 9 KB of it
    usual: { parts: ['tokenizer', 'chat-template', 'kernel-choice', 'model'], most: 122.5 * KB },
  },
  'connectEngine alone': {
    app: "import { connectEngine } from 'src/index.ts'; globalThis.engine = connectEngine;",
    most: 6 * KB,
  },
  'serve (the worker: an engine and its end of the wire)': {
    app: "import { serve } from 'src/worker.ts'; serve(globalThis);",
  },
};

interface Built {
  readonly name: string;
  readonly bytes: number;
  /** `start`: loaded by the entry point itself; `later`: when it is needed. */
  readonly when: 'start' | 'later';
  /** Files that it cannot do without, those of these included. */
  readonly imports: ReadonlySet<string>;
  readonly file: string;
  readonly code: string;
}

/** What an app's build makes of a module, packages included; minified as apps are. */
async function buildApp(app: string): Promise<Built[]> {
  const result = (await build({
    root,
    configFile: false,
    logLevel: 'silent',
    plugins: [
      shaderText(),
      {
        name: 'app',
        enforce: 'pre',
        resolveId: (id) => (id === 'app' ? id : id.startsWith('src/') ? `${root}${id}` : undefined),
        load(id) {
          if (id === 'app') return app;
          // Vite's own, for the style sheets of a page's parts: workers' and other bundlers' builds have nothing like it.
          return id.endsWith('vite/preload-helper.js') ? 'export const __vitePreload = (load) => load();' : undefined;
        },
      },
    ],
    build: {
      write: false,
      target: 'es2022',
      minify: true,
      modulePreload: false,
      copyPublicDir: false,
      rolldownOptions: { input: 'app', external: (id) => id.startsWith('node:') },
    },
  })) as Rolldown.RolldownOutput;
  const chunks = result.output.filter((file) => file.type === 'chunk');
  const entry = chunks.find((chunk) => chunk.isEntry)!;
  const withImports = (file: string, found = new Set<string>()): Set<string> => {
    if (found.has(file)) return found;
    found.add(file);
    for (const next of chunks.find((chunk) => chunk.fileName === file)!.imports) withImports(next, found);
    return found;
  };
  const atStart = withImports(entry.fileName);
  return chunks.map(({ fileName, code }) => ({
    name: fileName.replace(/^assets\/(.*)-[\w-]{8}\.js$/, '$1'), // the hash may have dashes of its own
    bytes: gzipSync(code, { level: 9 }).length,
    when: atStart.has(fileName) ? 'start' : 'later',
    imports: withImports(fileName),
    file: fileName,
    code,
  }));
}

const kilobytes = (bytes: number): string => `${(bytes / KB).toFixed(1)} KB`;

describe('gzip of the entry points', () => {
  const sizes = new Map<string, number>();
  const built = new Map<string, readonly Built[]>();

  beforeAll(async () => {
    for (const [name, { app }] of Object.entries(APPS)) {
      const files = await buildApp(app);
      const start = files.filter(({ when }) => when === 'start').reduce((sum, { bytes }) => sum + bytes, 0);
      const later = files.filter(({ when }) => when === 'later').map((file) => `${file.name} ${kilobytes(file.bytes)}`);
      sizes.set(name, start);
      built.set(name, files);
      console.log(`${name}: ${kilobytes(start)}${later.length > 0 ? `; on demand: ${later.join(', ')}` : ''}`);
    }
  }, 60_000);

  for (const [name, { usual }] of Object.entries(APPS)) {
    if (usual === undefined) continue;
    test(`${name} with ${usual.parts.join(' and ')} is at most ${kilobytes(usual.most)}`, () => {
      const parts = built.get(name)!.filter((file) => file.when === 'later' && usual.parts.includes(file.name));
      expect(parts.map((file) => file.name).toSorted()).toEqual(usual.parts.toSorted());
      const needed = new Set(parts.flatMap(({ imports }) => [...imports]));
      const later = built.get(name)!.filter(({ file, when }) => when === 'later' && needed.has(file));
      const sum = later.reduce((total, { bytes }) => total + bytes, sizes.get(name)!);
      console.log(`${name} with ${usual.parts.join(' and ')}: ${kilobytes(sum)}`);
      expect(sum).toBeLessThanOrEqual(usual.most);
    });
  }

  for (const [name, { most }] of Object.entries(APPS)) {
    if (most === undefined) continue;
    test(`${name} is at most ${kilobytes(most)}`, () => {
      expect(sizes.get(name)).toBeGreaterThan(KB);
      expect(sizes.get(name)).toBeLessThanOrEqual(most);
    });
  }

  test('what a page needs behind a worker has neither tokenizer nor shaders in it', () => {
    const code = built
      .get('connectEngine alone')!
      .map((file) => file.code)
      .join('\n');
    expect(code).not.toMatch(/@workgroup_size|\\p\{L\}/);
  });
});

describe('shader texts', () => {
  test('lose comments and spaces, keep their lines, and mean the same', () => {
    const wgsl = 'fn a() { // one\n  /* two\n     three */ let x = 6 / 2 * (b - -c);\n  var d: array<f32, 4> = e + f[1];\n}\n';
    expect(withoutComments(wgsl)).toBe('fn a(){\n\nlet x=6 / 2*(b - -c);\nvar d:array<f32,4> = e+f[1];\n}\n');
  });
});
