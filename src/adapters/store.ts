import { WebLoraError } from '../errors.ts';

/**
 * Bytes by key that outlive the engine: IndexedDB in a browser (`indexedDbStore`), memory in tests. Any string is a key. Each call is
 * atomic by itself: a reader sees all bytes of a `put` or none of them. Calls on the same key take effect in the order in which they
 * were made. What fails throws `store_failed`.
 */
export interface Store {
  /** A copy of what was last put there; undefined where nothing is. */
  get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Keeps a copy of the bytes, in place of what was there; they are safe when the promise is fulfilled. */
  put(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Nothing happens where there is nothing. */
  delete(key: string): Promise<void>;
  /** Every key that begins with `prefix`, in any order. */
  keys(prefix: string): Promise<readonly string[]>;
}

/** A store that lasts as long as the object: for tests, and for an engine that is closed and opened again in one program. */
export function memoryStore(): Store {
  const values = new Map<string, Uint8Array<ArrayBuffer>>();
  return {
    get: async (key) => values.get(key)?.slice(),
    put: async (key, bytes) => void values.set(key, bytes.slice()),
    delete: async (key) => void values.delete(key),
    keys: async (prefix) => [...values.keys()].filter((key) => key.startsWith(prefix)),
  };
}

/** What a store throws, whatever the engine under it threw. */
export function storeFailed(what: string, cause: unknown): WebLoraError {
  if (cause instanceof WebLoraError) return cause;
  const why = cause instanceof Error ? cause.message || cause.name : String(cause);
  return new WebLoraError('store_failed', `${what}: ${why}`, { cause });
}

/** Where records and bytes of one model's adapters lie in a store. */
export interface StoreKeys {
  /** Begins the keys of all records whose adapters fit models of this shape. */
  readonly shapePrefix: string;
  /** Begins the keys of this model's records. */
  readonly modelPrefix: string;
  /** `m:shape/model/id` */
  record(id: string): string;
  /** `b:digest/layoutVersion/precision/shape` */
  blob(digest: string): string;
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
  const shapePrefix = `m:${shape}/`;
  const modelPrefix = `${shapePrefix}${model.replace(/[%/]/g, encodeURIComponent)}/`;
  return {
    shapePrefix,
    modelPrefix,
    record: (id) => modelPrefix + id,
    blob: (digest) => `b:${digest}/${layoutVersion}/${precision}/${shape}`,
  };
}
