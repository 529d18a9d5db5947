import { afterEach, describe, expect, test, vi } from 'vitest';
import { memoryStore } from '../../src/adapters/store.ts';
import type { Store } from '../../src/engine/types.ts';
import { serveWeb, url } from './engine-web.ts';
import { answer, dropped, open, type Opened } from './tiers-harness.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

const where = async ({ adapters }: Opened): Promise<unknown[]> => (await adapters.list()).map(({ id, pinned, tier }) => [id, pinned, tier]);
const isThere = (engine: Opened): Promise<void> => vi.waitFor(async () => expect(await where(engine)).toEqual([['a', true, 'gpu']]));

/** A store that an earlier engine left, with `url(1)` under the id `known`. */
async function knowing(): Promise<Store> {
  serveWeb();
  const store = memoryStore();
  const first = await open({ store });
  await first.adapters.add('known', url(1));
  await first.load('known');
  await first.close();
  return store;
}

describe('what is pinned', () => {
  test('is on the GPU again after its origin changed, a device was lost, and its source was replaced', async () => {
    const web = serveWeb();
    const engine = await open({ revalidateAfter: 0 });
    await engine.adapters.add('a', url(1));
    await engine.adapters.pin('a');
    web.now.set(1, 2);
    await engine.ask('a');
    await vi.waitFor(() => expect(engine.told()).toContain('renew origin a'));
    await isThere(engine);
    engine.device.lose();
    await engine.ask(undefined);
    await isThere(engine);
    await engine.adapters.add('a', dropped('other', 4), { replace: true });
    await isThere(engine);
    expect(await engine.ask('a')).toBe(await answer(4));
    await engine.close();
  });

  test('stays though another call for it gives up', async () => {
    const engine = await open();
    await engine.adapters.add('a', dropped('a', 1));
    const leaving = new AbortController();
    const one = engine.adapters.pin('a', { signal: leaving.signal });
    const two = engine.adapters.pin('a');
    leaving.abort(new Error('left'));
    await expect(one).rejects.toThrow('left');
    expect((await two).pinned).toBe(true);
    await isThere(engine);
    await engine.close();
  });

  test('is what its id stands for when the call ends', async () => {
    let go: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    const engine = await open();
    const one = dropped('one', 1);
    const slow: typeof one = { ...one, read: async (...range) => (await gate, one.read(...range)) };
    await engine.adapters.add('a', slow);
    const asked = engine.ask('a');
    const pinned = engine.adapters.pin('a');
    await new Promise((resolve) => setTimeout(resolve, 5));
    await engine.adapters.add('a', dropped('two', 2), { replace: true });
    go();
    expect([await asked, (await pinned).tier]).toEqual([await answer(1), 'gpu']);
    await isThere(engine);
    expect(await engine.ask('a')).toBe(await answer(2));
    await engine.close();
  });

  test('stays where `resolve` answers with what the store knows', async () => {
    const engine = await open({ store: await knowing(), slots: 2, resolve: () => url(1) });
    await engine.adapters.remove('known');
    expect(await engine.adapters.pin('a')).toMatchObject({ pinned: true, tier: 'gpu' });
    await engine.adapters.add('other', dropped('other', 9));
    await expect(engine.adapters.load('other')).rejects.toMatchObject({ code: 'out_of_memory' });
    expect((await where(engine))[0]).toEqual(['a', true, 'gpu']);
    await engine.close();
  });
});

test('loads end when a lost device cannot be built again', async () => {
  const engine = await open({ writeMs: 30 });
  Object.assign(engine.device.serving, { rebuild: async () => Promise.reject(new Error('cannot be built')) });
  for (const id of ['a', 'b', 'c']) await engine.adapters.add(id, dropped(id, id.charCodeAt(0)));
  const loads = Promise.allSettled(['a', 'b', 'c'].map((id) => engine.adapters.load(id)));
  await new Promise((resolve) => setTimeout(resolve, 20));
  engine.device.lose();
  expect((await loads).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
});

test('an id that is removed while `resolve` answers leaves nothing behind', async () => {
  const store = await knowing();
  let go: (source: string) => void = () => undefined;
  const engine = await open({ store, resolve: () => new Promise((resolve) => (go = resolve)) });
  const load = engine.adapters.load('b').catch((error: unknown) => error);
  await new Promise((resolve) => setTimeout(resolve, 5));
  await engine.adapters.remove('b');
  expect(await load).toMatchObject({ code: 'adapter_unknown' });
  go(url(1));
  await new Promise((resolve) => setTimeout(resolve, 10));
  await engine.load('known');
  await engine.adapters.unload('known');
  await engine.adapters.remove('known');
  await engine.adapters.add('c', dropped('c', 1));
  expect((await engine.adapters.load('c')).tier).toBe('gpu');
  expect(await engine.ask('c')).toBe(await answer(1));
  await engine.close();
});

test('what `resolve` answers and the store knows is read once', async () => {
  const kept = await knowing();
  let reads = 0;
  const store: Store = {
    ...kept,
    get: async (key) => {
      if (key.startsWith('b:')) reads += 1;
      await new Promise((resolve) => setTimeout(resolve, 20));
      return kept.get(key);
    },
  };
  const engine = await open({ store, resolve: async () => url(1) });
  const busy = engine.engine.generate([1], { maxTokens: 100 }).result();
  expect(await engine.ask('z')).toBe(await answer(1));
  await busy;
  expect([reads, (await engine.tiers()).heap.loads]).toEqual([1, 1]);
  await engine.close();
});

test('a request keeps the bytes that only the store has, though its adapter is removed', async () => {
  const store = memoryStore();
  const one = await open({ store });
  await one.adapters.add('drop', dropped('drop', 1));
  await one.load('drop');
  await one.close();
  const two = await open({ store, limits: { sequences: 1 } });
  const busy = two.engine.generate([1], { maxTokens: 20 }).result();
  await new Promise((resolve) => setTimeout(resolve));
  const waits = two.ask('drop');
  await two.adapters.remove('drop');
  expect(await waits).toBe(await answer(1));
  await busy;
  await two.close();
  expect([await store.keys('b:'), await store.keys('m:a:')]).toEqual([[], []]);
});
