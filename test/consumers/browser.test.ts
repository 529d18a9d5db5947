import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as esbuild from 'esbuild';
import { build as viteBuild, preview, type PreviewServer } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openHarness, originOf } from '../browser/harness.ts';
import { expected } from './expected.ts';
import { install, root, type Installed } from './install.ts';

let installed: Installed;

beforeAll(async () => {
  installed = await install();
  cpSync(join(root, 'test/consumers/apps'), installed.folder, { recursive: true });
});

afterAll(() => installed?.remove());

/** Opens what a folder has built in Chromium, and lets it serve. */
async function runIn(outDir: string): Promise<unknown> {
  symlinkSync(join(root, 'public/models'), join(outDir, 'models'), 'junction');
  let server: PreviewServer | undefined;
  try {
    server = await preview({
      configFile: false,
      logLevel: 'warn',
      appType: 'mpa',
      build: { outDir },
      preview: { host: 'localhost', port: 0 },
    });
    const harness = await openHarness({ origin: originOf(server) });
    try {
      const { page, errors } = await harness.open('/index.html');
      await page.waitForFunction('globalThis.start !== undefined');
      const found = await page.evaluate(
        (message) => (globalThis as unknown as { start(message: string): Promise<unknown> }).start(message),
        expected().message,
      );
      expect(errors).toEqual([]);
      return found;
    } finally {
      await harness.close();
    }
  } finally {
    await server?.close();
  }
}

describe('web apps that have the package installed', () => {
  const served = { tokens: expected().tokens, chat: 'same' };

  test('built by Vite', async () => {
    const outDir = join(installed.folder, 'dist-vite');
    await viteBuild({
      root: installed.folder,
      configFile: false,
      logLevel: 'warn',
      build: { outDir },
    });
    // `sideEffects` must not have cost the worker its engine
    const files = readdirSync(join(outDir, 'assets'));
    const worker = files.find((name) => name.startsWith('worker-'))!;
    expect(readFileSync(join(outDir, 'assets', worker), 'utf8')).toContain('lora-shrink');
    expect(await runIn(outDir)).toEqual(served);
  });

  test('built by esbuild', async () => {
    const outdir = join(installed.folder, 'dist-esbuild');
    await esbuild.build({
      absWorkingDir: installed.folder,
      entryPoints: ['main.js', 'worker.js'],
      bundle: true,
      splitting: true,
      format: 'esm',
      minify: true,
      outdir,
    });
    cpSync(join(installed.folder, 'index.html'), join(outdir, 'index.html'));
    expect(await runIn(outdir)).toEqual(served);
  });

  test('without a bundler: two files of the package, as they are', async () => {
    const outDir = join(installed.folder, 'dist-page');
    mkdirSync(outDir);
    cpSync(join(installed.package, 'dist/browser'), join(outDir, 'weblora'), { recursive: true });
    expect(readdirSync(join(outDir, 'weblora')).sort()).toEqual(['index.js', 'worker.js']);
    cpSync(join(installed.folder, 'serve.js'), join(outDir, 'serve.js'));
    for (const [name, from, to] of [
      ['index.html', '<script', '<script type="importmap">{ "imports": { "weblora": "./weblora/index.js" } }</script>\n  <script'],
      ['main.js', '', ''],
      // a worker has no import map
      ['worker.js', 'weblora/worker', './weblora/worker.js'],
    ] as const) {
      writeFileSync(join(outDir, name), readFileSync(join(installed.folder, name), 'utf8').replace(from, to));
    }
    expect(existsSync(join(outDir, 'node_modules'))).toBe(false);
    expect(await runIn(outDir)).toEqual(served);
  });
});
