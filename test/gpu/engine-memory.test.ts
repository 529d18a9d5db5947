import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'vitest';
import { folderStore } from '../../src/node.ts';
import { describeGpu } from '../device.ts';
import { checkMemory } from '../suites/engine-memory.ts';
import { nodeEnvironment } from './environment.ts';

/** Twice: what is collected the first time may let go of more. */
async function usedBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let i = 0; i < 2; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

async function folderBytes(path: string): Promise<number> {
  const names = await readdir(path, { recursive: true });
  const sizes = await Promise.all(names.map(async (name) => stat(join(path, name)).then((found) => (found.isFile() ? found.size : 0))));
  return sizes.reduce((sum, size) => sum + size, 0);
}

await describeGpu('memory of an engine', (gpu) => {
  test('is back at its budgets after many loads', async () => {
    const path = await mkdtemp(join(tmpdir(), 'weblora-memory-'));
    try {
      const store = folderStore(path);
      const report = await checkMemory(nodeEnvironment(gpu), {
        loads: 1500,
        warmUp: 300,
        store,
        storeBytes: () => folderBytes(path),
        usedBytes,
      });
      const [before, after] = report.usedBytes.map((bytes) => (bytes / 2 ** 20).toFixed(1));
      console.log(`${report.loads} loads: ${before} MB in use before, ${after} MB after; ${report.storeBytes} bytes in the store`);
    } finally {
      await rm(path, { recursive: true });
    }
  });
});
