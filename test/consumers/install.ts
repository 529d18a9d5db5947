import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { tarFiles } from '../../src/node/tar.ts';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** An app's folder in which the packed package is installed. */
export interface Installed {
  readonly folder: string;
  /** Where the package's own files are. */
  readonly package: string;
  readonly tarball: string;
  remove(): void;
}

/**
 * Packs `dist` as it is, and installs the tarball in a folder outside the project as npm would, but without network: packages that it
 * depends on are links to the project's.
 *
 * @throws Error where `dist` was not built.
 */
export async function install(): Promise<Installed> {
  if (!existsSync(join(root, 'dist/index.js'))) throw new Error('There is no dist/: npm run build');
  const folder = mkdtempSync(join(tmpdir(), 'weblora-app-'));
  const options = { cwd: root, env: { ...process.env, npm_config_loglevel: 'error' } };
  const { stdout } = await promisify(execFile)('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], options);
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  const modules = join(folder, 'node_modules');
  for (const { name, data } of tarFiles(gunzipSync(readFileSync(join(folder, filename))))) {
    const path = join(modules, 'weblora', name.replace(/^package\//, ''));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, data);
  }
  const { dependencies, peerDependencies } = readPackage(join(modules, 'weblora'));
  // SwiftShader comes with the last, which apps are told to install where a machine has no driver
  for (const name of [...Object.keys({ ...dependencies, ...peerDependencies }), '@sparticuz/chromium']) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(modules, name), 'junction');
  }
  const own = { name: 'app', private: true, type: 'module', dependencies: { weblora: '*', ...peerDependencies } };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(own));
  return {
    folder,
    package: join(modules, 'weblora'),
    tarball: join(folder, filename),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

interface PackageJson {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

function readPackage(folder: string): PackageJson {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageJson;
}
