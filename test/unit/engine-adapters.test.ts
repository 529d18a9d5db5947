import { describe, expect, test, vi } from 'vitest';
import { openAdapterDisk } from '../../src/adapters/disk.ts';
import type { PoolMemory } from '../../src/gpu/pool-memory.ts';
import { memoryStore, type Store } from '../../src/adapters/store.ts';
import { createAdapterTiers, type AdapterTiers } from '../../src/engine/adapters.ts';
import { createEventHub } from '../../src/engine/events.ts';
import { createCore, type Core } from '../../src/engine/core.ts';
import { createCostEstimate } from '../../src/engine/cost.ts';
import type { EngineEvent, EngineOptions, Source } from '../../src/engine/types.ts';
import type { Folder } from '../../src/formats/folder.ts';
import type { Model } from '../../src/model/model.ts';
import { TABLE, codeOf, memoryFolder, pair, randomNumbers, safetensors } from './files.ts';

const CONFIG = { peft_type: 'LORA', r: 4, lora_alpha: 4, target_modules: ['q_proj'] };
const NOBODY = (): ReadonlySet<string> => new Set();

/** A folder that looks dropped: it has a name, no address. */
function dropped(location: string, seed: number): Folder {
  const tensors = [0, 1].flatMap((layer) => pair(layer, 'self_attn.q_proj', 4, randomNumbers(seed + layer)));
  return { ...memoryFolder({ 'adapter_config.json': CONFIG, 'adapter_model.safetensors': safetensors(tensors) }), location };
}

/** The same as files. */
async function files(name: string, seed: number): Promise<File[]> {
  const folder = dropped(name, seed);
  const file = async (part: string): Promise<File> => {
    const made = new File([await folder.read(part, 0, (await folder.size(part))!)], part);
    Object.defineProperty(made, 'webkitRelativePath', { value: `${name}/${part}` });
    return made;
  };
  return Promise.all(['adapter_config.json', 'adapter_model.safetensors'].map(file));
}

/** A web server of adapters as `fetch` sees it; `reachable` says whether it answers. */
function serveWeb(): { requests: number; reachable: boolean } {
  const web = { requests: 0, reachable: true };
  vi.stubGlobal('fetch', async (url: string, { headers, signal }: RequestInit = {}) => {
    web.requests++;
    if (!web.reachable) throw new TypeError('network is unreachable');
    signal?.throwIfAborted();
    const [, seed, name] = /adapters\/(\d+)\/(.*)$/.exec(url)!;
    const folder = dropped(url, Number(seed));
    const size = await folder.size(name!);
    if (size === undefined) return new Response(null, { status: 404 });
    const [, first, last] = /bytes=(\d+)-(\d+)/.exec((headers as { range: string }).range)!;
    const bytes = await folder.read(name!, Number(first), Math.min(size, Number(last) + 1));
    return new Response(bytes, { status: 206, headers: { 'content-range': `bytes ${first}-${last}/${size}` } });
  });
  return web;
}

const url = (seed: number): string => `https://example.org/adapters/${seed}/`;

interface Opened {
  readonly tiers: AdapterTiers;
  /** Reads an id and puts it on the GPU; its digest. */
  load(id: string, signal?: AbortSignal): Promise<string>;
  list(): (readonly [string, string, string])[];
  counters(): object | undefined;
  /** Ends the engine when the store has everything; the kinds of its adapters' events. */
  close(): Promise<string[]>;
}

interface Options {
  readonly store?: Store;
  readonly resolve?: EngineOptions['resolve'];
  readonly model?: string;
  readonly precision?: 'exact' | 'half';
}

/** An engine's adapters without its model. */
async function open({ store, resolve, model = 'm', precision = 'exact' }: Options = {}): Promise<Opened> {
  const memory = { pages: 16, pageBytes: 1024, slots: 8, write: () => undefined, describe: () => undefined } as unknown as PoolMemory;
  const events = createEventHub();
  const heard = (async () => {
    const all: EngineEvent[] = [];
    for await (const event of events.listen()) all.push(event);
    return all.flatMap(({ adapters }) => adapters.map(({ kind }) => kind));
  })();
  const disk = store && (await openAdapterDisk(store, { table: TABLE, location: model, precision }));
  const limits = { sequences: 2, adapters: 8, adjustRows: 2, batchRows: 8, prefillChunk: 8, logitRows: 8, stepMs: 40, contextLength: 64 };
  const core: Core = createCore({
    limits,
    pages: memory.pages,
    slots: memory.slots,
    cost: createCostEstimate({ row: 1, logitRow: 1, key: 1, loraRow: 1 }),
    beginnings: 'shared',
    tenantWeight: () => 1,
    flowWeight: () => 1,
    evicted: (key) => tiers.evicted(key),
  });
  const served = { pool: memory, shape: { table: TABLE } } as unknown as Model;
  const device = { model: served, precision, reserveRank: async () => undefined };
  const tiers: AdapterTiers = createAdapterTiers({ device, core: () => core, events, disk, resolve });
  return {
    tiers,
    load: async (id, signal) => {
      const entry = tiers.use(id);
      await tiers.read(entry, signal);
      expect(tiers.place(entry)).toBe(true);
      return entry.packed!.digest;
    },
    list: () => tiers.list().map(({ id, source, tier }) => [id, source, tier] as const),
    counters: () => disk?.counters(),
    close: async () => {
      await tiers.close(new Error('closed'));
      events.close();
      return heard;
    },
  };
}

/** Changes one byte of what is stored under keys with this prefix. */
async function flip(store: Store, prefix: string, at: number): Promise<void> {
  for (const key of await store.keys(prefix)) {
    const bytes = (await store.get(key))!;
    bytes[(at + bytes.length) % bytes.length]! ^= 1;
    await store.put(key, bytes);
  }
}

describe('with a store', () => {
  test('an adapter is there after a restart, without the network', async () => {
    const web = serveWeb();
    const store = memoryStore();
    const first = await open({ store });
    first.tiers.add('web', url(1));
    first.tiers.add('dropped', await files('pirate-lora', 2));
    first.tiers.add('idle', url(3));
    const digests = [await first.load('web'), await first.load('dropped')];
    expect(await first.close()).toEqual(expect.arrayContaining(['load', 'store']));
    expect(first.counters()).toEqual({ reads: 0, misses: 0, writes: 2, failures: 0 });

    web.reachable = false;
    web.requests = 0;
    const second = await open({ store });
    expect(second.list().toSorted()).toEqual([
      ['dropped', 'pirate-lora', 'disk'],
      ['web', url(1), 'disk'],
    ]);
    second.tiers.add('web', url(1));
    second.tiers.add('web', new URL(url(1)));
    expect(() => second.tiers.add('web', url(2))).toThrow(expect.objectContaining({ code: 'adapter_exists' }));
    for (const other of [url(2), dropped('another-name', 2)]) {
      expect(() => second.tiers.add('dropped', other)).toThrow(expect.objectContaining({ code: 'adapter_exists' }));
    }
    expect([await second.load('web'), await second.load('dropped')]).toEqual(digests);
    expect(second.list().map(([, , tier]) => tier)).toEqual(['gpu', 'gpu']);
    second.tiers.unload('web');
    expect(second.tiers.list().find(({ id }) => id === 'web')).toMatchObject({ tier: 'heap', digest: digests[0], rank: 4 });
    await second.close();
    expect(web.requests).toBe(0);
    expect(second.counters()).toEqual({ reads: 2, misses: 0, writes: 0, failures: 0 });
    vi.unstubAllGlobals();
  });

  test('listing reads no bytes of adapters', async () => {
    const store = memoryStore();
    const first = await open({ store });
    first.tiers.add('a', dropped('a', 1));
    await first.load('a');
    await first.close();
    const asked: string[] = [];
    const second = await open({ store: { ...store, get: (key) => (asked.push(key), store.get(key)) } });
    expect(second.tiers.list()).toMatchObject([{ id: 'a', tier: 'disk', rank: 4 }]);
    expect(asked.map((key) => key.slice(0, 2))).toEqual(['m:']);
    await second.close();
  });

  test.each(['missing', 'torn', 'flipped'] as const)('bytes that are %s are fetched and written again', async (how) => {
    const web = serveWeb();
    const store = memoryStore();
    const first = await open({ store });
    first.tiers.add('web', url(1));
    first.tiers.add('dropped', dropped('pirate-lora', 2));
    const digests = [await first.load('web'), await first.load('dropped')];
    await first.close();
    for (const key of await store.keys('b:')) {
      const bytes = (await store.get(key))!;
      if (how === 'missing') await store.delete(key);
      else if (how === 'torn') await store.put(key, bytes.slice(0, bytes.length / 2));
    }
    if (how === 'flipped') await flip(store, 'b:', -100);

    const second = await open({ store });
    expect(await second.load('web')).toBe(digests[0]);
    const failure = { code: 'store_failed', message: expect.stringMatching(/"dropped" \(pirate-lora\).*Add it again/) };
    await expect(second.load('dropped')).rejects.toMatchObject(failure);
    await expect(second.load('dropped')).rejects.toMatchObject(failure);
    expect(second.list().find(([id]) => id === 'dropped')?.[2]).toBe('origin');
    second.tiers.add('dropped', dropped('another-name', 2));
    expect(await second.load('dropped')).toBe(digests[1]);
    await second.close();
    expect(second.counters()).toEqual({ reads: 0, misses: 2, writes: 2, failures: 0 });

    web.reachable = false;
    const third = await open({ store });
    expect([await third.load('web'), await third.load('dropped')]).toEqual(digests);
    await third.close();
    vi.unstubAllGlobals();
  });

  test('a folder of the same name that is dropped again is read anew', async () => {
    const store = memoryStore();
    const first = await open({ store });
    first.tiers.add('a', await files('pirate-lora', 1));
    const digest = await first.load('a');
    await first.close();
    const second = await open({ store });
    expect(await second.load('a')).toBe(digest);
    second.tiers.add('a', await files('pirate-lora', 7));
    second.tiers.sweep(NOBODY);
    const changed = await second.load('a');
    expect(changed).not.toBe(digest);
    await second.close();
    expect(await store.keys('b:')).toHaveLength(1);
    const third = await open({ store });
    expect(await third.load('a')).toBe(changed);
    await third.close();
  });

  test('remove deletes the record, and bytes that no other record names', async () => {
    const store = memoryStore();
    const tiersOf = await open({ store });
    const { tiers, load } = tiersOf;
    tiers.add('a', dropped('one', 1));
    tiers.add('b', dropped('two', 1)); // the same bytes
    tiers.add('c', dropped('three', 2));
    expect([await load('a'), await load('b')]).toEqual([await load('a'), await load('a')]);
    await load('c');
    await tiers.remove('a');
    expect([(await store.keys('m:')).length, (await store.keys('b:')).length]).toEqual([2, 2]);
    await tiers.remove('b');
    expect([(await store.keys('m:')).length, (await store.keys('b:')).length]).toEqual([1, 1]);
    await tiers.remove('c');
    expect(await store.keys('')).toEqual([]);
    tiers.add('d', dropped('four', 4));
    await load('d');
    await tiers.remove('d'); // behind its own write
    tiersOf.tiers.add('e', dropped('five', 5));
    const reading = tiers.read(tiers.use('e'));
    await tiers.remove('e'); // in front of it
    await reading;
    await tiersOf.close();
    expect(await store.keys('')).toEqual([]);
  });

  test('another model or precision has its own', async () => {
    serveWeb();
    const store = memoryStore();
    const first = await open({ store, precision: 'half' });
    first.tiers.add('web', url(1));
    first.tiers.add('dropped', dropped('two', 2));
    const digests = [await first.load('web'), await first.load('dropped')];
    await first.close();
    const other = await open({ store, precision: 'half', model: 'n' });
    expect(other.list()).toEqual([]);
    other.tiers.add('web', dropped('one', 1)); // the same bytes
    await other.load('web');
    await other.tiers.remove('web');
    await other.close();
    const exact = await open({ store, precision: 'exact' });
    expect(exact.list().toSorted()).toEqual([
      ['dropped', 'two', 'origin'],
      ['web', url(1), 'origin'],
    ]);
    await expect(exact.load('dropped')).rejects.toMatchObject({ code: 'store_failed' }); // packed as half, and nowhere to read it again
    expect(await exact.load('web')).toBe(digests[0]);
    await exact.close();
    expect(exact.counters()).toEqual({ reads: 0, misses: 0, writes: 1, failures: 0 });
    const half = await open({ store, precision: 'half' });
    expect(half.list().toSorted()).toEqual([
      ['dropped', 'two', 'disk'],
      ['web', url(1), 'origin'],
    ]);
    expect([await half.load('web'), await half.load('dropped')]).toEqual(digests);
    await half.close();
    vi.unstubAllGlobals();
  });

  test('a store that fails takes no adapter with it', async () => {
    const web = serveWeb();
    const kept = memoryStore();
    const good = await open({ store: kept });
    good.tiers.add('web', url(1));
    good.tiers.add('dropped', dropped('two', 2));
    const digests = [await good.load('web'), await good.load('dropped')];
    await good.close();

    let broken: readonly string[] = ['keys'];
    const failing = (name: keyof Store): never => {
      throw new DOMException(`${name} over quota`, 'QuotaExceededError');
    };
    const store: Store = {
      get: async (key) => (broken.includes('get') ? failing('get') : kept.get(key)),
      put: async (key, bytes) => (broken.includes(key.slice(0, 2)) ? failing('put') : kept.put(key, bytes)),
      delete: async (key) => (broken.includes('delete') ? failing('delete') : kept.delete(key)),
      keys: async (prefix) => (broken.includes('keys') ? failing('keys') : kept.keys(prefix)),
    };
    const unlisted = await open({ store });
    expect(unlisted.list()).toEqual([]);
    expect(unlisted.counters()).toMatchObject({ failures: 1, lastFailure: expect.stringContaining('keys over quota') });
    await unlisted.close();

    broken = [];
    const unread = await open({ store });
    broken = ['get'];
    expect(await unread.load('web')).toBe(digests[0]);
    await vi.waitFor(() => expect(unread.counters()).toMatchObject({ failures: 2 })); // read, and written again
    await expect(unread.load('dropped')).rejects.toMatchObject({ code: 'store_failed', message: expect.stringContaining('get over') });
    broken = [];
    expect(await unread.load('dropped')).toBe(digests[1]);
    broken = ['delete'];
    await expect(unread.tiers.remove('dropped')).rejects.toMatchObject({
      code: 'store_failed',
      message: expect.stringContaining('"dropped"'),
    });
    expect(await unread.close()).toContain('store_failed');
    expect(web.requests).toBeGreaterThan(0);

    broken = ['m:'];
    const unwritten = await open({ store });
    unwritten.tiers.add('new', dropped('three', 3));
    await unwritten.load('new');
    expect(await unwritten.close()).toContain('store_failed');
    expect([(await kept.keys('m:')).length, (await kept.keys('b:')).length]).toEqual([2, 2]);
    vi.unstubAllGlobals();
  });
});

describe('resolve', () => {
  test('is asked once for all who wait, and registers what it answers', async () => {
    const asked: string[] = [];
    let answer: (source: Source | undefined) => void = () => undefined;
    const resolve = (id: string): Promise<Source | undefined> => {
      asked.push(id);
      return new Promise((settle) => (answer = settle));
    };
    const { tiers, load, list } = await open({ resolve });
    const loads = Promise.all([load('a'), load('a')]);
    expect(list()).toEqual([]);
    answer(dropped('one', 1));
    const [first, second] = await loads;
    expect([asked, first]).toEqual([['a'], second]);
    expect(list()).toEqual([['a', 'one', 'gpu']]);
    await load('a');
    expect(asked).toEqual(['a']);
    await tiers.remove('a');
    expect(list()).toEqual([]);
  });

  test('that answers undefined or throws fails who asked, and is asked anew', async () => {
    const answers: (() => Source | undefined)[] = [
      () => undefined,
      () => {
        throw new Error('the catalogue is closed');
      },
      () => 3 as unknown as Source,
      () => dropped('one', 1),
    ];
    const { tiers, load, list } = await open({ resolve: () => answers.shift()!() });
    tiers.add('other', dropped('two', 2));
    for (const why of [/no such id/, /catalogue is closed/, /source is a path/]) {
      const [failed, waits, other] = await Promise.allSettled([load('a'), load('a'), load('other')]);
      expect(failed).toMatchObject({ reason: { code: 'adapter_unknown', param: 'adapter', message: expect.stringMatching(why) } });
      expect([waits.status, other.status]).toEqual(['rejected', 'fulfilled']);
      expect(list()).toHaveLength(1);
    }
    await load('a');
    expect(list()).toHaveLength(2);
    expect(await codeOf(() => tiers.remove('nobody'))).toBe('adapter_unknown');
  });

  test('calls made while it answers take effect in their order', async () => {
    let answer: (source: Source) => void = () => undefined;
    const { tiers, load, list } = await open({ resolve: () => new Promise((settle) => (answer = settle)), store: memoryStore() });
    const before = tiers.use('a');
    const reading = tiers.read(before);
    await tiers.remove('a');
    tiers.add('a', dropped('added', 2));
    const after = tiers.use('a');
    answer(dropped('resolved', 1));
    await Promise.all([reading, tiers.read(after)]);
    expect(before.packed!.digest).not.toBe(after.packed!.digest);
    expect(list()).toEqual([['a', 'added', 'heap']]);
    expect(await load('a')).toBe(after.packed!.digest);
    expect(tiers.entry(before.key)).toBe(before);
    tiers.sweep(NOBODY);
    expect(tiers.entry(before.key)).toBeUndefined();
  });

  test('the answer stands though who asked has left, and an id that nobody waits for is forgotten', async () => {
    let answer: (source: Source) => void = () => undefined;
    const resolve = vi.fn(() => new Promise<Source>((settle) => (answer = settle)));
    const { tiers, load, list } = await open({ resolve });
    const leaving = new AbortController();
    const left = load('a', leaving.signal).catch((error: unknown) => error);
    await Promise.resolve();
    leaving.abort(new Error('left'));
    expect(await left).toMatchObject({ message: 'left' });
    tiers.sweep(NOBODY);
    const loading = load('a');
    answer(dropped('one', 1));
    await loading;
    expect(resolve).toHaveBeenCalledTimes(1);
    expect(list()).toEqual([['a', 'one', 'gpu']]);

    const forsaken = tiers.use('b'); // by a request that failed before it was read
    tiers.sweep(() => new Set([forsaken.key]));
    expect(tiers.entry(forsaken.key)).toBe(forsaken);
    tiers.sweep(NOBODY);
    expect(tiers.entry(forsaken.key)).toBeUndefined();
    expect(tiers.use('b')).not.toBe(forsaken);
    expect(resolve).toHaveBeenCalledTimes(1);
  });

  test('without a callback an unknown id is refused at once', async () => {
    const { tiers } = await open();
    for (let i = 0; i < 12; i++) tiers.add(`a${i}`, url(i));
    expect(() => tiers.use('nobody')).toThrow(/"nobody" \(registered: a0, .*a7, 4 more\)\. Call adapters\.add/);
    expect(() => tiers.add('x', 3 as unknown as Source)).toThrow(TypeError);
  });
});

describe('a signal', () => {
  /** Answers no request before its signal ends it. */
  function serveNothing(): AbortSignal[] {
    const signals: AbortSignal[] = [];
    vi.stubGlobal('fetch', (_: string, { signal }: RequestInit) => {
      signals.push(signal!);
      return new Promise((_resolve, reject) => signal!.addEventListener('abort', () => reject(signal!.reason as Error)));
    });
    return signals;
  }

  test('ends the download when the last who waits has left', async () => {
    const signals = serveNothing();
    const { tiers, load } = await open();
    tiers.add('a', url(1));
    const [one, two] = [new AbortController(), new AbortController()];
    const loads = [load('a', one.signal), load('a', two.signal)];
    await vi.waitFor(() => expect(signals).toHaveLength(1));
    one.abort(new Error('one left'));
    await expect(loads[0]).rejects.toThrow('one left');
    expect(signals[0]!.aborted).toBe(false);
    two.abort(new Error('two left'));
    await expect(loads[1]).rejects.toThrow('two left');
    expect(signals[0]!.aborted).toBe(true);
    serveWeb();
    await load('a'); // nothing of the ended download is in the way
    vi.unstubAllGlobals();
  });

  test('removal and the end of the engine end it too', async () => {
    const signals = serveNothing();
    const { tiers, load, close } = await open();
    tiers.add('a', url(1));
    const both = Promise.allSettled([load('a'), load('a')]);
    await vi.waitFor(() => expect(signals).toHaveLength(1));
    await tiers.remove('a');
    expect(signals[0]!.aborted).toBe(false); // a request may hold it
    tiers.sweep(NOBODY);
    const failure = { reason: { code: 'adapter_unknown', message: expect.stringContaining('removed') } };
    expect(await both).toMatchObject([failure, failure]);
    expect(signals[0]!.aborted).toBe(true);
    tiers.add('b', url(1));
    const pending = load('b').catch((error: unknown) => error);
    await close();
    expect(await pending).toMatchObject({ message: 'closed' });
    vi.unstubAllGlobals();
  });
});
