import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { unpackSwiftShader } from '../../src/node/unpack.ts';
import type { Asked } from '../suites/run.ts';

export const root = fileURLToPath(new URL('../../', import.meta.url));
const executable = join(root, 'node_modules/.bin/deno');
const LLVMPIPE = ['/usr/share/vulkan/icd.d/lvp_icd.x86_64.json', '/usr/share/vulkan/icd.d/lvp_icd.aarch64.json'];

/** The environment in which Deno finds one Vulkan driver, or undefined where that is not there. */
export async function driverEnvironment(driver: 'swiftshader' | 'llvmpipe'): Promise<Record<string, string> | undefined> {
  // Mesa complains on standard error where the first of them is not set.
  const common = { XDG_RUNTIME_DIR: process.env['XDG_RUNTIME_DIR'] || tmpdir() };
  if (driver === 'llvmpipe') {
    const icd = LLVMPIPE.find((path) => existsSync(path));
    return icd === undefined ? undefined : { ...common, VK_ICD_FILENAMES: icd };
  }
  const unpacked = await unpackSwiftShader();
  if ('reason' in unpacked) return undefined;
  const { folder } = unpacked;
  const libraries = [folder, process.env['LD_LIBRARY_PATH']].filter(Boolean).join(':');
  return { ...common, LD_LIBRARY_PATH: libraries, VK_ICD_FILENAMES: join(folder, 'vk_swiftshader_icd.json') };
}

/** A running script. */
export interface DenoScript {
  /** Writes a line of JSON and waits for the line that answers it. Throws with what the script wrote to standard error where it ends. */
  ask(asked: Asked): Promise<{ readonly failure?: string }>;
  /** Ends its standard input, and waits for its end. */
  end(): Promise<{ readonly code: number | null; readonly output: string }>;
}

/** Starts `deno run` without network, with the project's own packages. */
export function startDeno(args: readonly string[], env: Readonly<Record<string, string>>, cwd: string = root): DenoScript {
  const child = spawn(executable, ['run', '--no-remote', '--node-modules-dir=manual', '--allow-all', ...args], {
    cwd,
    env: { ...process.env, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let output = '';
  let end: Error | undefined;
  const waiting: { resolve(answer: { failure?: string }): void; reject(error: Error): void }[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('answer ')) waiting.shift()?.resolve(JSON.parse(line.slice(7)) as { failure?: string });
    else output += `${line}\n`;
  });
  child.stderr.on('data', (text) => (output += String(text)));
  // A write to a script that has ended is told by its end.
  child.stdin.on('error', () => undefined);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  void ended.then((code) => {
    end = new Error(`Deno ended with code ${code}:\n${output}`);
    for (const { reject } of waiting.splice(0)) reject(end);
  });
  return {
    ask: (asked) =>
      new Promise((resolve, reject) => {
        if (end !== undefined) return reject(end);
        waiting.push({ resolve, reject });
        child.stdin.write(`${JSON.stringify(asked)}\n`);
      }),
    end: async () => {
      child.stdin.end();
      return { code: await ended, output };
    },
  };
}
