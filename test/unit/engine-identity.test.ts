import { afterEach, describe, expect, test, vi } from 'vitest';
import { memoryStore } from '../../src/adapters/store.ts';
import type { Folder } from '../../src/formats/folder.ts';
import { serveWeb, url } from './engine-web.ts';
import { ADAPTER_BYTES, answer, dropped, open, PLACE_BYTES } from './tiers-harness.ts';

afterEach(() => void vi.unstubAllGlobals());

/** A folder whose reads wait for `go`, and how many began. */
function slow(fast: Folder): { readonly folder: Folder; go(): void; reads(): number } {
  let go: () => void = () => undefined;
  let reads = 0;
  const gate = new Promise<void>((resolve) => (go = resolve));
  const read: Folder['read'] = async (...range) => {
    reads += 1;
    await gate;
    return fast.read(...range);
  };
  return { folder: { ...fast, read }, go: () => go(), reads: () => reads };
}

describe('ids of the same bytes', () => {
  test('share their place on the GPU, their copy in memory and their blob', async () => {
    const store = memoryStore();
    const { adapters, ask, tiers, close } = await open({ store });
    await adapters.add('a', dropped('one', 1));
    await adapters.add('b', dropped('two', 1));
    expect(await Promise.all([ask('a'), ask('b')])).toEqual([await answer(1), await answer(1)]);
    const { gpu, heap, disk } = await tiers();
    expect([gpu.bytes, heap.bytes, gpu.loads, heap.loads, disk.loads]).toEqual([PLACE_BYTES, ADAPTER_BYTES, 1, 1, 1]);
    await close();
    expect([(await store.keys('b:')).length, (await store.keys('m:a:')).length]).toEqual([1, 2]);
  });

  test('come and go without each other', async () => {
    const { adapters, ask, tiers, tierOf, told } = await open();
    for (const id of ['a', 'b', 'c']) await adapters.add(id, dropped(id, 1));
    await adapters.pin('a');
    await adapters.load('b');
    await adapters.unload('b');
    expect([await tierOf('a'), await tierOf('b'), (await adapters.list())[0]!.pinned]).toEqual(['gpu', 'gpu', true]);
    await adapters.remove('b');
    expect([await tierOf('a'), (await tiers()).gpu.evictions]).toEqual(['gpu', 0]);
    await ask('c');
    await adapters.unpin('a');
    await adapters.unload('c');
    expect([await tierOf('a'), await tierOf('c')]).toEqual(['heap', 'heap']);
    expect(told().filter((event) => event.startsWith('evict'))).toEqual(['evict gpu a', 'evict gpu c']);
    await adapters.remove('a');
    expect(await ask('c')).toBe(await answer(1));
    await adapters.remove('c');
    const { gpu, heap } = await tiers();
    expect([gpu.bytes, heap.bytes]).toEqual([0, 0]);
  });

  test('are read once more when the one that was read for is removed', async () => {
    const web = serveWeb();
    const store = memoryStore();
    const first = await open({ store });
    await first.adapters.add('a', url(1));
    await first.adapters.add('b', url(1));
    for (const id of ['a', 'b']) await first.load(id);
    await first.close();
    web.state = 'down';
    const { adapters, load, tiers } = await open({ store }); // both are known to be the same
    const loads = Promise.allSettled([load('a'), load('b')]);
    await adapters.remove('a');
    expect(await loads).toMatchObject([{ reason: { code: 'adapter_unknown' } }, { status: 'fulfilled' }]);
    expect((await tiers()).heap).toMatchObject({ loads: 1, bytes: ADAPTER_BYTES });
    await adapters.remove('b');
    expect((await tiers()).heap.bytes).toBe(0);
  });

  test('blend as one', async () => {
    const { adapters, ask } = await open();
    for (const id of ['a', 'b']) await adapters.add(id, dropped(id, 1));
    await adapters.add('c', dropped('c', 2));
    const blend = (...parts: readonly [string, number][]) => ask(parts.map(([id, scale]) => ({ id, scale })));
    expect(await blend(['a', 0.25], ['b', 0.25], ['c', 2])).toBe(Math.round((await answer(1)) / 2) + 2 * (await answer(2)));
  });
});

describe('replace', () => {
  test('is for those who come later; who is open keeps what it started with', async () => {
    const store = memoryStore();
    const { adapters, ask, tiers, close } = await open({ store });
    const { folder, go } = slow(dropped('one', 1));
    await adapters.add('a', folder);
    const before = [ask('a'), ask('a', { maxTokens: 20 })];
    await expect(adapters.add('a', dropped('two', 2))).rejects.toMatchObject({ code: 'adapter_exists' });
    await adapters.add('a', dropped('two', 2), { replace: true });
    const after = ask('a');
    expect(await after).toBe(await answer(2));
    go();
    expect(await Promise.all(before)).toEqual([await answer(1), await answer(1)]);
    const { gpu, heap, disk } = await tiers(); // nobody can ask for the first one any more
    expect([gpu.bytes, heap.bytes]).toEqual([PLACE_BYTES, ADAPTER_BYTES]);
    await close();
    expect([(await store.keys('b:')).length, disk.loads]).toEqual([1, 2]);
    const again = await open({ store });
    expect([await again.list(), await again.ask('a')]).toEqual([[['a', 'two', 'disk']], await answer(2)]);
  });

  test('takes the pin over, and a load under way goes on with the new one', async () => {
    const { adapters, load, ask, tierOf } = await open({ slots: 3 });
    await adapters.add('a', dropped('one', 1));
    await adapters.pin('a');
    await adapters.add('a', dropped('two', 2), { replace: true });
    expect(await adapters.list()).toMatchObject([{ id: 'a', pinned: true, source: 'two' }]);
    await load('a');
    for (const seed of [3, 4, 5]) {
      await adapters.add(String(seed), dropped(String(seed), seed));
      expect(await ask(String(seed))).toBe(await answer(seed));
    }
    expect(await tierOf('a')).toBe('gpu');
    await adapters.unpin('a');
    for (const seed of ['3', '4', '5']) await ask(seed);
    expect(await tierOf('a')).toBe('heap');

    const { folder, go } = slow(dropped('slow', 6));
    await adapters.add('b', folder);
    const loading = adapters.load('b');
    await adapters.add('b', dropped('quick', 7), { replace: true });
    go();
    expect(await loading).toMatchObject({ source: 'quick', tier: 'gpu' });
    expect(await ask('b')).toBe(await answer(7));
  });
});

describe('control', () => {
  test('pin keeps it through all that comes; a pin that fails leaves none', async () => {
    const { adapters, ask, tierOf } = await open({ slots: 3 });
    await adapters.add('kept', dropped('kept', 1));
    expect(await adapters.pin('kept')).toMatchObject({ pinned: true, tier: 'gpu' });
    await adapters.add('broken', { ...dropped('broken', 9), read: () => Promise.reject(new Error('torn')) });
    await expect(adapters.pin('broken')).rejects.toThrow('torn');
    expect((await adapters.list()).map(({ pinned }) => pinned)).toEqual([true, false]);
    const ids = ['2', '3', '4'];
    for (const id of ids) await adapters.add(id, dropped(id, Number(id)));
    expect(await Promise.all(ids.map((id) => ask(id)))).toEqual(await Promise.all(ids.map((id) => answer(Number(id)))));
    expect(await tierOf('kept')).toBe('gpu');
    await adapters.pin('2'); // both places are pinned now
    await expect(adapters.load('3')).rejects.toMatchObject({ code: 'out_of_memory' });
    await adapters.unload('kept'); // pinned or not
    expect([await tierOf('kept'), (await adapters.load('3')).tier]).toEqual(['heap', 'gpu']);
    expect((await adapters.list())[0]!.pinned).toBe(false);
  });

  test('unload is refused while requests run, and remove leaves them', async () => {
    const { adapters, ask, engine, tierOf } = await open();
    await adapters.add('a', dropped('a', 1));
    const running = engine.generate([1], { adapter: 'a', maxTokens: 30 });
    await running[Symbol.asyncIterator]().next();
    await expect(adapters.unload('a')).rejects.toMatchObject({ code: 'adapter_busy' });
    await adapters.remove('a');
    await expect(ask('a')).rejects.toMatchObject({ code: 'adapter_unknown' });
    await adapters.add('a', dropped('another', 2));
    expect(await ask('a')).toBe(await answer(2));
    expect((await running.result()).tokens.every((token) => token === 0)).toBe(false);
    expect(new Set((await running.result()).tokens)).toEqual(new Set([await answer(1)]));
    await adapters.unload('a');
    expect(await tierOf('a')).toBe('heap');
    for (const call of ['load', 'pin', 'unpin', 'unload', 'remove'] as const) {
      await expect(adapters[call]('nobody')).rejects.toMatchObject({ code: 'adapter_unknown' });
    }
  });

  test('one that is removed on its way onto the GPU is unknown to who loads it', async () => {
    const { adapters, device, tiers } = await open({ writeMs: 6 });
    await adapters.add('a', dropped('a', 1));
    const loading = adapters.load('a');
    const failure = expect(loading).rejects.toMatchObject({ code: 'adapter_unknown' });
    while (device.written() === 0) await new Promise((resolve) => setTimeout(resolve));
    await adapters.remove('a');
    await failure;
    expect([(await tiers()).gpu.bytes, (await tiers()).heap.bytes]).toEqual([0, 0]);
  });

  test('list tells of one tier, and of so many', async () => {
    const { adapters, load } = await open({ store: memoryStore(), memory: { heap: ADAPTER_BYTES } });
    for (let i = 0; i < 4; i++) await adapters.add(String(i), dropped(String(i), i));
    for (const id of ['0', '1', '2']) await load(id);
    for (const id of ['1', '2']) await adapters.unload(id);
    const ids = async (options: Parameters<typeof adapters.list>[0]) => (await adapters.list(options)).map(({ id }) => id);
    expect([await ids({ tier: 'gpu' }), await ids({ tier: 'heap' }), await ids({ tier: 'disk' }), await ids({ tier: 'origin' })]).toEqual([
      ['0'],
      ['2'],
      ['1'],
      ['3'],
    ]);
    expect([await ids({ limit: 2 }), await ids({ limit: 0 }), await ids({ tier: 'disk', limit: 5 })]).toEqual([['0', '1'], [], ['1']]);
  });
});
