import { beforeAll, describe, expect, test } from 'vitest';
import { encodeAdapterRecord, encodeBlobRecord } from '../../src/adapters/records.ts';
import type { PackedAdapter } from '../../src/adapters/sites.ts';
import { isQuota, memoryStore, type Store, type StoreEntry } from '../../src/adapters/store.ts';
import { fatefulStore } from '../suites/stores.ts';
import { digestsOf, droppedAs, knownAs, openDisk, packedAdapter } from './disk-bench.ts';

let [a, b, c]: PackedAdapter[] = [];
beforeAll(async () => {
  [a, b, c] = await Promise.all([1, 2, 3].map((seed) => packedAdapter(seed)));
});

/** A store with room for so many entries of bytes. */
function smallStore(most: number): { readonly store: Store; readonly inner: Store } {
  const inner = memoryStore();
  const put = async (entries: readonly StoreEntry[]): Promise<void> => {
    const held = new Set([...(await inner.keys('b:')), ...entries.map(([key]) => key).filter((key) => key.startsWith('b:'))]);
    if (held.size > most) throw new DOMException('no room', 'QuotaExceededError');
    return inner.put(entries);
  };
  return { store: { ...inner, put }, inner };
}

describe('two engines over one store', () => {
  test('write the same adapter and different ones, and hear of each other', async () => {
    const store = memoryStore();
    const [first, second] = [await openDisk(store), await openDisk(store)];
    await Promise.all([first.disk.write(a!, undefined), second.disk.write(a!, undefined), first.disk.write(b!, undefined)]);
    await second.disk.write(c!, 'copy');
    await second.disk.note(droppedAs('c', c!));
    expect(await second.disk.read(b!.digest)).toEqual(b);
    await first.disk.drop([first.disk.key(b!.digest)]);
    expect(first.changes.map(({ gone, held }) => [gone, digestsOf(held)])).toEqual([[[], [c!.digest]]]);
    expect(first.changes[0]!.held[0]!.only).toBe('copy');
    expect(second.changes.flatMap(({ held }) => digestsOf(held)).toSorted()).toEqual([a!.digest, b!.digest].toSorted());
    await second.disk.note(knownAs('x', a!));
    expect(second.changes.at(-1)).toEqual({ gone: [first.disk.key(b!.digest)], held: [] });
    expect(await second.disk.read(b!.digest)).toBeUndefined();
    await first.disk.write(c!, undefined); // which unpins nothing
    await second.disk.forget('nobody', 'delete');
    expect(second.changes.at(-1)!.held).toEqual([]);
    await first.disk.forget('nobody', 'delete');
    await first.disk.settled();
    expect((await store.keys('b:')).length).toBe(2);
    for (const { disk } of [first, second]) expect(disk.counters().failures).toBe(0);
  });

  test('the one that has heard reads what is there, and misses what is not', async () => {
    const store = memoryStore();
    const [first, second] = [await openDisk(store), await openDisk(store)];
    await first.disk.write(a!, undefined);
    expect(await second.disk.read(a!.digest)).toBeUndefined();
    await second.disk.note(knownAs('b', b!));
    expect(await second.disk.read(a!.digest)).toEqual(a);
    await second.disk.drop([second.disk.key(a!.digest)]);
    expect(await first.disk.read(a!.digest)).toBeUndefined();
    expect(first.changes).toEqual([{ gone: [first.disk.key(a!.digest)], held: [] }]);
    expect(first.disk.counters()).toEqual({ failures: 0 });
  });

  test('records are read again only after what others did', async () => {
    const store = memoryStore();
    let lists = 0;
    const first = await openDisk(fatefulStore(store, (call) => (call === 'entries' && lists++, 'done')));
    const second = await openDisk(store);
    lists = 0;
    for (const packed of [a!, b!]) await first.disk.write(packed, undefined);
    await first.disk.note(knownAs('a', a!));
    await first.disk.forget('a', 'delete');
    expect(lists).toBe(0);
    await first.disk.note(knownAs('a', b!));
    await second.disk.note(knownAs('b', b!));
    lists = 0;
    await first.disk.forget('c', 'delete');
    expect(lists).toBe(0); // of what is known only the keys
    await second.disk.note(droppedAs('b', b!));
    await first.disk.forget('c', 'delete');
    expect(lists).toBe(2);
    expect(first.changes.at(-1)!.held.map(({ only }) => only)).toEqual(['copy']);
  });
});

describe('a full store', () => {
  test('is asked for room once, and then takes the adapter', async () => {
    const { store, inner } = smallStore(2);
    const { disk, asked, changes } = await openDisk(store, { shrink: () => [disk.key(a!.digest)] });
    const other = await openDisk(store);
    for (const packed of [a!, b!, c!]) await disk.write(packed, undefined);
    expect(await disk.read(c!.digest)).toEqual(c);
    expect([asked.length, changes, (await inner.keys('m:b:')).length]).toEqual([1, [], 2]);
    expect(disk.counters()).toEqual({ failures: 0 });
    await other.disk.forget('nobody', 'delete');
    expect(digestsOf(other.changes.flatMap(({ held }) => held)).toSorted()).toEqual([b!.digest, c!.digest].toSorted());
  });

  test('refuses where nothing may leave or not enough did, and what was there stays', async () => {
    const { store, inner } = smallStore(1);
    let leaving: string[] = [];
    const { disk, asked } = await openDisk(store, { shrink: () => leaving });
    await disk.write(a!, undefined);
    for (leaving of [[], ['b:nothing']]) {
      const refused = await disk.write(b!, undefined).catch((error: unknown) => error);
      expect([refused, isQuota(refused)]).toEqual([expect.objectContaining({ code: 'store_failed' }), true]);
    }
    expect([asked.length, await disk.read(a!.digest), (await inner.keys('m:b:')).length]).toEqual([2, a, 1]);
    expect(disk.counters()).toMatchObject({ failures: 2, lastFailure: expect.stringContaining('no room') });
  });

  test('that cannot delete either tells that what was to leave is still there', async () => {
    const { store, inner } = smallStore(1);
    const stuck = fatefulStore(store, (call) => (call === 'delete' ? { fails: new Error('stuck') } : 'done'));
    const { disk, changes } = await openDisk(stuck, { shrink: () => [disk.key(a!.digest)] });
    await disk.write(a!, undefined);
    await expect(disk.write(b!, undefined)).rejects.toMatchObject({ message: expect.stringContaining('stuck') });
    expect(changes.map(({ held }) => digestsOf(held))).toEqual([[a!.digest]]);
    expect((await inner.keys('b:')).length).toBe(1);
  });

  test('takes deletions also when it has no room for a word', async () => {
    const inner = memoryStore();
    let full: 'full' | 'roomy' = 'roomy';
    const store = fatefulStore(inner, (call) => {
      if (call === 'delete') full = 'roomy';
      return call === 'put' && full === 'full' ? { fails: new DOMException('no room', 'QuotaExceededError') } : 'done';
    });
    const { disk } = await openDisk(store);
    await disk.write(a!, undefined);
    const other = await openDisk(inner);
    full = 'full';
    await disk.drop([disk.key(a!.digest)]);
    expect([await inner.keys('b:'), await inner.keys('m:b:')]).toEqual([[], []]);
    await other.disk.forget('nobody', 'delete');
    expect(other.changes).toEqual([{ gone: [disk.key(a!.digest)], held: [] }]);
  });

  test('what a deletion that failed took with it is found by the next change', async () => {
    const inner = memoryStore();
    const half = async (keys: readonly string[]): Promise<void> => {
      await inner.delete(keys.slice(0, 1));
      throw new Error('cable');
    };
    const { disk, changes } = await openDisk({ ...inner, delete: half });
    for (const packed of [a!, b!]) await disk.write(packed, undefined);
    await expect(disk.drop([disk.key(a!.digest), disk.key(b!.digest)])).rejects.toMatchObject({ code: 'store_failed' });
    await disk.note(knownAs('b', b!));
    expect(changes).toEqual([{ gone: [disk.key(a!.digest)], held: [] }]);
  });

  test('a write that fails otherwise leaves nothing, and is not asked for room', async () => {
    const inner = memoryStore();
    // As in a store that keeps entries one by one: the bytes are there, the record is not.
    const put = async (entries: readonly StoreEntry[]): Promise<void> => {
      await inner.put(entries.slice(0, 2));
      if (entries.length > 2) throw new Error('cable');
    };
    const { disk, asked } = await openDisk({ ...inner, put });
    await expect(disk.write(a!, undefined)).rejects.toMatchObject({ code: 'store_failed', message: expect.stringContaining('cable') });
    expect([asked.length, await inner.keys('b:'), await inner.keys('m:b:')]).toEqual([0, [], []]);
  });
});

test('ten thousand adapters open in a moment', async () => {
  const store = memoryStore();
  const { disk } = await openDisk(store);
  await disk.write(a!, undefined);
  await disk.note(knownAs('a', a!));
  const [recordKey] = await store.keys('m:a:');
  const { held } = (await openDisk(store)).disk;
  for (let i = 0; i < 10_000; i++) {
    const digest = i.toString(16).padStart(64, '0');
    const key = disk.key(digest);
    const blob = { ...held[0]!, key, digest, sha256: digest, usedAt: i, only: undefined };
    const adapter = knownAs(`id${i}`, { ...a!, digest });
    await store.put([
      [key, new Uint8Array(1)],
      [`m:${key}`, encodeBlobRecord(blob)],
      [recordKey!.slice(0, -1) + adapter.id, encodeAdapterRecord(adapter)],
    ]);
  }
  const began = performance.now();
  const many = await openDisk(store);
  const took = performance.now() - began;
  console.log(`10,001 adapters opened in ${took.toFixed(0)} ms`);
  expect([many.disk.held.length, many.disk.known.length]).toEqual([10_001, 10_001]);
  expect(took).toBeLessThan(2000);
});
