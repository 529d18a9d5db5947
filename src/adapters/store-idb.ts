import { oneAtATime, storeFailed, wholeBuffer } from './store.ts';
import type { Store, StoreEntry } from './store.ts';

type Library = typeof import('idb-keyval');
type Use = ReturnType<Library['createStore']>;

/** The object store inside the database; idb-keyval makes one a database. */
const TABLE = 'adapters';

/**
 * Adapters in the browser's IndexedDB: pass it as `store` to `createEngine`, or to `serve` in a worker, and what was loaded once is
 * there after a reload, without the network. Tabs and workers of the origin share it, in turns that the browser gives (Web Locks; where
 * it has none, only the callers of this object take turns). Its code is loaded on the first use. Nothing is opened before.
 *
 * Its methods throw `store_failed` where the browser refuses: no IndexedDB, a full disk, storage that the person has blocked.
 *
 * @param name the database; every engine of the origin that names the same one shares it.
 */
export function indexedDbStore(name = 'weblora'): Store {
  let opened: Promise<{ readonly library: Library; readonly use: Use }> | undefined;
  const open = (): NonNullable<typeof opened> => {
    if (opened) return opened;
    opened = import('idb-keyval').then((library) => ({ library, use: library.createStore(name, TABLE) }));
    opened.catch(() => (opened = undefined)); // a script that could not be fetched is asked for again
    return opened;
  };
  const failed = (what: string, cause: unknown): Error =>
    storeFailed(`The browser's storage (IndexedDB "${name}") failed to ${what}`, cause);
  /** Runs one call. Calls that wait for the code to load go on in the order in which they came. */
  const run = async <T>(what: string, call: (library: Library, use: Use) => Promise<T>): Promise<T> => {
    try {
      const { library, use } = await open();
      return await call(library, use);
    } catch (cause) {
      throw failed(what, cause);
    }
  };
  return {
    get: (key) =>
      run(`read ${key}`, async ({ get }, use) => {
        const value: unknown = await get(key, use);
        return value instanceof Uint8Array ? (value as Uint8Array<ArrayBuffer>) : undefined;
      }),
    put: async (entries) => {
      if (entries.length === 0) return;
      // A view is cloned with the whole buffer under it.
      const whole = entries.map(([key, bytes]): [string, Uint8Array<ArrayBuffer>] => [key, wholeBuffer(bytes)]);
      await run(`keep ${inWords(whole.map(([key]) => key))}`, ({ setMany }, use) => setMany(whole, use));
    },
    delete: async (keys) => {
      if (keys.length > 0) await run(`delete ${inWords(keys)}`, ({ delMany }, use) => delMany([...keys], use));
    },
    keys: (prefix) =>
      run(`list its keys`, ({ promisifyRequest }, use) =>
        use('readonly', async (table) => (await promisifyRequest(table.getAllKeys(keysFrom(prefix)))).filter(isText)),
      ),
    entries: (prefix) =>
      run(`read what begins with ${prefix}`, ({ promisifyRequest }, use) =>
        use('readonly', async (table) => {
          const range = keysFrom(prefix);
          const all = [table.getAllKeys(range), table.getAll(range)] as const; // one transaction: as many keys as values
          const [keys, values] = await Promise.all([promisifyRequest(all[0]), promisifyRequest<unknown[]>(all[1])]);
          const pairs = keys.map((key, i) => [key, values[i]] as const);
          return pairs.filter((pair): pair is StoreEntry => isText(pair[0]) && pair[1] instanceof Uint8Array);
        }),
      ),
    exclusive: exclusively(name, failed),
  };
}

function exclusively(name: string, failed: (what: string, cause: unknown) => Error): Store['exclusive'] {
  const alone = oneAtATime();
  return async (work) => {
    const locks = (globalThis.navigator as Partial<Navigator> | undefined)?.locks;
    if (!locks) return alone(work);
    let state: 'waiting' | 'begun' = 'waiting';
    try {
      return await locks.request(`weblora:${name}`, () => {
        state = 'begun';
        return work();
      });
    } catch (cause) {
      throw (state as string) === 'begun' ? cause : failed('be locked', cause);
    }
  };
}

function isText(key: unknown): key is string {
  return typeof key === 'string';
}

function inWords(keys: readonly string[]): string {
  return keys.length === 1 ? keys[0]! : `${keys.length} entries (${keys[0]}, …)`;
}

/** All keys that begin with a prefix: IndexedDB compares strings by their 16-bit units, so the first behind them ends in the next unit. */
function keysFrom(prefix: string): IDBKeyRange {
  let end = prefix.length;
  while (end > 0 && prefix.charCodeAt(end - 1) === 0xff_ff) end--;
  if (end === 0) return IDBKeyRange.lowerBound(prefix);
  const behind = prefix.slice(0, end - 1) + String.fromCharCode(prefix.charCodeAt(end - 1) + 1);
  return IDBKeyRange.bound(prefix, behind, false, true);
}
