import { afterEach, describe, expect, test, vi } from 'vitest';
import { memoryStore, type Store } from '../../src/adapters/store.ts';
import { fatefulStore, type Fate } from '../suites/stores.ts';
import { flipByte } from './disk-bench.ts';
import { serveWeb, url } from './engine-web.ts';
import { answer, dropped, files, open, type Opened } from './tiers-harness.ts';

afterEach(() => void vi.unstubAllGlobals());

/** What the store of an engine was asked, in short. */
const calls = async ({ tiers }: Opened) => {
  const { hits, misses, loads, evictions, failures } = (await tiers()).disk;
  return { hits, misses, loads, evictions, failures };
};
const noCalls = { hits: 0, misses: 0, loads: 0, evictions: 0, failures: 0 };
/** Ids of records, and blobs. */
const kept = async (store: Store): Promise<readonly [number, number]> => [
  (await store.keys('m:a:')).length,
  (await store.keys('b:')).length,
];

/** An adapter from the web and one that was dropped, both read and kept. */
async function filled(store: Store): Promise<string[]> {
  const first = await open({ store });
  await first.adapters.add('web', url(1));
  await first.adapters.add('dropped', files('pirate-lora', 2));
  const digests = [await first.load('web'), await first.load('dropped')];
  await first.close();
  return digests;
}

describe('with a store', () => {
  test('an adapter is there after a restart, without the network', async () => {
    const web = serveWeb();
    const store = memoryStore();
    const first = await open({ store });
    await first.adapters.add('web', url(1));
    await first.adapters.add('dropped', files('pirate-lora', 2));
    await first.adapters.add('idle', url(3));
    const digests = [await first.load('web'), await first.load('dropped')];
    await vi.waitFor(async () => expect(first.told()).toEqual(expect.arrayContaining(['load disk web', 'load disk dropped'])));
    expect(await calls(first)).toEqual({ ...noCalls, misses: 2, loads: 2 });
    await first.close();

    web.state = 'down';
    web.asked = [];
    const second = await open({ store });
    expect((await second.list()).toSorted()).toEqual([
      ['dropped', 'pirate-lora', 'disk'],
      ['web', url(1), 'disk'],
    ]);
    await second.adapters.add('web', url(1));
    await second.adapters.add('web', new URL(url(1)));
    await expect(second.adapters.add('web', url(2))).rejects.toMatchObject({ code: 'adapter_exists' });
    for (const other of [url(2), dropped('another-name', 2)]) {
      await expect(second.adapters.add('dropped', other)).rejects.toMatchObject({ code: 'adapter_exists' });
    }
    expect([await second.load('web'), await second.load('dropped')]).toEqual(digests);
    expect([await second.ask('web'), await second.ask('dropped')]).toEqual([await answer(1), await answer(2)]);
    await second.adapters.unload('web');
    expect((await second.adapters.list()).find(({ id }) => id === 'web')).toMatchObject({ tier: 'heap', digest: digests[0], rank: 4 });
    expect(await calls(second)).toEqual({ ...noCalls, hits: 2 });
    await second.close();
    expect(web.asked).toEqual([]);
  });

  test('another id of the same address is served from there, too', async () => {
    const web = serveWeb();
    const store = memoryStore();
    const digests = await filled(store);
    web.state = 'down';
    web.asked = [];
    const second = await open({ store });
    await second.adapters.add('alias', url(1));
    expect([await second.tierOf('alias'), await second.ask('alias'), await second.load('web')]).toEqual([
      'disk',
      await answer(1),
      digests[0],
    ]);
    expect([web.asked, await calls(second)]).toEqual([[], { ...noCalls, hits: 1 }]);
    await second.close();
    expect(await kept(store)).toEqual([3, 2]);
  });

  test('listing reads no bytes of adapters', async () => {
    const store = memoryStore();
    const first = await open({ store });
    await first.adapters.add('a', dropped('a', 1));
    await first.load('a');
    await first.close();
    const asked: string[] = [];
    const second = await open({ store: { ...store, get: (key) => (asked.push(key), store.get(key)) } });
    expect(await second.adapters.list()).toMatchObject([{ id: 'a', tier: 'disk', rank: 4 }]);
    expect(asked.filter((key) => key.startsWith('b:'))).toEqual([]);
    await second.close();
  });

  test.each(['missing', 'torn', 'flipped'] as const)('bytes that are %s are fetched and written again', async (how) => {
    const web = serveWeb();
    const store = memoryStore();
    const digests = await filled(store);
    for (const key of await store.keys('b:')) {
      const bytes = (await store.get(key))!;
      if (how === 'missing') await store.delete([key]);
      else if (how === 'torn') await store.put([[key, bytes.slice(0, bytes.length / 2)]]);
      else await flipByte(store, key, -100);
    }
    const second = await open({ store });
    expect(await second.ask('web')).toBe(await answer(1));
    const failure = { code: 'store_failed', message: expect.stringMatching(/"dropped" \(pirate-lora\).*Add it again/) };
    await expect(second.ask('dropped')).rejects.toMatchObject(failure);
    await expect(second.load('dropped')).rejects.toMatchObject(failure);
    expect(await second.tierOf('dropped')).toBe('origin');
    await second.adapters.add('dropped', dropped('another-name', 2));
    expect(await second.load('dropped')).toBe(digests[1]);
    await vi.waitFor(async () => expect(await calls(second)).toMatchObject({ hits: 0, loads: 2, failures: 0 }));
    await second.close();

    web.state = 'down';
    const third = await open({ store });
    expect([await third.load('web'), await third.load('dropped')]).toEqual(digests);
    await third.close();
  });

  test('a folder of the same name that is dropped again is read anew', async () => {
    serveWeb();
    const store = memoryStore();
    await filled(store);
    const second = await open({ store });
    expect(await second.ask('dropped')).toBe(await answer(2));
    await second.adapters.add('dropped', files('pirate-lora', 7));
    expect(await second.ask('dropped')).toBe(await answer(7));
    await second.close();
    expect(await kept(store)).toEqual([2, 2]);
    const third = await open({ store });
    expect(await third.ask('dropped')).toBe(await answer(7));
    await third.close();
  });

  test('remove deletes the record, and bytes that no other record names', async () => {
    const store = memoryStore();
    const { adapters, load, close } = await open({ store });
    await adapters.add('a', dropped('one', 1));
    await adapters.add('b', dropped('two', 1)); // the same bytes
    await adapters.add('c', dropped('three', 2));
    expect([await load('a'), await load('b')]).toEqual([await load('a'), await load('a')]);
    await load('c');
    await adapters.remove('a');
    await vi.waitFor(async () => expect(await kept(store)).toEqual([2, 2])); // records of bytes that are nowhere else come behind them
    await adapters.remove('b');
    expect(await kept(store)).toEqual([1, 1]);
    await adapters.remove('c');
    expect(await kept(store)).toEqual([0, 0]);
    await adapters.add('d', dropped('four', 4));
    await load('d');
    await adapters.remove('d'); // behind its own write
    expect(await kept(store)).toEqual([0, 0]);
    await close();
  });

  test('one that is removed while it is read leaves nothing behind', async () => {
    const store = memoryStore();
    const { adapters, ask, load, tiers, close } = await open({ store });
    await adapters.add('e', dropped('five', 5));
    const asked = ask('e');
    await adapters.remove('e'); // in front of the read of a request that keeps it
    expect(await asked).toBe(await answer(5));
    await adapters.add('f', dropped('six', 6));
    const loading = load('f');
    await adapters.remove('f');
    await expect(loading).rejects.toMatchObject({ code: 'adapter_unknown', message: expect.stringContaining('removed') });
    await vi.waitFor(async () => expect(await kept(store)).toEqual([0, 0]));
    const { gpu, heap, disk } = await tiers();
    expect([gpu.bytes, heap.bytes, disk.bytes]).toEqual([0, 0, 0]);
    await close();
    expect(await store.keys('m:a:')).toEqual([]);
  });

  test('another model or precision has its own', async () => {
    serveWeb();
    const store = memoryStore();
    const half = { store, precision: 'half' as const };
    const first = await open(half);
    await first.adapters.add('web', url(1));
    await first.adapters.add('dropped', dropped('two', 2));
    const digests = [await first.load('web'), await first.load('dropped')];
    await first.close();
    const other = await open({ ...half, location: 'n' });
    expect(await other.list()).toEqual([]);
    await other.adapters.add('web', dropped('one', 1)); // the same bytes
    expect(await other.ask('web')).toBe(await answer(1, 'half'));
    await other.adapters.remove('web');
    await other.close();
    const exact = await open({ store });
    expect((await exact.list()).toSorted()).toEqual([
      ['dropped', 'two', 'origin'],
      ['web', url(1), 'origin'],
    ]);
    await expect(exact.load('dropped')).rejects.toMatchObject({ code: 'store_failed' }); // packed as half, and nowhere to read it again
    expect([await exact.load('web'), await exact.ask('web')]).toEqual([digests[0], await answer(1)]);
    expect(await calls(exact)).toMatchObject({ hits: 0, loads: 1, failures: 0 });
    await exact.close();
    const again = await open(half);
    expect((await again.list()).map(([id, , tier]) => [id, tier]).toSorted()).toEqual([
      ['dropped', 'disk'],
      ['web', 'disk'],
    ]);
    expect([await again.load('web'), await again.load('dropped')]).toEqual(digests);
    await again.close();
  });
});

describe('a store that fails', () => {
  /** A store that refuses these calls. */
  function breakable(store: Store): { readonly store: Store; broken: readonly string[] } {
    const fate = (call: string, keys: readonly string[]): Fate => {
      const isBroken = at.broken.includes(call) || at.broken.some((prefix) => call === 'put' && keys.some((key) => key.startsWith(prefix)));
      return isBroken ? { fails: new Error(`${call} is out of order`) } : 'done';
    };
    const at: { readonly store: Store; broken: readonly string[] } = { store: fatefulStore(store, fate), broken: [] };
    return at;
  }

  test('takes no adapter with it', async () => {
    const web = serveWeb();
    const memory = memoryStore();
    const digests = await filled(memory);
    const at = breakable(memory);
    at.broken = ['keys'];
    const unlisted = await open({ store: at.store });
    expect(await unlisted.list()).toEqual([]);
    expect((await unlisted.tiers()).disk).toMatchObject({ failures: 1, lastFailure: expect.stringContaining('keys is out') });
    await unlisted.close();

    at.broken = [];
    const unread = await open({ store: at.store });
    at.broken = ['get'];
    web.asked = [];
    expect(await unread.ask('web')).toBe(await answer(1));
    expect(web.asked.length).toBeGreaterThan(0);
    await expect(unread.ask('dropped')).rejects.toMatchObject({ code: 'store_failed', message: expect.stringContaining('get is out') });
    at.broken = [];
    expect(await unread.load('dropped')).toBe(digests[1]); // nothing was given up
    at.broken = ['delete'];
    const refused = { code: 'store_failed', message: expect.stringContaining('"dropped"') };
    await expect(unread.adapters.remove('dropped')).rejects.toMatchObject(refused);
    await unread.close();
  });

  test.each(['b:', 'm:b:', 'm:a:'])('to write %s is told, and leaves no record without bytes', async (what) => {
    serveWeb();
    const memory = memoryStore();
    const at = breakable(memory);
    at.broken = [what];
    const engine = await open({ store: at.store });
    await engine.adapters.add('only', dropped('three', 3));
    await engine.adapters.add('web', url(1));
    expect([await engine.ask('only'), await engine.ask('web')]).toEqual([await answer(3), await answer(1)]);
    await vi.waitFor(async () => expect((await calls(engine)).failures).toBe(2));
    if (what !== 'm:a:') {
      expect(engine.events).toContainEqual(
        expect.objectContaining({ kind: 'fail', tier: 'disk', id: 'only', message: expect.stringContaining('out of order') }),
      );
      expect((await engine.tiers()).disk).toMatchObject({ bytes: 0, loads: 0 }); // what was refused came nowhere
    }
    await engine.close();
    at.broken = [];
    const again = await open({ store: at.store });
    // what has an address is known though its bytes were lost
    expect((await again.list()).map(([id]) => id)).toEqual(what === 'm:a:' ? [] : ['web']);
    await again.close();
  });
});
