import { execFile } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { driverEnvironment, startDeno } from '../runtime/deno.ts';
import { expected } from './expected.ts';
import { install, root, type Installed } from './install.ts';

const models = join(root, 'public/models/frontdesk');
const served = { tokens: expected().tokens, chat: 'same' };
const swiftShader = await driverEnvironment('swiftshader');

let installed: Installed;

beforeAll(async () => {
  installed = await install();
  cpSync(join(root, 'test/consumers/apps'), installed.folder, { recursive: true });
});

afterAll(() => installed?.remove());

describe('apps that have the package installed', () => {
  test('in Node, which then ends by itself', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['node.js', models, expected().message], { cwd: installed.folder });
    expect(JSON.parse(stdout)).toEqual(served);
  });

  const inDeno = async (script: string, ...more: readonly string[]): Promise<unknown> => {
    const args = [join(installed.folder, script), models, expected().message, ...more];
    const { code, output } = await startDeno(args, swiftShader!, installed.folder).end();
    expect(code, output).toBe(0);
    return JSON.parse(output.trim().split('\n').at(-1)!);
  };

  describe.skipIf(swiftShader === undefined && !process.env['CI'])('in Deno', () => {
    test('on its own WebGPU', async () => {
      expect(await inDeno('deno.js')).toEqual(served);
    });

    test('on Dawn', async () => {
      expect(await inDeno('deno.js', 'dawn')).toEqual(served);
    });

    test('in a worker', async () => {
      expect(await inDeno('deno-worker.js')).toEqual(served);
    });
  });
});
