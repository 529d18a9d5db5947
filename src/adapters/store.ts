import { WebLoraError } from '../errors.ts';

/** What lies under a key. */
export type StoreEntry = readonly [key: string, bytes: Uint8Array<ArrayBuffer>];

/**
 * Bytes by key that outlive the engine: IndexedDB in a browser (`indexedDbStore`), a folder in Node and Deno (`folderStore`), memory in
 * tests. Any string is a key. A reader sees all bytes of an entry or none of them. Calls that share a key take effect in the order in
 * which they were made. What fails throws `store_failed`.
 */
export interface Store {
  /** A copy of what was last put there; undefined where nothing is. */
  get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /**
   * Keeps all of these, in place of what was there: all or none where the store can do that, else in this order, each whole. They are
   * safe when the promise is fulfilled. The bytes are the store's from this call on: the caller changes them no more.
   */
  put(entries: readonly StoreEntry[]): Promise<void>;
  /** All or none where the store can do that, else in this order. Nothing happens to a key that holds nothing. */
  delete(keys: readonly string[]): Promise<void>;
  /** Every key that begins with `prefix`, in any order. No bytes are read. */
  keys(prefix: string): Promise<readonly string[]>;
  /** Every key that begins with `prefix`, with its bytes, in any order: for small records, as all are in memory at once. */
  entries(prefix: string): Promise<readonly StoreEntry[]>;
  /**
   * Runs work while nobody else – tab, worker, process – runs work of this store in `exclusive`; the result is that of the work, and so is
   * what it throws. Work that calls `exclusive` of the same store waits for itself forever.
   */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
}

/** A store that lasts as long as the object: for tests, and for an engine that is closed and opened again in one program. */
export function memoryStore(): Store {
  const values = new Map<string, Uint8Array<ArrayBuffer>>();
  const keys = (prefix: string): string[] => [...values.keys()].filter((key) => key.startsWith(prefix));
  return {
    get: async (key) => values.get(key)?.slice(),
    put: async (entries) => {
      for (const [key, bytes] of entries) values.set(key, wholeBuffer(bytes));
    },
    delete: async (gone) => {
      for (const key of gone) values.delete(key);
    },
    keys: async (prefix) => keys(prefix),
    entries: async (prefix) => keys(prefix).map((key): StoreEntry => [key, values.get(key)!.slice()]),
    exclusive: oneAtATime(),
  };
}

/** Bytes with nothing around them: a copy where they are a part of a larger buffer, which would be kept with them. */
export function wholeBuffer(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
}

/** `Store.exclusive` among the callers of one object. */
export function oneAtATime(): Store['exclusive'] {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work);
    last = turn.catch(() => undefined); // told to who asked for it; those behind it go on
    return turn;
  };
}

/**
 * What a store answers. Throws `store_failed` where it is silent for so long: a database that never opens, a turn that somebody else does
 * not end. What comes later is dropped.
 */
export async function answered<T>(answer: Promise<T>, ms: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silent = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new WebLoraError('store_failed', `The store gave no answer for ${ms / 1000} seconds`)), ms);
  });
  try {
    return await Promise.race([answer, silent]);
  } finally {
    clearTimeout(timer);
  }
}

/** What a store throws, whatever the engine under it threw. */
export function storeFailed(what: string, cause: unknown): WebLoraError {
  if (cause instanceof WebLoraError) return cause;
  const why = cause instanceof Error ? cause.message || cause.name : String(cause);
  return new WebLoraError('store_failed', `${what}: ${why}`, { cause });
}

/** Names and codes by which browsers and disks say that there is no room. */
const QUOTA: readonly unknown[] = ['QuotaExceededError', 'ENOSPC', 'EDQUOT'];

/** Whether a store threw this because there is no room left: deleting something may help. */
export function isQuota(error: unknown): boolean {
  for (let next = error, depth = 0; typeof next === 'object' && next !== null && depth < 8; depth++) {
    const { name, code, cause } = next as { readonly name?: unknown; readonly code?: unknown; readonly cause?: unknown };
    if (QUOTA.includes(name) || QUOTA.includes(code)) return true;
    next = cause;
  }
  return false;
}

/** Where records and bytes of one model's adapters lie in a store. */
export interface StoreKeys {
  /** `m:a:shape/model/id` */
  adapter(id: string): string;
  /** `b:digest/layoutVersion/precision/shape` */
  blob(digest: string): string;
  /** Whether a blob is one of this digest for models of this shape, in whatever layout and precision. */
  isBlobOf(key: string, digest: string): boolean;
}

/** Begin the keys of all blob records, and of the adapter records of all models. */
export const BLOB_RECORDS = 'm:b:';
export const ADAPTER_RECORDS = 'm:a:';

/** The record of a blob: `m:b:digest/…` for `b:digest/…`. */
export function recordOfBlob(blob: string): string {
  return `m:${blob}`;
}

/** `digest/shape`: what models of one shape share, in whatever layout and precision it lies there. */
export function bytesOfBlob(blob: string): string {
  return blob.slice('b:'.length, blob.indexOf('/')) + blob.slice(blob.lastIndexOf('/'));
}

/** The `bytesOfBlob` of the blobs that an adapter's record names. */
export function bytesOfRecord(record: string, digest: string): string {
  return `${digest}/${record.slice(ADAPTER_RECORDS.length).split('/', 1)[0]}`;
}

/** What a model's keys are made of. */
export interface StoreScope {
  /** Hash of the model's site table. */
  readonly shape: string;
  /** What tells the model from others: two models of the same shape do not see each other's adapters, but share their bytes. */
  readonly model: string;
  readonly layoutVersion: number;
  readonly precision: 'exact' | 'half';
}

/** The keys of one model in one precision. Ids and names may hold any character: an id comes last, and the name is escaped. */
export function storeKeys({ shape, model, layoutVersion, precision }: StoreScope): StoreKeys {
  const modelPrefix = `${ADAPTER_RECORDS}${shape}/${model.replace(/[%/]/g, encodeURIComponent)}/`;
  return {
    adapter: (id) => modelPrefix + id,
    blob: (digest) => `b:${digest}/${layoutVersion}/${precision}/${shape}`,
    isBlobOf: (key, digest) => bytesOfBlob(key) === `${digest}/${shape}`,
  };
}
