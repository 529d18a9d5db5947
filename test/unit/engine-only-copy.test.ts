import { afterEach, describe, expect, test, vi } from 'vitest';
import { memoryStore, type Store } from '../../src/adapters/store.ts';
import { fatefulStore } from '../suites/stores.ts';
import { serveWeb, url } from './engine-web.ts';
import { answer, files, open } from './tiers-harness.ts';

afterEach(() => void vi.unstubAllGlobals());

/** Room for two adapters in the store, and for none in memory. */
const SMALL = { memory: { disk: 2000, heap: 0 }, slots: 2 };

/** Ids whose bytes are in the store after others were asked for, one after the other. */
async function leftOf(engine: Awaited<ReturnType<typeof open>>, ...ids: string[]): Promise<string[]> {
  for (const seed of [2, 3, 4]) {
    await engine.adapters.add(`n${seed}`, url(seed));
    await engine.ask(`n${seed}`);
    await vi.waitFor(async () => expect((await engine.tiers()).disk.loads).toBeGreaterThanOrEqual(seed - 1));
  }
  return (await engine.list()).flatMap(([id, , tier]) => (ids.includes(id!) && tier !== 'origin' ? [id!] : []));
}

/** An engine's life in which an adapter is dropped and fetched from the web. */
async function lived(store: Store, order: readonly ('drop' | 'web')[], removed: 'drop' | 'web'): Promise<void> {
  const engine = await open({ store });
  for (const id of order) {
    await engine.adapters.add(id, id === 'drop' ? files('drop', 1) : url(1));
    await engine.load(id);
  }
  await engine.adapters.remove(removed);
  await engine.close();
}

describe('bytes that two ids share', () => {
  test('stay while the dropped one is left', async () => {
    serveWeb();
    const store = memoryStore();
    await lived(store, ['web', 'drop'], 'web');
    const engine = await open({ store, ...SMALL });
    expect(await leftOf(engine, 'drop')).toEqual(['drop']);
    expect(await engine.ask('drop')).toBe(await answer(1));
    await engine.close();
  });

  test('make room when the dropped one is gone', async () => {
    serveWeb();
    const store = memoryStore();
    await lived(store, ['drop', 'web'], 'drop');
    const engine = await open({ store, ...SMALL });
    expect(await leftOf(engine, 'web')).toEqual([]);
    expect(await engine.ask('web')).toBe(await answer(1));
    await engine.close();
  });

  test('make room for who removes the dropped one, too', async () => {
    serveWeb();
    const engine = await open({ store: memoryStore(), ...SMALL });
    await engine.adapters.add('drop', files('drop', 1));
    await engine.adapters.add('web', url(1));
    await engine.load('drop');
    await engine.load('web');
    await engine.adapters.remove('drop');
    expect(await leftOf(engine, 'web')).toEqual([]);
    await engine.close();
  });
});

test('what another tab fetched is dropped here: nothing makes room of it', async () => {
  serveWeb();
  const store = memoryStore();
  const here = await open({ store, ...SMALL });
  const there = await open({ store });
  await there.adapters.add('web', url(1));
  await there.load('web');
  await vi.waitFor(async () => expect((await there.tiers()).disk.loads).toBe(1));
  await here.adapters.add('drop', files('drop', 1));
  await here.load('drop');
  expect(await leftOf(here, 'drop')).toEqual(['drop']);
  await Promise.all([here.close(), there.close()]);
  const again = await open({ store });
  expect(await again.ask('drop')).toBe(await answer(1));
  await again.close();
});

test('what a crash left without a name makes room', async () => {
  serveWeb();
  const store = memoryStore();
  const killed = fatefulStore(store, (call, keys) =>
    call === 'put' && keys.some((key) => key.startsWith('m:a:')) ? { fails: new Error('killed') } : 'done',
  );
  const first = await open({ store: killed });
  await first.adapters.add('drop', files('drop', 1));
  await first.load('drop');
  await first.close();
  const [left] = await store.keys('b:');
  expect(left).toBeDefined();
  const engine = await open({ store, ...SMALL });
  await leftOf(engine);
  await engine.close();
  expect(await store.keys('b:')).not.toContain(left);
});

test('a request that waits gets the bytes of an id that is removed, and then they go', async () => {
  const store = memoryStore();
  const first = await open({ store });
  await first.adapters.add('drop', files('drop', 1));
  await first.load('drop');
  await first.close();
  const engine = await open({ store, limits: { sequences: 1 } });
  const busy = engine.engine.generate([1], { maxTokens: 20 }).result();
  await Promise.resolve();
  const waits = engine.ask('drop');
  await engine.adapters.remove('drop');
  expect(await waits).toBe(await answer(1));
  await busy;
  await vi.waitFor(async () => expect(await store.keys('b:')).toEqual([]));
  await engine.close();
});
