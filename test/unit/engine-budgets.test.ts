import { afterEach, describe, expect, test, vi } from 'vitest';
import { memoryStore, type Store } from '../../src/adapters/store.ts';
import type { EngineOptions } from '../../src/engine/types.ts';
import { fatefulStore } from '../suites/stores.ts';
import { serveWeb, url } from './engine-web.ts';
import { ADAPTER_BYTES, answer, dropped, open, PLACE_BYTES, type Opened } from './tiers-harness.ts';

afterEach(() => void vi.unstubAllGlobals());

const seeds = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

/** An engine with so many adapters, by seed. */
async function opened(count: number, options: Parameters<typeof open>[0]): Promise<Opened> {
  const engine = await open(options);
  for (const seed of seeds(count)) await engine.adapters.add(String(seed), dropped(`d${seed}`, seed));
  return engine;
}

/** Everybody asks at once for a shuffled adapter, also of two. */
async function checkAnswers({ ask }: Opened, count: number, rounds = 3): Promise<void> {
  const answers = new Map(await Promise.all(seeds(count).map(async (seed) => [seed, await answer(seed)] as const)));
  const asked = Array.from({ length: rounds * count }, (_, i) => [1 + ((i * 7) % count), 1 + ((i * 5 + 1) % count)] as const);
  const found = await Promise.all(
    asked.map(([one, other], i) =>
      i % 3 === 0 && one !== other
        ? ask([
            { id: String(one), scale: 1 },
            { id: String(other), scale: 2 },
          ])
        : ask(String(one)),
    ),
  );
  const sum = ([one, other]: readonly [number, number], i: number): number =>
    i % 3 === 0 && one !== other ? answers.get(one)! + 2 * answers.get(other)! : answers.get(one)!;
  expect(found).toEqual(asked.map((pair, i) => sum(pair, i) % 2 ** 20));
}

describe.each([
  ['nothing', 0],
  ['less than one adapter', ADAPTER_BYTES - 1],
  ['one adapter', ADAPTER_BYTES],
  ['two adapters', 2 * ADAPTER_BYTES],
])('memory for %s', (_, heap) => {
  test.each([
    ['without a store', undefined],
    ['with one', memoryStore],
  ])('%s: loads, blends and many adapters succeed', async (_name, store) => {
    const engine = await opened(12, { slots: 5, memory: { heap }, ...(store && { store: store() }) });
    await checkAnswers(engine, 12);
    const loads = await Promise.all(['1', '2', '3'].map((id) => engine.adapters.load(id)));
    expect(loads.map(({ id }) => id)).toEqual(['1', '2', '3']);
    await engine.ask(undefined);
    const { gpu, heap: memory } = await engine.tiers();
    expect(memory.bytes).toBeLessThanOrEqual(heap);
    expect([gpu.bytes % PLACE_BYTES, gpu.bytes / PLACE_BYTES <= 4, gpu.loads - gpu.evictions]).toEqual([0, true, gpu.bytes / PLACE_BYTES]);
    expect(memory.loads - memory.evictions).toBe(memory.bytes / ADAPTER_BYTES);
    await engine.close();
  });

  test('a device that is lost takes nobody with it', async () => {
    const engine = await opened(6, { slots: 4, memory: { heap }, writeMs: 1 });
    for (const ms of [0, 1, 3, 10, 20]) {
      const answers = checkAnswers(engine, 6, 2);
      // where all places are taken it is refused
      const load = engine.adapters.load('2').catch((error: { readonly code?: string }) => expect(error.code).toBe('out_of_memory'));
      await new Promise((resolve) => setTimeout(resolve, ms));
      engine.device.lose();
      await Promise.all([answers, load]);
    }
    await vi.waitFor(async () => expect((await engine.engine.stats()).deviceLosses).toBe(5));
    const { gpu } = await engine.tiers();
    expect(gpu.loads - gpu.evictions).toBe(gpu.bytes / PLACE_BYTES);
    await engine.close();
  });
});

describe('a store', () => {
  const memory = (disk: number): Pick<EngineOptions, 'memory'> => ({ memory: { heap: ADAPTER_BYTES, disk } });

  test('keeps its budget, by what was used last; what is the only copy stays, and what finds no room is told', async () => {
    serveWeb();
    const store = memoryStore();
    const engine = await open({ store, slots: 3, ...memory(4000) });
    for (const seed of seeds(8)) {
      await engine.adapters.add(String(seed), url(seed));
      expect(await engine.ask(String(seed))).toBe(await answer(seed));
    }
    await vi.waitFor(async () => expect(await store.keys('b:')).toHaveLength(4)); // each has somewhat less than 1,000 bytes there
    const { disk } = await engine.tiers();
    expect([disk.loads, disk.bytes > 3000, disk.bytes <= 4000, disk.evictions]).toEqual([8, true, true, 4]);
    expect(engine.told()).toContain('evict disk 1');
    for (const seed of seeds(5)) {
      await engine.adapters.add(`d${seed}`, dropped(`d${seed}`, 100 + seed));
      expect(await engine.ask(`d${seed}`)).toBe(await answer(100 + seed));
    }
    expect(engine.told().filter((event) => event.startsWith('fail disk'))).toEqual(['fail disk d5']);
    await engine.close();
    const again = await open({ store, ...memory(4000) });
    expect((await again.list()).map(([id]) => id).toSorted()).toEqual([...seeds(8).map(String), 'd1', 'd2', 'd3', 'd4']);
    for (const seed of seeds(4)) expect(await again.ask(`d${seed}`)).toBe(await answer(100 + seed));
    await again.close();
  });

  /** A store that takes so many bytes. */
  function smallStore(most: number): Store {
    const store = memoryStore();
    let lengths = new Map<string, number>();
    const full = (): never => {
      throw new DOMException('The quota has been exceeded.', 'QuotaExceededError');
    };
    return {
      ...store,
      put: async (entries) => {
        const next = new Map([...lengths, ...entries.map(([key, bytes]) => [key, bytes.length] as const)]);
        if ([...next.values()].reduce((sum, length) => sum + length, 0) > most) full();
        lengths = next;
        await store.put(entries);
      },
      delete: async (keys) => {
        for (const key of keys) lengths.delete(key);
        await store.delete(keys);
      },
    };
  }

  test.each([0, 1500, 6000])('that is full at %i bytes takes what it can and fails nobody', async (most) => {
    serveWeb();
    const store = smallStore(most);
    const engine = await open({ store, slots: 3, ...memory(1 << 20) });
    const ids = seeds(10).map(String);
    for (const id of ids) await engine.adapters.add(id, url(Number(id)));
    expect(await Promise.all(ids.map((id) => engine.ask(id)))).toEqual(await Promise.all(ids.map((id) => answer(Number(id)))));
    for (const id of ids) expect(await engine.ask(id)).toBe(await answer(Number(id)));
    await engine.close();
    const blobs = await store.keys('b:');
    expect(blobs.length > 0).toBe(most === 6000); // less is full of records
    const again = await open({ store, ...memory(1 << 20) });
    for (const { id } of await again.adapters.list({ tier: 'disk' })) expect(await again.ask(id)).toBe(await answer(Number(id)));
    expect((await again.tiers()).disk.hits).toBe(blobs.length); // whose bytes are there is known
    await again.close();
  });

  test('that is slow lets no bytes pile up', async () => {
    const kept = memoryStore();
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    let puts = 0;
    const slow: Store = { ...fatefulStore(kept, () => 'done'), put: async (entries) => (puts++, await gate, kept.put(entries)) };
    const engine = await opened(80, { store: slow, slots: 5, ...memory(1 << 20) });
    const answers = seeds(80).map((seed) => engine.ask(String(seed)));
    await vi.waitFor(async () => expect((await engine.tiers()).origin.loads).toBeGreaterThanOrEqual(16));
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { disk, origin } = await engine.tiers();
    expect([disk.loads, disk.bytes > 0, puts]).toEqual([0, true, 1]); // what is on its way takes room, and is no load yet
    expect(origin.loads).toBeLessThanOrEqual(16 + 8); // those that are read at once wait with what they have
    const leaving = new AbortController();
    const left = engine.ask('80', { signal: leaving.signal });
    leaving.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    release();
    expect(await Promise.all(answers)).toEqual(await Promise.all(seeds(80).map((seed) => answer(seed))));
    await engine.close();
    expect((await kept.keys('b:')).length).toBe(80);
  });

  test('that never answers keeps nobody waiting for ever', async () => {
    const kept = memoryStore();
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const engine = await opened(18, { store: { ...kept, put: () => gate }, slots: 5, ...memory(1 << 20) });
    const answers = await Promise.all(seeds(18).map((seed) => engine.ask(String(seed))));
    expect(answers).toEqual(await Promise.all(seeds(18).map((seed) => answer(seed))));
    release();
    await engine.close();
  }, 15_000);

  test('that is slow keeps nobody waiting for what it has, nor the end', async () => {
    const kept = memoryStore();
    const first = await opened(3, { store: kept });
    for (const seed of seeds(3)) await first.load(String(seed));
    await first.close();
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const engine = await open({
      store: { ...kept, put: async (entries) => (await gate, kept.put(entries)) },
      slots: 5,
      ...memory(1 << 20),
    });
    for (const seed of seeds(40)) if (seed > 3) await engine.adapters.add(String(seed), dropped(`d${seed}`, seed));
    const asked = seeds(40)
      .slice(3)
      .map((seed) => engine.ask(String(seed)));
    await vi.waitFor(async () => expect((await engine.tiers()).origin.loads).toBeGreaterThanOrEqual(16));
    const ends = Promise.allSettled(asked);
    expect((await engine.adapters.load('2')).tier).toBe('gpu');
    const closing = engine.close();
    release();
    await closing;
    expect((await ends).at(-1)).toMatchObject({ reason: { code: 'closed' } });
  });
});
