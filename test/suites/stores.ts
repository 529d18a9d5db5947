import type { Store, StoreEntry } from '../../src/adapters/store.ts';
import { check, type Case } from './suite.ts';

/** Kinds of stores under test. */
export interface StoreUnderTest {
  /** Opens the store of that name: empty the first time, with what was put there before ever after. */
  open(name: string): Store;
}

const bytesOf = (...values: number[]): Uint8Array<ArrayBuffer> => Uint8Array.from(values);

async function holds(store: Store, key: string, expected: Uint8Array | undefined): Promise<void> {
  const found = await store.get(key);
  check(found?.join() === expected?.join(), () => `${JSON.stringify(key)} holds [${found?.join()}], expected [${expected?.join()}]`);
}

async function lists(store: Store, prefix: string, expected: readonly string[]): Promise<void> {
  const found = [...(await store.keys(prefix))].sort();
  const [left, right] = [JSON.stringify(found), JSON.stringify([...expected].sort())];
  check(left === right, () => `keys(${JSON.stringify(prefix)}) are ${left}, expected ${right}`);
}

async function checkValues(store: Store): Promise<void> {
  await holds(store, 'absent', undefined);
  await store.delete(['absent']);
  await store.put([['a', bytesOf(1, 2, 3)]]);
  await store.put([['empty', bytesOf()]]);
  await holds(store, 'a', bytesOf(1, 2, 3));
  check((await store.get('empty'))?.length === 0, () => 'empty bytes are not undefined');
  await store.put([['a', bytesOf(4)]]);
  await holds(store, 'a', bytesOf(4));
  await store.delete(['a']);
  await holds(store, 'a', undefined);
  await lists(store, '', ['empty']);
}

async function checkCopies(store: Store): Promise<void> {
  const whole = bytesOf(9, 8, 7, 6, 5);
  const view = whole.subarray(1, 3);
  await store.put([['view', view]]);
  await holds(store, 'view', bytesOf(8, 7));
  const found = await store.get('view');
  check(found?.buffer.byteLength === 2, () => `the bytes around a view were kept: ${found?.buffer.byteLength}`);
  found.fill(1);
  await holds(store, 'view', bytesOf(8, 7));
}

async function checkMany(store: Store): Promise<void> {
  await store.put([]);
  await store.delete([]);
  await store.put([
    ['m:a', bytesOf(1)],
    ['m:b', bytesOf(2, 2)],
    ['b:x', bytesOf(3)],
    ['m:a', bytesOf(4)],
  ]);
  const shown = (entries: readonly StoreEntry[]): string => JSON.stringify(entries.map(([key, bytes]) => [key, ...bytes]).sort());
  const found = await store.entries('m:');
  check(shown(found) === '[["m:a",4],["m:b",2,2]]', () => `entries are ${shown(found)}`);
  found[0]![1].fill(0);
  check(shown(await store.entries('')) === '[["b:x",3],["m:a",4],["m:b",2,2]]', () => 'entries are no copies');
  check((await store.entries('nothing')).length === 0, () => 'entries of nobody');
  await store.delete(['m:a', 'absent', 'b:x']);
  await lists(store, '', ['m:b']);
  await Promise.all([store.put([['m:c', bytesOf(5)]]), store.delete(['m:c', 'm:b']), store.put([['m:b', bytesOf(6)]])]);
  await lists(store, '', ['m:b']);
}

/** Ids are whatever people choose. */
const IDS = [
  '',
  'pirate',
  'pirate/2',
  '../up',
  '.',
  'a b',
  '%2F',
  'ü',
  '日本',
  '😀',
  '\uffff',
  '\uffff\uffff',
  'x'.repeat(300),
  '__proto__',
  'con',
];

async function checkKeys(store: Store): Promise<void> {
  const keys = IDS.flatMap((id) => [`m:${id}`, `m:other/${id}`, `b:${id}`]);
  for (const [i, key] of keys.entries()) await store.put([[key, bytesOf(i)]]);
  for (const [i, key] of keys.entries()) await holds(store, key, bytesOf(i));
  for (const prefix of ['m:', 'm:other/', 'b:', 'm:pirate', 'nothing', 'm:\uffff']) {
    await lists(
      store,
      prefix,
      keys.filter((key) => key.startsWith(prefix)),
    );
  }
  await store.delete(['m:pirate']);
  await lists(store, 'm:pirate', ['m:pirate/2']);
}

async function checkOrder(store: Store): Promise<void> {
  const calls: Promise<void>[] = [];
  for (let i = 0; i < 20; i++) calls.push(i % 5 === 3 ? store.delete(['k']) : store.put([['k', bytesOf(i)]]));
  const last = store.get('k');
  await Promise.all(calls);
  const found = (await last)?.join();
  check(found === '19', () => `a read after twenty writes found ${found}`);
  await holds(store, 'k', bytesOf(19));
  await Promise.all(Array.from({ length: 50 }, (_, i) => store.put([[`n${i}`, bytesOf(i)]])));
  check((await store.keys('n')).length === 50, () => 'keys that were put at once are lost');
}

async function checkLarge(store: Store): Promise<void> {
  const large = new Uint8Array(8 << 20);
  for (let i = 0; i < large.length; i += 4096) large[i] = i / 4096;
  await store.put([['large', large]]);
  const found = await store.get('large');
  const wrong = found?.length === large.length ? large.findIndex((byte, i) => byte !== found[i]) : 0;
  check(wrong === -1, () => `8 MiB came back otherwise at byte ${wrong}`);
}

/** Two objects of the same name, as two tabs or processes have them. */
async function checkExclusive(first: Store, second: Store): Promise<void> {
  const seen: string[] = [];
  const turn = (store: Store, name: string): Promise<string> =>
    store.exclusive(async () => {
      seen.push(`${name} in`);
      for (let i = 0; i < 5; i++) await store.put([['k', bytesOf(i)]]);
      await new Promise((resolve) => setTimeout(resolve, 5));
      seen.push(`${name} out`);
      return name;
    });
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  const results = await Promise.all(names.map((name, i) => turn(i % 2 ? second : first, name)));
  check(results.join() === names.join(), () => `the results are ${results}`);
  for (let i = 0; i < seen.length; i += 2) {
    check(seen[i]!.split(' ')[0] === seen[i + 1]!.split(' ')[0], () => `two were in at once: ${seen}`);
  }
  const failure = await first.exclusive(() => Promise.reject(new RangeError('mine'))).catch((error: unknown) => error);
  check(failure instanceof RangeError && failure.message === 'mine', () => `what work threw came back as ${failure}`);
  check((await second.exclusive(async () => 7)) === 7, () => 'work that threw keeps others out');
}

/** What happens to a call of a store. */
export type Fate = 'done' | { readonly fails: unknown };

/** A store whose calls end as `fate` says, by name and the keys in question. */
export function fatefulStore(store: Store, fate: (call: keyof Store, keys: readonly string[]) => Fate): Store {
  const meet = async <T>(call: keyof Store, keys: readonly string[], work: () => Promise<T>): Promise<T> => {
    const end = fate(call, keys);
    if (end !== 'done') throw end.fails;
    return work();
  };
  return {
    get: (key) => meet('get', [key], () => store.get(key)),
    put: (entries) =>
      meet(
        'put',
        entries.map(([key]) => key),
        () => store.put(entries),
      ),
    delete: (keys) => meet('delete', keys, () => store.delete(keys)),
    keys: (prefix) => meet('keys', [prefix], () => store.keys(prefix)),
    entries: (prefix) => meet('entries', [prefix], () => store.entries(prefix)),
    exclusive: (work) => meet('exclusive', [], () => store.exclusive(work)),
  };
}

/** What every store must do. Names of databases are used once: `run` finds them empty. */
export function storeCases({ open }: StoreUnderTest): Case[] {
  const cases: readonly (readonly [string, (store: Store) => Promise<void>])[] = [
    ['values', checkValues],
    ['copies', checkCopies],
    ['keys', checkKeys],
    ['many', checkMany],
    ['order', checkOrder],
    ['large', checkLarge],
  ];
  const keeps = async (): Promise<void> => {
    await open('weblora-test-again').put([['k', bytesOf(1)]]);
    await holds(open('weblora-test-again'), 'k', bytesOf(1));
    await holds(open('weblora-test-elsewhere'), 'k', undefined);
  };
  return [
    ...cases.map(([name, run]): Case => ({ name, on: 'engine', run: () => run(open(`weblora-test-${name}`)) })),
    { name: 'opened again', on: 'engine', run: keeps },
    { name: 'exclusive', on: 'engine', run: () => checkExclusive(open('weblora-test-exclusive'), open('weblora-test-exclusive')) },
  ];
}
