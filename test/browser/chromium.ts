import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tarFiles } from '../../src/node/tar.ts';
import { decompress, packageFolder, putFile, unpackFolder } from '../../src/node/unpack.ts';

/** WebGPU on SwiftShader, whatever the machine has: every machine computes the same. */
const FLAGS = ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--disable-dev-shm-usage'];

/** Browsers of the system, for platforms that the npm package has none for. */
const INSTALLED = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** How Playwright starts a Chromium that has WebGPU. */
export interface Chromium {
  readonly executablePath: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * The Chromium of the tests: what `WEBLORA_CHROMIUM` names, else the npm package's (Linux x64; unpacked once into
 * `node_modules/.cache/weblora`), else one that is installed.
 *
 * @throws Error with all that was looked for.
 */
export async function findChromium(): Promise<Chromium> {
  const named = process.env['WEBLORA_CHROMIUM'];
  if (named !== undefined && existsSync(named)) return { executablePath: named, args: FLAGS, env: {} };
  const unpacked = named === undefined ? await unpackChromium() : { reason: 'not looked at: WEBLORA_CHROMIUM is set' };
  if ('folder' in unpacked) return fromPackage(unpacked.folder);
  const installed = named === undefined ? INSTALLED.find((path) => existsSync(path)) : undefined;
  if (installed !== undefined) return { executablePath: installed, args: FLAGS, env: {} };
  throw new Error(
    `No Chromium for the tests. Looked for: WEBLORA_CHROMIUM (${named ?? 'not set'}), ` +
      `the npm package @sparticuz/chromium (${unpacked.reason}), ${INSTALLED.join(', ')}`,
  );
}

function fromPackage(folder: string): Chromium {
  const path = process.env['LD_LIBRARY_PATH'];
  return {
    executablePath: join(folder, 'chromium'),
    args: FLAGS,
    env: {
      LD_LIBRARY_PATH: [join(folder, 'lib'), folder, ...(path ? [path] : [])].join(':'),
      // A machine without fonts shows boxes, and text without a width.
      FONTCONFIG_FILE: join(folder, 'fonts.conf'),
    },
  };
}

/** The executable comes last: where it stands, everything else does. */
async function unpackChromium(): Promise<{ readonly folder: string } | { readonly reason: string }> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return { reason: 'it is for linux x64' };
  const root = packageFolder();
  if (root === undefined) return { reason: 'not installed' };
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const found = unpackFolder(root, `chromium-${version}`, (folder) => existsSync(join(folder, 'chromium')));
  if ('reason' in found || found.state === 'complete') return found;
  const { folder } = found;
  for (const archive of ['al2023.tar.br', 'swiftshader.tar.br', 'fonts.tar.br']) {
    for (const { name, data } of tarFiles(await decompress(join(root, 'bin', archive)))) putFile(folder, name.replace(/^\.\//, ''), data);
  }
  putFile(folder, 'fonts.conf', new TextEncoder().encode(fontsConf(folder)));
  putFile(folder, 'chromium', await decompress(join(root, 'bin', 'chromium.br')));
  return { folder };
}

function fontsConf(folder: string): string {
  return `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir>/usr/local/share/fonts</dir>
  <dir prefix="xdg">fonts</dir>
  <dir>${folder}/fonts</dir>
  <cachedir>${folder}/fonts-cache</cachedir>
  <include ignore_missing="yes">/etc/fonts/conf.d</include>
</fontconfig>
`;
}
