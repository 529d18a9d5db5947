import { randomUUID } from 'node:crypto';
import { accessSync, existsSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync, constants } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { tarFiles } from './tar.ts';

const PACKAGE = '@sparticuz/chromium';
/** What Dawn needs of the archive. The ICD file comes last: where it stands, the others do. */
const FILES = ['libvulkan.so.1', 'libvk_swiftshader.so', 'vk_swiftshader_icd.json'];
const MOST_BYTES = 256 << 20;

/** Where the SwiftShader of the npm package lies unpacked, or why it does not. */
export type Unpacked = { readonly folder: string } | { readonly reason: string };

/**
 * Unpacks SwiftShader and its Vulkan loader out of the npm package `@sparticuz/chromium` (Linux x64), once per version, into
 * `node_modules/.cache/weblora` or, where that cannot be written, into a folder of this user in the system's folder for temporary
 * files. Any number of processes may do so at once.
 */
export async function unpackSwiftShader(): Promise<Unpacked> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return { reason: `it is for linux x64, this is ${process.platform} ${process.arch}` };
  const root = packageFolder();
  if (root === undefined) return { reason: 'not installed' };
  try {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    const found = unpackFolder(root, `swiftshader-${version}`, complete);
    if ('reason' in found || found.state === 'complete') return found;
    const { folder } = found;
    await unpack(join(root, 'bin', 'swiftshader.tar.br'), folder);
    return complete(folder) ? { folder } : { reason: `${root}/bin/swiftshader.tar.br lacks one of ${FILES.join(', ')}` };
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

async function unpack(archive: string, folder: string): Promise<void> {
  const found = new Map([...tarFiles(await decompress(archive))].map((file) => [file.name.replace(/^\.\//, ''), file.data]));
  for (const name of FILES) {
    const data = found.get(name);
    if (data === undefined) return;
    putFile(folder, name, data);
  }
}

/**
 * The bytes of a brotli-compressed file.
 *
 * @throws RangeError where they would be more than 256 MiB.
 */
export function decompress(file: string): Promise<Uint8Array> {
  return promisify(brotliDecompress)(readFileSync(file), { maxOutputLength: MOST_BYTES });
}

/** The file arrives under its name by a rename, so nobody ever sees half of it, and a second process only repeats the first. */
export function putFile(folder: string, name: string, data: Uint8Array): void {
  const temporary = join(folder, `${name}.${randomUUID()}`);
  mkdirSync(dirname(temporary), { recursive: true, mode: 0o755 });
  try {
    writeFileSync(temporary, data, { mode: 0o755 });
    renameSync(temporary, join(folder, name));
  } finally {
    rmSync(temporary, { force: true });
  }
}

/**
 * Where files of the package at `root` lie unpacked already, or may be unpacked to; or why neither is so.
 *
 * @param complete whether a folder has all files.
 */
export function unpackFolder(
  root: string,
  name: string,
  complete: (folder: string) => boolean,
): { readonly folder: string; readonly state: 'complete' | 'empty' } | { readonly reason: string } {
  const folders = cacheRoots(root).map((cache) => join(cache, name));
  const ready = folders.find(complete);
  if (ready !== undefined) return { folder: ready, state: 'complete' };
  const folder = folders.find(writable);
  return folder === undefined ? { reason: `cannot write to ${folders.join(' or ')}` } : { folder, state: 'empty' };
}

/** The folder of the npm package `@sparticuz/chromium`, undefined where it is not installed. */
export function packageFolder(): string | undefined {
  try {
    // The package exports its entry point only, which lies in `build/` below the folder that is wanted.
    let folder = dirname(createRequire(import.meta.url).resolve(PACKAGE));
    while (!existsSync(join(folder, 'bin')) && folder !== dirname(folder)) folder = dirname(folder);
    return existsSync(join(folder, 'bin')) ? folder : undefined;
  } catch {
    return undefined;
  }
}

function cacheRoots(packageRoot: string): string[] {
  const modules = join(packageRoot, '..', '..');
  const roots = [join(modules, '.cache', 'weblora')];
  const own = join(tmpdir(), `weblora-${process.getuid?.()}`);
  // Libraries are loaded from here: a folder that somebody else could have filled is not taken.
  if (!existsSync(own) || isOwn(own)) roots.push(own);
  return roots;
}

function isOwn(folder: string): boolean {
  const stat = lstatSync(folder);
  return stat.isDirectory() && stat.uid === process.getuid?.() && (stat.mode & 0o022) === 0;
}

function complete(folder: string): boolean {
  return FILES.every((name) => existsSync(join(folder, name)));
}

function writable(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    accessSync(folder, constants.W_OK);
    return isOwn(dirname(folder)) && isOwn(folder);
  } catch {
    return false;
  }
}
