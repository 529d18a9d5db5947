import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { openOrigin } from '../../bench/adapters/origin.ts';
import { memoryStore } from '../../src/adapters/store.ts';
import { folderStore } from '../../src/node.ts';
import { describeGpu } from '../device.ts';
import { checkTierTrace, type TierTrace } from '../suites/tiers-trace.ts';
import { adapterFiles } from '../suites/trace-adapters.ts';

const model = fileURLToPath(new URL('../../public/models/frontdesk/base', import.meta.url));
const MIB = 2 ** 20;

/** The last few adapters that were asked for; each is asked for several times while it is read. */
function madeOnDemand() {
  const made = new Map<string, ReturnType<typeof adapterFiles>>();
  return new Proxy<Record<string, ReturnType<typeof adapterFiles>>>(
    {},
    {
      get: (_, id) => {
        const name = decodeURIComponent(String(id));
        const files = made.get(name) ?? adapterFiles(name);
        made.delete(name);
        made.set(name, files);
        if (made.size > 32) made.delete(made.keys().next().value!);
        return files;
      },
    },
  );
}

const SIZES: readonly TierTrace[] = [
  { adapters: 5, requests: 80, poolPages: 32, heapBytes: MIB / 2, diskBytes: MIB },
  { adapters: 100, requests: 160, poolPages: 96, heapBytes: 4 * MIB, diskBytes: 12 * MIB },
  { adapters: 2000, requests: 200, poolPages: 96, heapBytes: 4 * MIB, diskBytes: 24 * MIB },
];

/** A thousand MiB of disk are filled and overflow. */
const THOUSANDS: TierTrace = { adapters: 10_000, requests: 8000, poolPages: 512, heapBytes: 64 * MIB, diskBytes: 1000 * MIB };

await describeGpu('an engine and the simulator', (gpu) => {
  const origin = openOrigin(madeOnDemand());
  afterAll(async () => (await origin).close());

  const addressOf = async () => {
    const { url } = await origin;
    return (adapter: string): string => `${url}/${encodeURIComponent(adapter)}`;
  };

  test.each(SIZES)('$adapters adapters: each tier does what was decided without it', async (size) => {
    const { tiers } = await checkTierTrace(size, { gpu, model, store: memoryStore(), address: await addressOf() });
    for (const tier of ['heap', 'disk'] as const) expect(tiers[tier].evictions, tier).toBeGreaterThan(0);
    if (size.adapters > 5) expect(Math.min(tiers.gpu.evictions, tiers.reads.disk)).toBeGreaterThan(0);
  });

  test.skipIf(!process.env['WEBLORA_SLOW'])(
    '10000 adapters in a folder of a thousand MiB (WEBLORA_SLOW=1: many minutes)',
    async () => {
      const path = await mkdtemp(join(tmpdir(), 'weblora-trace-'));
      try {
        const { tiers } = await checkTierTrace(THOUSANDS, { gpu, model, store: folderStore(path), address: await addressOf() });
        expect(tiers.disk.evictions).toBeGreaterThan(0);
      } finally {
        await rm(path, { recursive: true });
      }
    },
    7_200_000,
  );
});
