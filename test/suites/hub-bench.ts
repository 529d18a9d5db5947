import { openCachedHubFolder, type CachedHubOptions } from '../../src/formats/hub-cached.ts';
import type { Folder } from '../../src/formats/folder-contract.ts';
import type { HashMaker } from '../../src/formats/hash.ts';
import type { Clock } from '../../src/formats/hub-retry.ts';
import type { HubStore } from '../../src/formats/hub-store.ts';
import { WebLoraError } from '../../src/errors.ts';
import type { HubFault, HubRepository, HubRequest } from '../servers/hub-orders.ts';
import { check } from './suite.ts';

/** Where the hub's suite runs. */
export interface HubEnvironment {
  /** The hub's double. */
  readonly endpoint: string;
  /** The store of that name: empty the first time, with what was kept there ever after. */
  store(name: string): HubStore;
  /** Where the runtime has none of its own. */
  readonly hash?: HashMaker | undefined;
}

/** Bytes of a piece here: small, so that a small file has many. */
export const PIECE = 64 << 10;
export const COMMIT = 'c'.repeat(40);
/** A size that ends inside a piece. */
export const SIZE = 10 * PIECE + 123;

/** One case's repository, store and clock. */
export interface Bench {
  readonly environment: HubEnvironment;
  readonly repository: string;
  readonly store: HubStore;
  /** Milliseconds that somebody wanted to wait; nobody did. */
  readonly waits: number[];
  order(given?: Partial<HubRepository>): Promise<void>;
  faults(...faults: Omit<HubFault, 'repository'>[]): Promise<void>;
  log(): Promise<HubRequest[]>;
  open(options?: Partial<CachedHubOptions>, access?: { readonly token?: string; readonly revision?: string }): Folder;
}

let count = 0;

/** A repository with `config.json`, an empty file and the large `model.bin`. */
export async function openBench(environment: HubEnvironment, name: string): Promise<Bench> {
  const repository = `owner/${name}-${++count}`;
  const post = async (path: string, body: unknown): Promise<void> => {
    const { ok } = await fetch(`${environment.endpoint}/${path}`, { method: 'POST', body: JSON.stringify(body) });
    check(ok, () => `the double refused ${path}`);
  };
  const store = environment.store(`${name}-${count}`);
  const waits: number[] = [];
  const clock: Clock = {
    now: () => Date.now(),
    sleep: async (milliseconds, signal) => {
      waits.push(milliseconds);
      await new Promise((resolve) => setTimeout(resolve, 0));
      signal?.throwIfAborted();
    },
  };
  const files = { 'config.json': '{"a": 1}', empty: '', 'model.bin': { size: SIZE, seed: 1 } };
  const bench: Bench = {
    environment,
    repository,
    store,
    waits,
    order: (given = {}) => post('_repository', { repository, commit: COMMIT, files, ...given }),
    faults: (...faults) =>
      post(
        `_faults?repository=${repository}`,
        faults.map((fault) => ({ ...fault, repository })),
      ),
    log: async () => (await fetch(`${environment.endpoint}/_log?repository=${repository}`)).json() as Promise<HubRequest[]>,
    open: (options = {}, { token = '', revision } = {}) =>
      openCachedHubFolder(
        revision === undefined ? repository : `${repository}@${revision}`,
        { endpoint: environment.endpoint, token },
        { store, clock, pieceBytes: PIECE, hash: environment.hash, ...options },
      ),
  };
  await bench.order();
  return bench;
}

/** The whole of a file. */
export async function readWhole(folder: Folder, name: string): Promise<Uint8Array> {
  const size = await folder.size(name);
  check(size !== undefined, () => `there is no ${name}`);
  return folder.read(name, 0, size);
}

/** Throws unless the bytes are these. */
export function sameBytes(found: Uint8Array, expected: Uint8Array, what: string): void {
  check(found.length === expected.length, () => `${what} has ${found.length} bytes, expected ${expected.length}`);
  const at = found.findIndex((byte, i) => byte !== expected[i]);
  check(at < 0, () => `${what} differs at byte ${at}`);
}

/** Throws unless the promise fails with that code and words that match. */
export async function failsAs(promise: Promise<unknown>, code: string, words: RegExp): Promise<WebLoraError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  check(error instanceof WebLoraError, () => `expected ${code}, found ${String(error)}`);
  check(error.code === code && words.test(error.message), () => `expected ${code} ${words}, found ${error.code}: ${error.message}`);
  return error;
}

/** The ranges asked of the other host, as `[start, end)`. */
export function ranges(log: readonly HubRequest[]): [start: number, end: number][] {
  return log
    .filter(({ host, range }) => host === 'store' && range !== undefined)
    .map(({ range }) => {
      const [, start, last] = /^bytes=(\d+)-(\d+)$/.exec(range!)!;
      return [Number(start), Number(last) + 1];
    });
}

/** Bytes of bodies that a host sent. */
export function sentBytes(log: readonly HubRequest[], host: 'hub' | 'store'): number {
  return log.filter((entry) => entry.host === host).reduce((sum, { sent }) => sum + sent, 0);
}

/** How many requests have come, when those that were on their way have come too. */
export async function settledRequests(bench: Bench): Promise<number> {
  for (let before = -1, quiet = 0; ;) {
    const { length } = await bench.log();
    quiet = length === before ? quiet + 1 : 0;
    if (quiet === 3) return length;
    before = length;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}
