import { storeFailed } from './store.ts';
import type { Store } from './store.ts';

type Library = typeof import('idb-keyval');
type Use = ReturnType<Library['createStore']>;

/** The object store inside the database; idb-keyval makes one a database. */
const TABLE = 'adapters';

/**
 * Adapters in the browser's IndexedDB: pass it as `store` to `createEngine`, or to `serve` in a worker, and what was loaded once is
 * there after a reload, without the network. Its code is loaded on the first use. Nothing is opened before.
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
  /** Runs one call. Calls that wait for the code to load go on in the order in which they came. */
  const run = async <T>(what: string, call: (library: Library, use: Use) => Promise<T>): Promise<T> => {
    try {
      const { library, use } = await open();
      return await call(library, use);
    } catch (cause) {
      throw storeFailed(`The browser's storage (IndexedDB "${name}") failed to ${what}`, cause);
    }
  };
  return {
    get: (key) =>
      run(`read ${key}`, async ({ get }, use) => {
        const value: unknown = await get(key, use);
        return value instanceof Uint8Array ? (value as Uint8Array<ArrayBuffer>) : undefined;
      }),
    put: async (key, bytes) => {
      // A view is cloned with the whole buffer under it; and the bytes are the caller's again when this call has returned.
      const copy = bytes.slice();
      await run(`keep ${key}`, ({ set }, use) => set(key, copy, use));
    },
    delete: (key) => run(`delete ${key}`, ({ del }, use) => del(key, use)),
    keys: (prefix) =>
      run(`list its keys`, ({ promisifyRequest }, use) =>
        use('readonly', async (table) => {
          const keys = await promisifyRequest(table.getAllKeys(IDBKeyRange.lowerBound(prefix)));
          return keys.filter((key): key is string => typeof key === 'string' && key.startsWith(prefix));
        }),
      ),
  };
}
