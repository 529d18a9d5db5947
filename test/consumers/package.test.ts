import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { parseSync } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tarFiles } from '../../src/node/tar.ts';
import { install, root, type Installed } from './install.ts';

const MOST_TARBALL_BYTES = 1_000_000;

let installed: Installed;

beforeAll(async () => {
  installed = await install();
});

afterAll(() => installed?.remove());

interface PackageJson {
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly sideEffects: readonly string[];
}

function packageJson(): PackageJson {
  return JSON.parse(readFileSync(join(installed.package, 'package.json'), 'utf8')) as PackageJson;
}

describe('the packed package', () => {
  test('is at most 1 MB and carries no model', () => {
    const { size } = statSync(installed.tarball);
    console.log(`tarball: ${(size / 1000).toFixed(0)} kB`);
    expect(size).toBeLessThanOrEqual(MOST_TARBALL_BYTES);
    const names = [...tarFiles(gunzipSync(readFileSync(installed.tarball)))].map(({ name }) => name.replace('package/', ''));
    const strange = names.filter((name) => !/^dist\/.*\.(js|d\.ts)$|^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(name));
    expect(strange).toEqual([]);
  });

  test('has every file that its package.json names', () => {
    const { exports, bin, sideEffects } = packageJson();
    expect(Object.keys(exports)).toEqual(['.', './worker', './node', './package.json']);
    const files = [...Object.values(exports).flatMap((target) => (typeof target === 'string' ? [target] : Object.values(target)))];
    const absent = [...files, ...Object.values(bin), ...sideEffects].filter((file) => !existsSync(join(installed.package, file)));
    expect(absent).toEqual([]);
  });

  test('has one file per entry point for pages without a bundler, with nothing left to import', () => {
    for (const name of ['index', 'worker']) {
      const text = readFileSync(join(installed.package, `dist/browser/${name}.js`), 'utf8');
      expect(text.length).toBeGreaterThan(50_000);
      const { staticImports, dynamicImports } = parseSync(`${name}.js`, text).module;
      expect([...staticImports, ...dynamicImports]).toEqual([]);
    }
  });

  test('is clean for publint', async () => {
    const { messages } = await publint({ pkgDir: installed.package, strict: true, pack: false });
    const pkg = packageJson();
    expect(messages.map((message) => formatMessage(message, pkg as unknown as Record<string, unknown>))).toEqual([]);
  });

  test('has types that resolve everywhere where ES modules do (attw)', async () => {
    const attw = join(root, 'node_modules/.bin/attw');
    const args = [installed.tarball, '--profile', 'esm-only', '--no-emoji', '--no-color', '--format', 'ascii'];
    // It ends with a code other than 0 where it finds a problem.
    const { stdout } = await promisify(execFile)(attw, args);
    expect(stdout.match(/^"weblora.*"$/gm)).toEqual(['"weblora"', '"weblora/worker"', '"weblora/node"', '"weblora/package.json"']);
  });

  test.each([
    ['page', ['es2022', 'dom', 'dom.iterable', 'esnext.disposable'], [], 'bundler'],
    ['worker', ['es2022', 'webworker'], [], 'node16'],
    ['node', ['es2022'], ['node'], 'nodenext'],
  ] as const)('has types of which the strictest compiler has nothing to say: %s.ts', async (name, lib, types, resolution) => {
    const options = {
      ...{ target: 'es2022', module: resolution === 'bundler' ? 'esnext' : resolution, moduleResolution: resolution, noEmit: true },
      ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, isolatedModules: true },
      ...{ verbatimModuleSyntax: true, skipLibCheck: false, lib, types, typeRoots: [join(root, 'node_modules/@types')] },
    };
    copyFileSync(join(root, `test/consumers/types/${name}.ts`), join(installed.folder, `${name}.ts`));
    const project = join(installed.folder, `tsconfig.${name}.json`);
    writeFileSync(project, JSON.stringify({ compilerOptions: options, files: [`${name}.ts`] }));
    const args = [join(root, 'node_modules/typescript/bin/tsc'), '-p', project];
    const said = await promisify(execFile)(process.execPath, args).catch((error: { stdout: string }) => error);
    expect(said.stdout).toBe('');
  });
});
