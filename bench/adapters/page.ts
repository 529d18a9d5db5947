import { indexedDbStore } from 'weblora';
import { firstUse, type FirstUse } from './first-use.ts';

const DATABASE = 'weblora-bench';

/** First uses in this page: IndexedDB is the disk, the page's own server the origin. */
export function firstUseHere(id: string, pairs: number): Promise<FirstUse> {
  const setting = {
    gpu: navigator.gpu,
    model: '/models/frontdesk/base',
    store: indexedDbStore(DATABASE),
    address: (name: string) => `${location.origin}/bench-adapters/${name}`,
    stored: storedIn(databaseOnUse()),
  };
  return firstUse(setting, id, 'other', pairs);
}

/** The database, opened when it is first asked for: the store has made its table by then. */
function databaseOnUse(): () => Promise<IDBDatabase> {
  let opened: Promise<IDBDatabase> | undefined;
  return () => (opened ??= ended(indexedDB.open(DATABASE)));
}

function ended<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result));
    request.addEventListener('error', () => reject(request.error ?? new Error('IndexedDB failed')));
  });
}

/** Gets an adapter's bytes by its digest, which stands at the beginning of their key. */
function storedIn(database: () => Promise<IDBDatabase>): (digest: string) => Promise<Uint8Array<ArrayBuffer>> {
  return async (digest) => {
    const table = (await database()).transaction('adapters', 'readonly').objectStore('adapters');
    const bytes: unknown = await ended(table.get(IDBKeyRange.bound(`b:${digest}/`, `b:${digest}0`)));
    if (!(bytes instanceof Uint8Array)) throw new Error(`${DATABASE} has no bytes of ${digest}`);
    return bytes as Uint8Array<ArrayBuffer>;
  };
}

Object.assign(globalThis, { firstUseHere });
