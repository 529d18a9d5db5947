import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { Store } from '../engine/types.ts';
import { WebLoraError } from '../errors.ts';
import { takeLock } from '../formats/folder-lock.ts';
import { fileOf, keysIn, readSmall, unlessAbsent, writeWhole } from './folder-files.ts';

/**
 * A store in a folder on disk, for Node and Deno: one file a key, written beside its place and renamed, so that a reader, another process
 * or a crash never meets half of it. The folder is made when it is first needed. Processes take turns by files in its folder `lock`; who
 * is killed in its turn keeps others waiting for four seconds.
 *
 * Its methods throw `store_failed` where the disk refuses.
 *
 * @param path the folder; engines and processes that name the same one share it.
 * @throws TypeError where it is no text, or an empty one, which would be whatever folder the process runs in.
 */
export function folderStore(path: string): Store {
  if (typeof path !== 'string' || path === '') throw new TypeError(`folderStore: path is ${JSON.stringify(path)}; it must name a folder`);
  const turns = new Map<string, Promise<unknown>>();
  const failed = (what: string, cause: unknown): WebLoraError => {
    const why = cause instanceof Error ? cause.message : String(cause);
    return new WebLoraError('store_failed', `The folder ${path} failed to ${what}: ${why}`, { cause });
  };
  /** Calls that share a key take effect in the order in which they were made. */
  const inTurn = <T>(keys: readonly string[], what: string, call: () => Promise<T>): Promise<T> => {
    const before = keys.flatMap((key) => turns.get(key) ?? []);
    const turn = Promise.all(before)
      .then(call)
      .catch((cause: unknown) => {
        throw failed(what, cause);
      });
    const ended: Promise<void> = turn
      .then(() => undefined)
      .catch(() => undefined)
      .then(() => {
        for (const key of keys) if (turns.get(key) === ended) turns.delete(key);
      });
    for (const key of keys) turns.set(key, ended);
    return turn;
  };
  const read = async (key: string): Promise<Uint8Array<ArrayBuffer> | undefined> =>
    unlessAbsent(async () => new Uint8Array(await fs.readFile(fileOf(path, key))));
  /** After every call that is under way. */
  const list = async (prefix: string): Promise<string[]> => {
    await Promise.all(turns.values());
    return keysIn(path, prefix);
  };
  const told = <T>(what: string, call: () => Promise<T>): Promise<T> => inTurn([], what, call);
  return {
    get: (key) => inTurn([key], `read ${key}`, () => read(key)),
    put: (entries) => {
      const last = new Map(entries); // of a key that is there twice
      const keys = [...last.keys()];
      return inTurn(keys, `keep ${inWords(keys)}`, () => writeWhole([...last].map(([key, bytes]) => [fileOf(path, key), bytes])));
    },
    delete: (keys) =>
      inTurn(keys, `delete ${inWords(keys)}`, async () => {
        for (const key of keys) await fs.rm(fileOf(path, key), { force: true });
      }),
    keys: (prefix) => told('list its keys', () => list(prefix)),
    entries: (prefix) => told(`read what begins with ${prefix}`, async () => readSmall(path, await list(prefix))),
    exclusive: exclusively((work) => told('be locked', work), join(path, 'lock')),
  };
}

function exclusively(told: <T>(call: () => Promise<T>) => Promise<T>, folder: string): Store['exclusive'] {
  let last: Promise<unknown> = Promise.resolve();
  const alone = async <T>(work: () => Promise<T>): Promise<T> => {
    const { release } = await told(() => takeLock(fs, folder, undefined));
    try {
      return await work();
    } finally {
      await told(release).catch(() => undefined); // the work is done; who waits takes the lock when its owner stays silent
    }
  };
  return (work) => {
    const turn = last.then(() => alone(work));
    last = turn.catch(() => undefined);
    return turn;
  };
}

function inWords(keys: readonly string[]): string {
  return keys.length === 1 ? keys[0]! : `${keys.length} entries (${keys[0]}, …)`;
}
