import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { encodeAdapter, storedBytes } from '../../src/adapters/stored-adapter.ts';
import type { PackedAdapter } from '../../src/adapters/sites.ts';
import { memoryStore, type Store } from '../../src/adapters/store.ts';
import { folderStore } from '../../src/node.ts';
import { createSlices } from '../../src/slices.ts';
import { fatefulStore } from '../suites/stores.ts';
import { digestsOf, droppedAs, flipByte, knownAs, openDisk, packedAdapter } from './disk-bench.ts';

let [a, b, c]: PackedAdapter[] = [];
beforeAll(async () => {
  [a, b, c] = await Promise.all([1, 2, 3].map((seed) => packedAdapter(seed)));
});
afterEach(() => void vi.useRealTimers());

const HOUR = 3_600_000;

/** A store in which nothing may read an adapter's bytes. */
function recordsOnly(store: Store): Store {
  const isBytes = (key: string): boolean => key.startsWith('b:');
  return fatefulStore(store, (call, keys) => {
    const reads = call === 'get' ? keys.some(isBytes) : call === 'entries' && (keys[0] === '' || keys.some(isBytes));
    return reads ? { fails: new Error(`${call} ${keys}`) } : 'done';
  });
}

describe('what was written', () => {
  test('is there after a restart, least recently used first', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 10 * HOUR });
    const store = memoryStore();
    const { disk } = await openDisk(store);
    for (const packed of [b!, a!, c!]) {
      vi.setSystemTime(Date.now() + 1);
      await disk.write(packed, undefined);
    }
    await disk.note(droppedAs('three', c!));
    await disk.note(knownAs('one', a!));
    await disk.note(knownAs('two', a!));
    await disk.note({ ...knownAs('one', b!), stamp: 'e1', checkedAt: 7 });
    vi.setSystemTime(12 * HOUR);
    expect(await disk.read(b!.digest)).toEqual(b);
    await disk.settled();
    expect(disk.counters()).toEqual({ failures: 0 });

    const { disk: again, changes } = await openDisk(recordsOnly(store));
    expect(digestsOf(again.held)).toEqual([a!.digest, c!.digest, b!.digest]);
    expect(again.known.toSorted((x, y) => (x.id < y.id ? -1 : 1))).toEqual([
      { ...knownAs('one', b!), stamp: 'e1', checkedAt: 7 },
      droppedAs('three', c!),
      knownAs('two', a!),
    ]);
    const { digest, rank, bytes } = c!;
    const stored = (await encodeAdapter(c!, createSlices())).length;
    expect(storedBytes(c!)).toBe(stored);
    const key = again.key(digest);
    expect(again.held[1]).toEqual({
      key,
      digest,
      own: 'yes',
      rank,
      bytes,
      stored,
      widest: c!.layers[0]!.words.byteLength,
      apart: 0,
      unblendable: [],
      only: 'copy',
    });
    expect(changes).toEqual([]);
    expect(await (await openDisk(store)).disk.read(digest)).toEqual(c);
  });

  test('is of one model, one precision; bytes of all count', async () => {
    const store = memoryStore();
    const { disk } = await openDisk(store);
    await disk.write(a!, undefined);
    await disk.note(knownAs('a', a!));
    const { disk: exact } = await openDisk(store, { precision: 'exact' });
    expect([exact.known.length, exact.held[0]!.own, await exact.read(a!.digest)]).toEqual([1, 'no', undefined]);
    expect(exact.counters()).toEqual({ failures: 0 });
    const { disk: other } = await openDisk(store, { location: 'n' });
    expect([other.known.length, other.held[0]!.own]).toEqual([0, 'yes']);
    expect(await other.read(a!.digest)).toEqual(a); // the same sites: the bytes are shared
  });

  test('a use is noted once an hour, and those that wait together', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 10 * HOUR });
    const puts: number[] = [];
    const store = fatefulStore(memoryStore(), (call, keys) => (call === 'put' && puts.push(keys.length), 'done'));
    let turn = Promise.resolve();
    const { disk } = await openDisk({ ...store, exclusive: (work) => turn.then(() => store.exclusive(work)) });
    await disk.write(a!, undefined);
    await disk.write(b!, undefined);
    puts.length = 0;
    const readAll = () => Promise.all([a!, b!, a!].map(({ digest }) => disk.read(digest)));
    await readAll();
    vi.setSystemTime(12 * HOUR);
    let begin = (): void => undefined;
    turn = new Promise((resolve) => (begin = resolve));
    await readAll();
    begin(); // until now somebody else had the store
    await disk.settled();
    await readAll();
    await disk.settled();
    expect(puts).toEqual([2]);
  });

  test('can be read while its write waits for its turn, and from the store then', async () => {
    const store = memoryStore();
    let unlock = (): void => undefined;
    const locked = new Promise<void>((resolve) => (unlock = resolve));
    const { disk } = await openDisk(store);
    const other = store.exclusive(() => locked);
    void disk.write(b!, undefined);
    const writing = disk.write(a!, undefined);
    expect(await disk.read(a!.digest)).toBe(a);
    expect(await store.keys('b:')).toEqual([]);
    unlock();
    await Promise.all([writing, other]);
    expect([await disk.read(a!.digest)]).toEqual([a]);
    expect(await disk.read(a!.digest)).not.toBe(a);
  });

  test('is dropped by key, and forgotten by id when nobody else names it', async () => {
    const store = memoryStore();
    const { disk, changes } = await openDisk(recordsOnly(store));
    const { disk: other } = await openDisk(store, { location: 'n' });
    for (const packed of [a!, b!]) await disk.write(packed, undefined);
    await disk.note(knownAs('x', a!));
    await disk.note(knownAs('y', a!));
    await disk.note(knownAs('z', b!));
    await other.note(knownAs('x', a!));
    await disk.drop([disk.key(b!.digest)]);
    expect(await store.keys('b:')).toEqual([disk.key(a!.digest)]);
    expect(digestsOf((await openDisk(store)).disk.held)).toEqual([a!.digest]);
    expect((await openDisk(store)).disk.known.length).toBe(3); // z's digest is still known
    await disk.forget('x', 'delete');
    await disk.forget('y', 'delete');
    await disk.forget('z', 'delete');
    await disk.forget('nobody', 'delete');
    expect([changes, (await store.keys('b:')).length]).toEqual([[], 1]); // the other model's x names it
    await other.forget('x', 'delete');
    expect(await store.keys('')).toEqual(['m:generation']);
    expect(await disk.read(a!.digest).catch(() => 'unread')).not.toEqual(a);
  });
});

describe('bytes that are not the ones that were written', () => {
  test.each([0, 40, -1])('are found, deleted and told: byte %i', async (at) => {
    const store = memoryStore();
    const { disk, changes } = await openDisk(store);
    await disk.write(a!, undefined);
    await disk.note(knownAs('a', a!));
    const key = disk.key(a!.digest);
    await flipByte(store, key, at);
    expect(await disk.read(a!.digest)).toBeUndefined();
    expect(changes).toEqual([{ gone: [key], held: [] }]);
    expect((await store.keys('')).filter((name) => name.includes('b:'))).toEqual([]);
    expect(disk.counters()).toEqual({ failures: 0 });
    await disk.write(a!, undefined); // as whoever needs it fetches it again
    expect(await disk.read(a!.digest)).toEqual(a);
    expect((await openDisk(store)).disk.known.map(({ id }) => id)).toEqual(['a']);
  });

  test('are missed as well when they are gone, and when they cannot be deleted', async () => {
    const store = memoryStore();
    let fate: 'done' | { fails: unknown } = 'done';
    const { disk, changes } = await openDisk(fatefulStore(store, (call) => (call === 'delete' ? fate : 'done')));
    await disk.write(a!, undefined);
    await disk.write(b!, undefined);
    await store.delete([disk.key(a!.digest)]);
    expect(await disk.read(a!.digest)).toBeUndefined();
    expect(changes.map(({ gone }) => gone)).toEqual([[disk.key(a!.digest)]]);
    await flipByte(store, disk.key(b!.digest), 40);
    fate = { fails: new Error('read-only') };
    expect(await disk.read(b!.digest)).toBeUndefined();
    expect(disk.counters()).toEqual({ failures: 1, lastFailure: expect.stringContaining('read-only') });
  });
});

describe('what crashes and older versions left', () => {
  test('is swept at the start, and nothing else', async () => {
    const store = memoryStore();
    const { disk } = await openDisk(store);
    for (const packed of [a!, b!, c!]) await disk.write(packed, undefined);
    await disk.note(knownAs('a', a!));
    await store.delete([`m:${disk.key(b!.digest)}`, disk.key(c!.digest)]);
    const hash = 'ab'.repeat(32);
    const text = (value: unknown): Uint8Array<ArrayBuffer> => new TextEncoder().encode(JSON.stringify(value));
    const later = `b:${hash}/9/half/${hash}`;
    await store.put([
      [`m:b:${hash}/2/half/${hash}`, text({ version: 2 })], // torn
      [`b:${hash}/2/half/${hash}`, text(2)],
      [later, text(3)],
      [`m:${later}`, text({ version: 3 })],
      ['m:a:foreign', text({})],
    ]);
    const { disk: again, changes } = await openDisk(recordsOnly(store));
    expect([digestsOf(again.held), again.known.map(({ id }) => id), changes]).toEqual([[a!.digest], ['a'], []]);
    const left = (await store.keys('')).filter((key) => !key.startsWith('m:a:') && key !== 'm:generation').toSorted();
    expect(left).toEqual([disk.key(a!.digest), later, `m:${disk.key(a!.digest)}`, `m:${later}`].toSorted());
    expect(await again.read(b!.digest)).toBeUndefined();
    expect(again.counters().failures).toBe(0);
  });

  test('version 1 is a miss, and leaves nothing', async () => {
    const store = memoryStore();
    const { disk } = await openDisk(memoryStore());
    const key = disk.key(a!.digest);
    const record = { version: 1, id: 'old', source: 's', name: 's', key, digest: a!.digest, sha256: a!.digest, rank: 4, bytes: 8 };
    const shape = key.split('/').at(-1)!;
    await store.put([
      [`m:${shape}/model/old`, new TextEncoder().encode(JSON.stringify(record))],
      [key, await encodeAdapter(a!, createSlices())],
    ]);
    const { disk: again } = await openDisk(recordsOnly(store));
    expect([again.known, again.held, await again.read(a!.digest)]).toEqual([[], [], undefined]);
    expect([await store.keys(''), again.counters().failures]).toEqual([['m:generation'], 0]);
  });

  test('a store that cannot be listed counts as empty, one that cannot be locked is read', async () => {
    const store = memoryStore();
    const { disk } = await openDisk(store);
    await disk.write(a!, undefined);
    const broken = fatefulStore(store, (call) => (call === 'keys' ? { fails: new Error('no list') } : 'done'));
    const { disk: blind, changes } = await openDisk(broken);
    expect([blind.held, blind.counters().failures, blind.counters().lastFailure]).toEqual([[], 1, expect.stringContaining('no list')]);
    await blind.write(b!, undefined); // the records are read again: they may be there by now
    expect(changes.map(({ held }) => digestsOf(held))).toEqual([[a!.digest]]);
    const locked = fatefulStore(store, (call) => (call === 'exclusive' ? { fails: new Error('read-only') } : 'done'));
    const { disk: readOnly } = await openDisk(locked);
    expect([readOnly.held.length, await readOnly.read(a!.digest), readOnly.counters().failures]).toEqual([2, a, 1]);
    await expect(readOnly.write(c!, undefined)).rejects.toMatchObject({ code: 'store_failed' });
  });

  test('a store that is silent is given up: what others keep from it is looked at, what it does not list is not there', async () => {
    const store = memoryStore();
    const { disk: before } = await openDisk(store);
    await before.write(a!, undefined);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const silent = (): Promise<never> => new Promise(() => undefined);
    const after = async <T>(ms: number, work: Promise<T>): Promise<T> => {
      await vi.waitFor(() => expect(vi.getTimerCount()).toBe(1));
      await vi.advanceTimersByTimeAsync(ms);
      return work;
    };
    let late = (): Promise<unknown> => Promise.resolve();
    const exclusive: Store['exclusive'] = (work) => ((late = work), silent());
    const { disk: looking } = await after(10_000, openDisk({ ...store, exclusive }));
    const words = expect.stringContaining('gave no answer for 10 seconds');
    expect([digestsOf(looking.held), looking.counters()]).toEqual([[a!.digest], { failures: 1, lastFailure: words }]);
    expect(await looking.read(a!.digest)).toEqual(a);
    expect(await late()).toBeUndefined(); // its turn comes when nobody waits for it
    const { disk: blind } = await after(30_000, openDisk({ ...store, entries: silent }));
    expect([blind.held, blind.counters().failures]).toEqual([[], 1]);
    const { disk: mute } = await openDisk({ ...store, get: (key) => (key.startsWith('b:') ? silent() : store.get(key)) });
    const reading = mute.read(a!.digest);
    reading.catch(() => undefined);
    await expect(after(60_000, reading)).rejects.toMatchObject({ code: 'store_failed' });
    let turns = 0;
    const stuck: Store = { ...store, exclusive: (work) => (turns++ === 0 ? store.exclusive(work) : silent()) };
    const { disk: waiting } = await openDisk(stuck);
    const forgetting = waiting.forget('one', 'delete');
    forgetting.catch(() => undefined);
    await expect(after(60_000, forgetting)).rejects.toMatchObject({ code: 'store_failed' });
  });

  test('a crash between the files of a write leaves no torn adapter', async () => {
    const root = await mkdtemp(join(tmpdir(), 'weblora-disk-'));
    for (let crash = 0; crash < 3; crash++) {
      const folder = folderStore(join(root, String(crash)));
      const crashing: Store = {
        ...folder,
        put: async (entries) => (await folder.put(entries.slice(0, crash)), new Promise(() => undefined)),
      };
      void (await openDisk({ ...crashing, exclusive: (work) => work() })).disk.write(a!, undefined);
      await vi.waitFor(async () => expect((await folder.keys('')).length).toBe(crash));
      const { disk } = await openDisk(folderStore(join(root, String(crash))));
      expect([disk.held, await disk.read(a!.digest), (await folder.keys('b:')).length]).toEqual([[], undefined, 0]);
      await disk.write(a!, undefined);
      expect(await disk.read(a!.digest)).toEqual(a);
    }
    expect((await readdir(root, { recursive: true })).filter((name) => name.endsWith('.partial'))).toEqual([]);
    await rm(root, { recursive: true });
  });
});
