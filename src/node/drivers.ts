import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { unpackSwiftShader } from './unpack.ts';
import { namedDrivers } from './vulkan.ts';

const ICD = 'vk_swiftshader_icd.json';

/** GPUs outside of DRM: NVIDIA, Windows' paravirtual one, Adreno, Mali, Tegra. */
const GPU_NODE = /^(nvidia\d|nvidiactl|dxg|kgsl|mali\d|nvhost)/;

const BROWSERS = [
  '/usr/lib/chromium',
  '/usr/lib/chromium-browser',
  '/usr/lib64/chromium',
  '/usr/lib64/chromium-browser',
  '/opt/google/chrome',
  '/opt/google/chrome-beta',
  '/opt/google/chrome-unstable',
  '/opt/chromium.org/chromium',
  '/opt/microsoft/msedge',
  '/snap/chromium/current/usr/lib/chromium-browser',
];

/** One place where a software driver may be: what it is called, and the ICD files found there. */
export interface Place {
  readonly name: string;
  readonly icds: readonly string[];
  /** Why there is none, where there is more to say than "none". */
  readonly reason?: string;
}

/**
 * Places of software drivers on Linux, in the order in which they are preferred. Each is looked at only when the one before it
 * did not help, since the last has to be unpacked.
 */
export async function* softwarePlaces(): AsyncGenerator<Place> {
  const named = namedDrivers();
  yield named === undefined
    ? { name: 'VK_DRIVER_FILES and VK_ICD_FILENAMES', icds: [], reason: 'not set' }
    : {
        name: 'VK_DRIVER_FILES or VK_ICD_FILENAMES',
        icds: named.filter((path) => existsSync(path)),
        reason: `no file ${named.join(', ')}`,
      };
  const system = systemFolders();
  yield { name: `SwiftShader in the system's ICD folders (${system.join(', ')})`, icds: system.flatMap(swiftShaderFiles) };
  const browsers = browserFolders();
  yield {
    name: `an installed Chromium or Chrome (${browsers.join(', ')})`,
    icds: browsers.map((folder) => join(folder, ICD)).filter((path) => existsSync(path)),
  };
  const unpacked = await unpackSwiftShader();
  const name = 'the npm package @sparticuz/chromium';
  yield 'folder' in unpacked ? { name, icds: [join(unpacked.folder, ICD)] } : { name, icds: [], reason: unpacked.reason };
}

/**
 * Whether to expect hardware: `likely` where the kernel shows a GPU and the system has a driver that is no software, else what is
 * missing.
 */
export function hardwareHint(): 'likely' | { readonly missing: string } {
  const nodes = [...names('/dev/dri').filter((name) => name.startsWith('renderD')), ...names('/dev').filter((name) => GPU_NODE.test(name))];
  if (nodes.length === 0) return { missing: 'the system shows none (no /dev/dri/renderD*, no /dev/nvidia*)' };
  const drivers = systemDrivers().filter((path) => !/swiftshader|lvp_icd|llvmpipe/i.test(path));
  return drivers.length > 0 ? 'likely' : { missing: `there is one, but no Vulkan driver for it in ${systemFolders().join(', ')}` };
}

/** The ICD files of the system's folders, and those that the environment adds to them. */
export function systemDrivers(): string[] {
  const added = (process.env['VK_ADD_DRIVER_FILES'] ?? '').split(':').filter((path) => path !== '');
  return [...added, ...systemFolders().flatMap(icdFiles)];
}

/** Folders in which the Vulkan loader itself looks for drivers. */
function systemFolders(): string[] {
  const env = (name: string, fallback: string): string[] => (process.env[name] || fallback).split(':').filter((path) => path !== '');
  const roots = [
    ...env('XDG_CONFIG_HOME', join(homedir(), '.config')),
    ...env('XDG_CONFIG_DIRS', '/etc/xdg'),
    '/etc',
    ...env('XDG_DATA_HOME', join(homedir(), '.local/share')),
    ...env('XDG_DATA_DIRS', '/usr/local/share:/usr/share'),
  ];
  return [...new Set(roots)].map((root) => join(root, 'vulkan', 'icd.d'));
}

/** Browsers of the system, then those that Playwright and Puppeteer keep (`<cache>/<browser and version>/<platform>`). */
function browserFolders(): string[] {
  const caches = [
    process.env['PLAYWRIGHT_BROWSERS_PATH'] || join(homedir(), '.cache/ms-playwright'),
    join(process.env['PUPPETEER_CACHE_DIR'] || join(homedir(), '.cache/puppeteer'), 'chrome'),
  ];
  const kept = caches.flatMap((cache) =>
    names(cache).flatMap((version) => names(join(cache, version)).map((part) => join(cache, version, part))),
  );
  return [...BROWSERS, ...kept.filter((folder) => existsSync(join(folder, ICD)))];
}

function icdFiles(folder: string): string[] {
  return names(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => join(folder, name));
}

function swiftShaderFiles(folder: string): string[] {
  return icdFiles(folder).filter((path) => /swiftshader/i.test(path + textOf(path)));
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
