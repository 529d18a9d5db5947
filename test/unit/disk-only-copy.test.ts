import { beforeAll, describe, expect, test } from 'vitest';
import type { PackedAdapter } from '../../src/adapters/sites.ts';
import { memoryStore, type Store } from '../../src/adapters/store.ts';
import { fatefulStore } from '../suites/stores.ts';
import { droppedAs, knownAs, openDisk, packedAdapter, type OpenDisk } from './disk-bench.ts';

let [a, b]: PackedAdapter[] = [];
let exact: PackedAdapter;
beforeAll(async () => {
  [a, b] = await Promise.all([1, 2].map((seed) => packedAdapter(seed)));
  exact = await packedAdapter(1, 'exact');
});

/** What whoever opens the store is told of its blobs. */
async function found(store: Store): Promise<(string | undefined)[]> {
  return (await openDisk(store)).disk.held.map(({ only }) => only);
}

function toldOf({ changes }: OpenDisk): (string | undefined)[][] {
  return changes.filter(({ held }) => held.length > 0).map(({ held }) => held.map(({ only }) => only));
}

/** A store in which changes wait until `go`. */
function lockable(): { readonly store: Store; readonly inner: Store; lock(): () => void } {
  const inner = memoryStore();
  let gate = Promise.resolve();
  const store: Store = { ...inner, exclusive: (work) => gate.then(() => inner.exclusive(work)) };
  const lock = (): (() => void) => {
    let go = (): void => undefined;
    gate = new Promise((resolve) => (go = resolve));
    return go;
  };
  return { store, inner, lock };
}

describe('the only copy', () => {
  test('is what a record without an address names, whoever wrote the bytes', async () => {
    const store = memoryStore();
    const one = await openDisk(store);
    await one.disk.write(a!, undefined);
    await one.disk.note(knownAs('web', a!));
    expect(await found(store)).toEqual([undefined]);
    await one.disk.note(droppedAs('drop', a!));
    expect(toldOf(one)).toEqual([['copy']]);
    await one.disk.forget('web', 'delete');
    expect(await found(store)).toEqual(['copy']);
    await one.disk.note(knownAs('drop', a!)); // its address is known by now
    expect([toldOf(one), await found(store)]).toEqual([[['copy'], [undefined]], [undefined]]);
  });

  test('is none any more when the last dropped id is removed', async () => {
    const store = memoryStore();
    const one = await openDisk(store);
    await one.disk.write(a!, 'copy');
    await one.disk.note(droppedAs('drop', a!));
    await one.disk.note(droppedAs('again', a!));
    await one.disk.note(knownAs('web', a!));
    await one.disk.forget('again', 'delete');
    expect(toldOf(one)).toEqual([]); // it has been one since it was written
    await one.disk.forget('drop', 'delete');
    expect([toldOf(one), await found(store)]).toEqual([[[undefined]], [undefined]]);
  });

  test('is none when a crash left bytes that no record names', async () => {
    const store = memoryStore();
    const one = await openDisk(store);
    await one.disk.write(a!, 'copy');
    expect(await found(store)).toEqual([undefined]);
  });

  test('stays one for who wrote it as such, whatever others say before its id is noted', async () => {
    const store = memoryStore();
    const [one, two] = [await openDisk(store), await openDisk(store)];
    await two.disk.write(a!, undefined);
    await one.disk.write(a!, 'copy'); // finds the other's on its way
    await two.disk.note(knownAs('web', a!));
    await one.disk.note(droppedAs('drop', a!));
    expect(toldOf(one)).toEqual([['copy']]);
    await two.disk.forget('nobody', 'delete');
    expect(toldOf(two).at(-1)).toEqual(['copy']);
    await two.disk.write(a!, undefined);
    await one.disk.forget('nobody', 'delete');
    expect([toldOf(one), await found(store)]).toEqual([[['copy']], ['copy']]);
  });

  test('is one for models of another shape and precision, too', async () => {
    const store = memoryStore();
    const other = await openDisk(store, { location: 'n', precision: 'exact' });
    await other.disk.write(exact, 'copy');
    await other.disk.note(droppedAs('drop', exact));
    const [record] = await store.entries('m:a:');
    const [blob, ...rest] = [...(await store.entries('b:')), ...(await store.entries('m:b:'))];
    const foreign = 'ef'.repeat(32);
    const shape = blob![0].split('/').at(-1)!;
    await store.put([record!, blob!, ...rest].map(([key, bytes]) => [key.replace(shape, foreign), bytes]));
    expect(await found(store)).toEqual(['copy', 'copy']);
    await store.delete([record![0].replace(shape, foreign)]);
    expect((await openDisk(store)).disk.held.map(({ key, only }) => [key.endsWith(foreign), only]).toSorted()).toEqual([
      [false, 'copy'],
      [true, undefined],
    ]);
  });
});

describe('bytes of an id that is removed', () => {
  test('stay while somebody needs them, as what they were', async () => {
    const store = memoryStore();
    const one = await openDisk(store);
    const other = await openDisk(store, { precision: 'exact' });
    for (const [{ disk }, packed] of [[one, a!] as const, [other, exact] as const]) await disk.write(packed, 'copy');
    await one.disk.note(droppedAs('drop', a!));
    const told = one.changes.length;
    await one.disk.forget('drop', 'keep');
    expect([await store.keys('m:a:'), await one.disk.read(a!.digest)]).toEqual([[], a]);
    expect(one.changes.length).toBe(told); // nobody hears that it may make room
    await one.disk.release(a!.digest);
    expect([await store.keys('b:'), one.changes.at(-1)!.gone.length]).toEqual([[], 2]); // in both precisions
  });

  test('go with the last of those who need them only where no id names them', async () => {
    const store = memoryStore();
    const one = await openDisk(store);
    await one.disk.write(a!, 'copy');
    await one.disk.note(droppedAs('drop', a!));
    await one.disk.forget('drop', 'keep');
    await (await openDisk(store)).disk.note(knownAs('web', a!));
    await one.disk.release(a!.digest);
    expect([await one.disk.read(a!.digest), await found(store), toldOf(one).at(-1)]).toEqual([a, [undefined], [undefined]]);
  });
});

test('an id that names other bytes from now on says which it named', async () => {
  const { disk } = await openDisk(memoryStore());
  expect(await disk.note(knownAs('x', a!))).toBeUndefined();
  expect(await disk.note(droppedAs('x', b!))).toBe(a!.digest);
  await disk.forget('x', 'delete');
  expect(await disk.note(knownAs('x', a!))).toBeUndefined();
});

test('what the owner dropped is not told as there, though it waits for its deletion', async () => {
  const { store, inner, lock } = lockable();
  const one = await openDisk(store);
  await one.disk.write(a!, 'copy');
  await one.disk.note(droppedAs('drop', a!));
  await one.disk.note(knownAs('web', a!));
  const go = lock();
  const forgotten = one.disk.forget('drop', 'delete'); // frees it to make room
  const dropped = one.disk.drop([one.disk.key(a!.digest)]);
  go();
  await Promise.all([forgotten, dropped]);
  expect([toldOf(one), await inner.keys('b:')]).toEqual([[], []]);
});

test('bytes that the owner believes in and nobody has are told as gone', async () => {
  const one = await openDisk(fatefulStore(memoryStore(), () => 'done'));
  expect(await one.disk.read(a!.digest)).toBeUndefined();
  expect(one.changes).toEqual([{ gone: [one.disk.key(a!.digest)], held: [] }]);
});
