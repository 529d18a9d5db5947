import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'vitest';
import { folderStore } from '../../src/node.ts';
import { describeOwnGpu } from '../device.ts';
import { checkMemory } from '../suites/engine-memory.ts';
import { nodeEnvironment } from './environment.ts';
import { folderBytes, usedBytes } from './memory.ts';

await describeOwnGpu('memory of an engine', (gpu) => {
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
