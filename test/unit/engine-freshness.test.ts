import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { memoryStore } from '../../src/adapters/store.ts';
import { serveWeb, url, type Web } from './engine-web.ts';
import { answer, files, open, PLACE_BYTES, type Opened } from './tiers-harness.ts';

const HOUR = 3_600_000;
let web: Web;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: 10 * HOUR });
  web = serveWeb();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Requests since it was last called, and whether all of them went past HTTP caches. */
function asked(): { readonly count: number; readonly fresh: boolean } {
  const { length: count } = web.asked;
  const fresh = web.asked.every(({ cache }) => cache === 'no-cache');
  web.asked = [];
  return { count, fresh };
}

const later = (ms: number): void => void vi.setSystemTime(Date.now() + ms);
const renewed = ({ told }: Opened): boolean => told().includes('renew origin a');

async function loaded(options: Parameters<typeof open>[0] = {}): Promise<Opened> {
  const opened = await open(options);
  await opened.adapters.add('a', url(1));
  expect(await opened.ask('a')).toBe(await answer(1));
  asked();
  return opened;
}

describe('an origin that may change', () => {
  test('is asked once an hour, beside requests that are served at once', async () => {
    const engine = await loaded();
    const { ask } = engine;
    later(HOUR - 1);
    await ask('a');
    expect(asked().count).toBe(0);
    web.now.set(1, 2);
    later(1);
    expect(await ask('a')).toBe(await answer(1)); // what is there
    await vi.waitFor(() => expect(renewed(engine)).toBe(true));
    expect(await ask('a')).toBe(await answer(2));
    expect(asked().fresh).toBe(true);
    expect((await engine.tiers()).gpu).toMatchObject({ loads: 2, bytes: PLACE_BYTES }); // the old bytes have left
    await ask('a');
    expect(asked().count).toBe(0);
    web.now.set(1, 3); // and once more
    later(HOUR);
    await ask('a');
    await vi.waitFor(async () => expect(await ask('a')).toBe(await answer(3)));
  });

  test('that did not change is asked for its versions alone, without them for its bytes', async () => {
    const { ask, adapters, tiers, told } = await loaded();
    later(HOUR);
    await ask('a');
    await vi.waitFor(() => expect(web.asked).toHaveLength(2));
    expect(asked()).toEqual({ count: 2, fresh: true });
    expect((await tiers()).origin.loads).toBe(1);
    web.tags = 'no';
    await adapters.load('a', { revalidate: true });
    expect([asked().count > 2, (await tiers()).origin.loads, (await tiers()).heap.loads]).toEqual([true, 2, 1]);
    expect(told()).not.toContain('renew origin a');
    web.now.set(1, 3);
    expect((await adapters.load('a', { revalidate: true })).tier).toBe('gpu');
    expect(await ask('a')).toBe(await answer(3));
  });

  test('that changed leaves open requests what they began with', async () => {
    const engine = await loaded();
    const open = engine.engine.generate([1], { adapter: 'a', maxTokens: 60 });
    await open[Symbol.asyncIterator]().next();
    web.now.set(1, 2);
    await engine.adapters.load('a', { revalidate: true });
    expect(await engine.ask('a')).toBe(await answer(2));
    expect(new Set((await open.result()).tokens)).toEqual(new Set([await answer(1)]));
    expect(await engine.adapters.list()).toHaveLength(1);
  });

  test('that fails keeps the copy, is told, and left alone for a minute', async () => {
    const { ask, adapters, events, told } = await loaded();
    web.state = 'down';
    later(HOUR);
    const fails = () => events.filter(({ kind, tier, id }) => kind === 'fail' && tier === 'origin' && id === 'a');
    for (let i = 0; i < 3; i++) {
      expect(await ask('a')).toBe(await answer(1));
      await vi.waitFor(() => expect(fails()).toHaveLength(1));
    }
    expect(fails()[0]!.message).toContain('network is unreachable');
    later(59_000);
    await ask('a');
    expect([asked().count, fails().length]).toEqual([2, 1]);
    await expect(adapters.load('a', { revalidate: true })).rejects.toMatchObject({ code: 'file_unreadable' });
    expect(await ask('a')).toBe(await answer(1));
    web.state = 'up';
    web.now.set(1, 2);
    later(2000);
    await adapters.load('a'); // a load asks beside it, too
    await vi.waitFor(() => expect(told()).toContain('renew origin a'));
    expect(await ask('a')).toBe(await answer(2));
  });

  test('is asked once for all who want to know; a load that leaves ends nobody else', async () => {
    const { adapters, ask, tiers } = await loaded();
    web.now.set(1, 2);
    const leaving = new AbortController();
    const left = adapters.load('a', { revalidate: true, signal: leaving.signal });
    const loads = [adapters.load('a', { revalidate: true }), adapters.pin('a', { revalidate: true })];
    leaving.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    const [one, two] = await Promise.all(loads);
    expect([one!.digest, two!.pinned]).toEqual([two!.digest, true]);
    expect((await tiers()).origin.loads).toBe(2);
    expect(await ask('a')).toBe(await answer(2));
  });

  test('tells all who wait for it what is read', async () => {
    const { adapters } = await loaded();
    web.now.set(1, 2);
    const told: number[][] = [[], []];
    const load = (each: number) => adapters.load('a', { revalidate: true, onProgress: ({ loaded: bytes }) => told[each]!.push(bytes) });
    await Promise.all([load(0), load(1)]);
    expect(told[0]!.length).toBeGreaterThan(0);
    expect(told[1]).toEqual(told[0]);
  });

  test('takes its pin along', async () => {
    const { adapters } = await loaded();
    await adapters.pin('a');
    web.now.set(1, 2);
    expect(await adapters.load('a', { revalidate: true })).toMatchObject({ pinned: true, tier: 'gpu' });
    await adapters.unpin('a');
    expect((await adapters.list())[0]!.pinned).toBe(false);
  });

  test('is remembered: after a restart what is old is served at once and asked, what is not is not', async () => {
    const store = memoryStore();
    await (await loaded({ store })).close();
    later(HOUR - 1);
    const young = await open({ store });
    expect(await young.ask('a')).toBe(await answer(1));
    await young.close();
    expect(asked().count).toBe(0);
    later(1);
    web.now.set(1, 2);
    const old = await open({ store });
    expect(await old.ask('a')).toBe(await answer(1));
    await vi.waitFor(() => expect(renewed(old)).toBe(true));
    expect(await old.ask('a')).toBe(await answer(2));
    await old.close();
    expect((await store.keys('b:')).length).toBe(1);
    web.state = 'down';
    const last = await open({ store });
    expect(await last.ask('a')).toBe(await answer(2));
    await last.close();
  });
});

test('revalidateAfter 0 asks at each use', async () => {
  const { ask } = await loaded({ revalidateAfter: 0 });
  for (let i = 0; i < 3; i++) {
    await ask('a');
    await vi.waitFor(() => expect(web.asked).toHaveLength(2));
    asked();
  }
});

test('what never changes is never asked', async () => {
  const { adapters, ask, tiers } = await open({ revalidateAfter: 0 });
  await adapters.add('files', files('pirate', 1));
  for (let i = 0; i < 3; i++) await ask('files');
  await adapters.load('files', { revalidate: true });
  later(100 * HOUR);
  await ask('files');
  expect((await tiers()).origin.loads).toBe(1);
});

test('an origin that changed while the bytes were lost ends answers that began with them', async () => {
  const { adapters, engine, device, ask } = await loaded({ memory: { heap: 0 } });
  const begun = engine.generate([1], { adapter: 'a', maxTokens: 200 });
  await begun[Symbol.asyncIterator]().next();
  web.now.set(1, 2);
  device.lose();
  await expect(begun.result()).rejects.toMatchObject({ code: 'adapter_changed' });
  expect(await ask('a')).toBe(await answer(2));
  expect(await adapters.list()).toMatchObject([{ id: 'a', tier: 'gpu' }]);
});
