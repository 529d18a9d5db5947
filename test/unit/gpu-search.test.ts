import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { search } from '../../src/node/search.ts';

interface Seen {
  /** `VK_DRIVER_FILES` when the instance was asked. */
  readonly drivers: string | undefined;
  readonly options: GPURequestAdapterOptions | undefined;
}

const seen: Seen[] = [];
let folder: string;

/** A Dawn whose adapters depend on the driver that the environment shows. */
function fakeDawn(adapterOf: (drivers: string | undefined) => Partial<GPUAdapterInfo> | null): (flags: string[]) => GPU {
  const requestAdapter = async (options?: GPURequestAdapterOptions): Promise<unknown> => {
    const drivers = process.env['VK_DRIVER_FILES'];
    seen.push({ drivers, options });
    const info = adapterOf(drivers);
    return info === null ? null : { info: { vendor: '', architecture: '', description: '', isFallbackAdapter: false, ...info } };
  };
  return () => ({ requestAdapter }) as unknown as GPU;
}

function driverFile(name: string): string {
  const path = join(folder, name);
  writeFileSync(path, '{}');
  return path;
}

beforeEach(() => {
  seen.length = 0;
  folder = mkdtempSync(join(tmpdir(), 'weblora-search-'));
  vi.stubEnv('VK_ICD_FILENAMES', undefined);
  vi.stubEnv('VK_DRIVER_FILES', undefined);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

describe.runIf(process.platform === 'linux' && process.arch === 'x64')('search for a device on Linux', () => {
  test('takes hardware that the environment names, and asks for the fast one later too', async () => {
    const path = driverFile('gpu.json');
    vi.stubEnv('VK_DRIVER_FILES', path);
    const found = await search(
      fakeDawn(() => ({ description: 'A GPU' })),
      'any',
    );
    expect([found.kind, found.name]).toEqual(['hardware', 'A GPU']);
    await found.provider.requestAdapter({ featureLevel: 'core' });
    expect(seen.at(-1)?.options).toEqual({ powerPreference: 'high-performance', featureLevel: 'core' });
  });

  test('takes software that the environment names, and nothing else', async () => {
    vi.stubEnv('VK_ICD_FILENAMES', driverFile('lvp.json'));
    const found = await search(
      fakeDawn(() => ({ description: 'llvmpipe' })),
      'any',
    );
    expect([found.kind, found.name, seen.length]).toEqual(['software', 'llvmpipe', 1]);
  });

  test('passes by hardware where software is wanted, and leaves the environment as it was', async () => {
    const [gpu, soft] = [driverFile('gpu.json'), driverFile('soft.json')];
    vi.stubEnv('VK_ICD_FILENAMES', `${gpu}:${soft}`);
    const found = await search(
      fakeDawn((drivers) => (drivers === gpu ? { description: 'A GPU' } : { description: 'S', isFallbackAdapter: true })),
      'software',
    );
    expect([found.kind, found.name]).toEqual(['software', 'S']);
    expect(seen.map((each) => each.drivers)).toEqual([gpu, soft]);
    expect([process.env['VK_DRIVER_FILES'], process.env['VK_ICD_FILENAMES']]).toEqual([undefined, `${gpu}:${soft}`]);
  });

  test('says everything that it looked for and how to get a device', async () => {
    const refused = driverFile('refused.json');
    vi.stubEnv('VK_ICD_FILENAMES', refused);
    const failure = search(
      fakeDawn(() => null),
      'any',
    );
    await expect(failure).rejects.toMatchObject({ name: 'WebLoraError', code: 'gpu_missing' });
    const { message } = (await failure.catch((error: unknown) => error)) as Error;
    for (const part of [refused, '/usr/share/vulkan/icd.d', '/opt/google/chrome', '@sparticuz/chromium', 'To get one: ']) {
      expect(message).toContain(part);
    }
    expect(process.env['VK_DRIVER_FILES']).toBeUndefined();
  });
});
