import type { GpuProvider } from 'weblora';
import { folderStore } from 'weblora/node';
import { nodeEnvironment } from '../../test/gpu/environment.ts';
import { folderBytes, usedBytes } from '../../test/gpu/memory.ts';
import { checkMemory } from '../../test/suites/engine-memory.ts';
import { gate, type Row } from '../report.ts';
import { withFolder } from './node.ts';

const WARM_UP = 300;

/** What an engine holds after so many loads through small budgets. Throws `Error` where a budget is not kept. */
export function leaks(gpu: GpuProvider, loads: number): Promise<Row[]> {
  return withFolder(async (folder) => {
    const report = await checkMemory(nodeEnvironment(gpu), {
      ...{ loads, warmUp: Math.min(WARM_UP, loads / 2), store: folderStore(folder) },
      storeBytes: () => folderBytes(folder),
      usedBytes,
    });
    const [before, after] = report.usedBytes;
    const { gpu: pool, heap, disk } = report.tiers;
    const within = (name: string, bytes: number, budget: number): Row =>
      gate({ name: `leaks/${name}`, value: bytes, unit: 'bytes', budget }, `<= ${budget}`);
    return [
      { name: 'leaks/loads', value: report.loads, unit: 'loads' },
      { name: 'leaks/growth of heapUsed + arrayBuffers', value: after - before, unit: 'bytes', before, after },
      within('gpu', pool.bytes, pool.budget),
      within('heap', heap.bytes, heap.budget),
      within('disk', disk.bytes, disk.budget),
      { name: 'leaks/files of the store', value: report.storeBytes, unit: 'bytes', note: 'records are beside the budget' },
    ];
  });
}
