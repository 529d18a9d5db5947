import { listHubFiles } from '../../src/formats/hub-list.ts';
import { memoryHubStore } from '../../src/formats/hub-store-memory.ts';
import { listModels, removeModel } from '../../src/formats/hub-store.ts';
import { seededBytes } from '../servers/hub-orders.ts';
import {
  COMMIT,
  failsAs,
  openBench,
  PIECE,
  ranges,
  readWhole,
  sameBytes,
  sentBytes,
  settledRequests,
  SIZE,
  type Bench,
  type HubEnvironment,
} from './hub-bench.ts';
import { check, type Case } from './suite.ts';

const expected = (): Uint8Array => seededBytes(SIZE, 1);
const TOKEN = 'hf_secret';

function same(found: unknown, wanted: unknown, what: string): void {
  const [left, right] = [JSON.stringify(found), JSON.stringify(wanted)];
  check(left === right, () => `${what}: ${left}, expected ${right}`);
}

async function heals(bench: Bench): Promise<void> {
  sameBytes(await readWhole(bench.open(), 'model.bin'), expected(), 'model.bin');
  sameBytes(await readWhole(bench.open({ network: 'never' }), 'model.bin'), expected(), 'model.bin in the store');
}

async function checkListing(bench: Bench): Promise<void> {
  await bench.order({ pageSize: 2 });
  const listing = await listHubFiles(bench.repository, { endpoint: bench.environment.endpoint, token: '' });
  same(listing.commit, COMMIT, 'the commit');
  same(
    listing.files.map(({ name, size }) => [name, size]),
    [
      ['config.json', 8],
      ['empty', 0],
      ['model.bin', SIZE],
    ],
    'files',
  );
  same(
    listing.files.map(({ oid, sha256 }) => [oid.length, sha256?.length ?? 0]),
    [
      [40, 0],
      [40, 0],
      [40, 64],
    ],
    'hashes',
  );
  same((await bench.log()).filter(({ url }) => url.includes('/revision/')).length, 1, 'questions for the commit');
  const fixed = await listHubFiles(`${bench.repository}@${COMMIT}`, { endpoint: bench.environment.endpoint, token: '' });
  same(fixed.files.length, 3, 'files of a commit');
  same((await bench.log()).filter(({ url }) => url.includes('/revision/')).length, 1, 'questions for a commit that was given');
}

async function checkWhole(bench: Bench): Promise<void> {
  await bench.order({ token: TOKEN });
  const seen: string[] = [];
  const folder = bench.open(
    { onProgress: ({ file, loadedBytes, totalBytes }) => seen.push(`${file} ${loadedBytes}/${totalBytes}`) },
    { token: TOKEN },
  );
  same([await folder.size('model.bin'), await folder.size('absent'), await folder.stamp!([])], [SIZE, undefined, COMMIT], 'what is known');
  same(sentBytes(await bench.log(), 'store'), 0, 'bytes fetched for a size');
  sameBytes(await folder.read('model.bin', 100, 200), expected().slice(100, 200), 'a part of model.bin');
  sameBytes(await readWhole(folder, 'model.bin'), expected(), 'model.bin');
  same(new TextDecoder().decode(await readWhole(folder, 'config.json')), '{"a": 1}', 'config.json');
  same((await readWhole(folder, 'empty')).length, 0, 'bytes of the empty file');
  const log = await bench.log();
  same(sentBytes(log, 'store'), SIZE, 'bytes sent by the other host');
  same(ranges(log).length, 11, 'ranges');
  same(
    [...new Set(log.filter(({ host }) => host === 'store').map(({ authorization }) => authorization))],
    [undefined],
    'tokens at the other host',
  );
  same(
    [...new Set(log.filter(({ host }) => host === 'hub').map(({ authorization }) => authorization))],
    [`Bearer ${TOKEN}`],
    'tokens at the hub',
  );
  same(
    [seen.includes(`model.bin 0/${SIZE}`), seen.includes(`model.bin ${SIZE}/${SIZE}`), seen.includes('config.json 8/8')],
    [true, true, true],
    'progress',
  );
  await failsAs(folder.read('absent', 0, 1), 'file_missing', /absent/);
  await failsAs(folder.read('model.bin', 0, SIZE + 1), 'file_truncated', /model\.bin/);
  const asked = (await bench.log()).length;
  await readWhole(bench.open({}, { token: TOKEN, revision: COMMIT }), 'model.bin');
  same((await bench.log()).length, asked, 'requests for a commit that is there');
}

async function checkStream(bench: Bench): Promise<void> {
  await bench.faults({ on: 'store', kind: 'whole' });
  await heals(bench);
  same(sentBytes(await bench.log(), 'store') <= 2 * SIZE, true, 'at most the refused range and one stream');
}

async function checkStreamLater(bench: Bench): Promise<void> {
  await bench.faults({ on: 'store', kind: 'whole', skip: 4 });
  await heals(bench);
}

async function checkDenied(bench: Bench): Promise<void> {
  await bench.order({ token: TOKEN });
  await failsAs(bench.open().size('config.json'), 'file_unreadable', /without a token \(401\).*hubToken/);
  await failsAs(bench.open({}, { token: 'hf_other' }).size('config.json'), 'file_unreadable', /token may not read/);
  await bench.faults({ on: 'api', kind: 'status', status: 403, headers: { 'x-error-code': 'GatedRepo' } });
  await failsAs(bench.open({}, { token: TOKEN }).size('config.json'), 'file_unreadable', /ask for access/);
  await bench.faults({ on: 'resolve', kind: 'status', status: 403, headers: { 'x-error-code': 'GatedRepo' } });
  await failsAs(readWhole(bench.open({}, { token: TOKEN }), 'model.bin'), 'file_unreadable', /ask for access/);
  same(bench.waits, [], 'waits');
}

async function checkAbsent(bench: Bench): Promise<void> {
  await bench.faults({ on: 'resolve', kind: 'status', status: 404, headers: { 'x-error-code': 'EntryNotFound' } });
  await failsAs(readWhole(bench.open(), 'model.bin'), 'file_missing', /model\.bin/);
  await failsAs(bench.open({}, { revision: 'none' }).size('config.json'), 'file_missing', /no revision none/);
  await bench.faults({ on: 'api', kind: 'status', status: 404, headers: { 'x-error-code': 'RepoNotFound' } });
  await failsAs(bench.open().size('config.json'), 'file_missing', /There is no owner\/absent/);
}

async function checkBusy(bench: Bench): Promise<void> {
  const busy = { kind: 'status', status: 429, headers: { 'retry-after': '7' }, times: 1 } as const;
  await bench.faults({ on: 'api', ...busy }, { on: 'resolve', ...busy }, { on: 'store', ...busy, skip: 2 });
  await heals(bench);
  same(bench.waits.filter((wait) => wait === 7000).length, 3, `waits of 7 s among ${bench.waits.join(', ')}`);
}

async function checkTooBusy(bench: Bench): Promise<void> {
  await readWhole(bench.open(), 'config.json');
  await bench.faults({ on: 'store', kind: 'status', status: 429, headers: { 'retry-after': '3600' } });
  await failsAs(readWhole(bench.open(), 'model.bin'), 'file_unreadable', /429.*asks to wait 3600 s/);
  await bench.faults({ on: 'store', kind: 'status', status: 503 });
  await failsAs(readWhole(bench.open(), 'model.bin'), 'file_unreadable', /503.*attempt 6/);
  await bench.faults({ on: 'api', kind: 'status', status: 503, times: 2 });
  await readWhole(bench.open({ store: memoryHubStore() }, { revision: COMMIT }), 'config.json');
  await bench.faults({ on: 'store', kind: 'status', status: 503, times: 3 });
  await heals(bench);
  const longest = Math.max(...bench.waits);
  check(longest <= 12_000, () => `a wait of ${longest} ms`);
}

async function checkCut(bench: Bench): Promise<void> {
  await bench.faults({ on: 'store', kind: 'cut', after: 5000, skip: 1, times: 3 }, { on: 'resolve', kind: 'cut', after: 3, times: 1 });
  await heals(bench);
  const log = await bench.log();
  same(sentBytes(log, 'store'), SIZE, 'bytes sent: what came before a break is not asked for again');
  same(ranges(log).filter(([start]) => start % PIECE === 5000).length, 3, 'ranges that go on after 5000 bytes');
}

async function checkCutStream(bench: Bench): Promise<void> {
  await bench.order({ files: { 'model.bin': { size: PIECE - 7, seed: 2 } } });
  await bench.faults({ on: 'store', kind: 'cut', after: 999, times: 2 });
  sameBytes(await readWhole(bench.open(), 'model.bin'), seededBytes(PIECE - 7, 2), 'model.bin');
}

async function checkWrong(bench: Bench): Promise<void> {
  await bench.faults({ on: 'store', kind: 'wrong', skip: 3, times: 1 });
  await heals(bench);
  same(sentBytes(await bench.log(), 'store'), 2 * SIZE, 'bytes sent');
  await removeModel(bench.store, bench.repository);
  await bench.faults({ on: 'store', kind: 'wrong' });
  await failsAs(
    readWhole(bench.open(), 'model.bin'),
    'file_corrupt',
    /twice with other bytes.*SHA-256 [0-9a-f]{64}, the hub says [0-9a-f]{64}/,
  );
  await bench.faults({ on: 'resolve', kind: 'wrong' });
  await failsAs(readWhole(bench.open(), 'config.json'), 'file_corrupt', /git's SHA-1/);
  await bench.faults();
  await heals(bench);
}

async function checkResume(bench: Bench): Promise<void> {
  for (const pieces of [1, 2, 5, 10]) {
    await bench.store.remove(bench.repository);
    const controller = new AbortController();
    const onProgress = ({ loadedBytes }: { readonly loadedBytes: number }): void => {
      if (loadedBytes >= pieces * PIECE) controller.abort(new Error('enough'));
    };
    const stopped = await readWhole(bench.open({ signal: controller.signal, onProgress }), 'model.bin').catch((error: Error) => error);
    check(stopped instanceof Error && stopped.message === 'enough', () => `an abort ended in ${String(stopped)}`);
    const part = await partNow(bench);
    const before = await settledRequests(bench);
    await heals(bench);
    const again = ranges((await bench.log()).slice(before));
    for (const piece of part) {
      check(
        again.every(([start, end]) => end <= piece * PIECE || start >= (piece + 1) * PIECE),
        () => `piece ${piece} was asked for again`,
      );
    }
    same(
      again.reduce((sum, [start, end]) => sum + end - start, 0),
      SIZE - lengthOf(part),
      'bytes asked for after the abort',
    );
    check(lengthOf(part) + 4 * PIECE >= Math.min(SIZE, pieces * PIECE), () => `only ${part.length} of ${pieces} pieces were kept`);
  }
}

const lengthOf = (pieces: readonly number[]): number => pieces.reduce((sum, piece) => sum + Math.min(PIECE, SIZE - piece * PIECE), 0);

/** Pieces of model.bin that are kept now. */
async function partNow(bench: Bench): Promise<number[]> {
  const listing = (await bench.store.listing(bench.repository, COMMIT))!;
  const file = listing.files.find(({ name }) => name === 'model.bin')!;
  const part = await bench.store.openPart({ repository: bench.repository, commit: COMMIT, file }, PIECE, undefined);
  check(part !== 'whole', () => 'model.bin is whole already');
  await part.close();
  return [...part.kept];
}

async function checkOffline(bench: Bench): Promise<void> {
  await failsAs(bench.open({ network: 'never' }).size('config.json'), 'file_unreadable', /not to be asked/);
  await readWhole(bench.open(), 'config.json');
  await bench.faults({ on: 'api', kind: 'down' }, { on: 'resolve', kind: 'down' });
  const folder = bench.open();
  same(new TextDecoder().decode(await readWhole(folder, 'config.json')), '{"a": 1}', 'config.json offline');
  same(
    [await folder.size('model.bin'), await folder.size('absent'), await folder.stamp!([])],
    [SIZE, undefined, COMMIT],
    'what is known offline',
  );
  same(bench.waits, [], 'waits for a hub that is away');
  await failsAs(
    readWhole(bench.open({ network: 'never' }), 'model.bin'),
    'file_unreadable',
    /model\.bin is not in .*the hub is not to be asked/,
  );
  await failsAs(readWhole(folder, 'model.bin'), 'file_unreadable', /model\.bin is not in .*the hub cannot be asked/);
  // Away for a moment: what is missing is fetched of the commit that is known.
  await bench.faults({ on: 'api', kind: 'down', times: 1 }, { on: 'resolve', kind: 'down', times: 1 });
  sameBytes(await readWhole(bench.open(), 'model.bin'), expected(), 'model.bin after a moment without the hub');
  await bench.faults({ on: 'api', kind: 'down' }, { on: 'resolve', kind: 'down' });
  await failsAs(bench.open({}, { revision: 'other' }).size('config.json'), 'file_unreadable', /attempt 6/);
  await bench.faults({ on: 'api', kind: 'status', status: 401 });
  await failsAs(bench.open().size('config.json'), 'file_unreadable', /without a token/);
}

async function checkTogether(bench: Bench): Promise<void> {
  const controller = new AbortController();
  const told = [0, 0];
  const leave = ({ loadedBytes }: { readonly loadedBytes: number }): void => {
    if (loadedBytes > 2 * PIECE) controller.abort(new Error('gone'));
  };
  const folders = told.map((_, i) => bench.open({ onProgress: () => void told[i]!++ }));
  for (const folder of folders) await folder.size('model.bin'); // they know the commit before one of them has fetched it all
  const leaving = readWhole(bench.open({ signal: controller.signal, onProgress: leave }), 'model.bin').catch(String);
  const staying = folders.map((folder) => readWhole(folder, 'model.bin'));
  for (const bytes of await Promise.all(staying)) sameBytes(bytes, expected(), 'model.bin');
  same(await leaving, 'Error: gone', 'who left');
  check(Math.min(...told) > 2, () => `who stayed was told of bytes ${told.join(' and ')} times`);
  same(sentBytes(await bench.log(), 'store'), SIZE, 'bytes sent');
  await removeModel(bench.store, bench.repository);
  const folder = bench.open();
  const onProgress = ({ loadedBytes }: { readonly loadedBytes: number }): void => {
    if (loadedBytes > 2 * PIECE) throw new Error('no screen');
  };
  const failing = readWhole(bench.open({ onProgress }), 'model.bin').catch(String);
  await Promise.all([readWhole(folder, 'model.bin'), readWhole(folder, 'model.bin'), readWhole(folder, 'config.json')]);
  same(await failing, 'Error: no screen', 'whose progress failed');
}

async function checkExpired(bench: Bench): Promise<void> {
  await bench.faults({ on: 'store', kind: 'expire', skip: 3, times: 1 }, { on: 'store', kind: 'expire', skip: 4, times: 1 });
  await heals(bench);
  const resolved = (await bench.log()).filter(({ host, url }) => host === 'hub' && url.includes('/resolve/')).length;
  check(resolved >= 3 && resolved <= 12, () => `${resolved} questions for the address`);
}

async function checkSilent(bench: Bench): Promise<void> {
  await bench.faults({ on: 'store', kind: 'hang', after: 100, skip: 1, times: 2 }, { on: 'api', kind: 'hang', times: 1 });
  sameBytes(await readWhole(bench.open({ stall: 300 }), 'model.bin'), expected(), 'model.bin');
}

async function checkAstray(bench: Bench): Promise<void> {
  await bench.faults({ on: 'resolve', kind: 'away', to: 'ftp://nowhere/x' });
  await failsAs(readWhole(bench.open(), 'model.bin'), 'file_unreadable', /model\.bin/);
  await bench.faults({ on: 'resolve', kind: 'away', to: `${bench.environment.endpoint}/${bench.repository}/resolve/${COMMIT}/model.bin` });
  await failsAs(readWhole(bench.open(), 'model.bin'), 'file_unreadable', /model\.bin/);
}

async function checkModels(bench: Bench): Promise<void> {
  await readWhole(bench.open(), 'model.bin');
  await readWhole(bench.open(), 'config.json');
  const of = async (): Promise<unknown> =>
    (await listModels(bench.store))
      .filter(({ repository }) => repository === bench.repository)
      .map((model) => ({ ...model, revisions: model.revisions.map(({ usedAt: _, ...revision }) => revision) }));
  const revision = { commit: COMMIT, names: ['main'], files: 2, bytes: SIZE + 8 };
  same(await of(), [{ repository: bench.repository, bytes: SIZE + 8, unfinishedBytes: 0, revisions: [revision] }], 'models');
  same(await removeModel(bench.store, bench.repository), SIZE + 8, 'bytes that the removal freed');
  same(await of(), [], 'models after the removal');
  await failsAs(removeModel(bench.store, bench.repository), 'file_missing', /There is no owner/);
  await heals(bench);
  // Another commit with the same large file: only what is new is fetched.
  const before = sentBytes(await bench.log(), 'store');
  const commit = 'd'.repeat(40);
  await bench.order({ commit, files: { 'config.json': '{"a": 2}', 'model.bin': { size: SIZE, seed: 1 } } });
  const folder = bench.open();
  sameBytes(await readWhole(folder, 'model.bin'), expected(), 'model.bin of the next commit');
  same(
    [await folder.stamp!([]), new TextDecoder().decode(await readWhole(folder, 'config.json'))],
    [commit, '{"a": 2}'],
    'the next commit',
  );
  same(sentBytes(await bench.log(), 'store'), before, 'bytes fetched again');
  // Of one revision goes what no other has.
  await failsAs(removeModel(bench.store, `${bench.repository}@v9`), 'file_missing', /no revision v9 .* dddddddd main/);
  same(await removeModel(bench.store, `${bench.repository}@main`), 8, 'bytes that the next commit had alone');
  const offline = bench.open({ network: 'never' }, { revision: COMMIT });
  sameBytes(await readWhole(offline, 'model.bin'), expected(), 'model.bin of the commit that stays');
  same(await removeModel(bench.store, `${bench.repository}@cccc`), SIZE, 'bytes of the last commit');
  same(await of(), [], 'models after the last revision');
}

const CASES: Readonly<Record<string, readonly [name: string, run: (bench: Bench) => Promise<void>]>> = {
  listing: ['files, sizes and hashes over pages, of a commit that is asked for once', checkListing],
  whole: ['a file in pieces from another host, which never sees the token', checkWhole],
  stream: ['a server that knows no ranges', checkStream],
  later: ['a server that forgets ranges later', checkStreamLater],
  denied: ['401 and 403 say what to do', checkDenied],
  absent: ['404 for a file, a revision and a repository', checkAbsent],
  busy: ['429 is waited for as long as it asks', checkBusy],
  tooBusy: ['429 for an hour and 503 for ever are errors; 503 for a while is not', checkTooBusy],
  cut: ['connections that break go on where they broke', checkCut],
  cutStream: ['a small file that breaks off', checkCutStream],
  wrong: ['wrong bytes are fetched again once', checkWrong],
  resume: ['after an abort no piece that is kept is asked for again', checkResume],
  offline: ['without the hub the last known commit serves', checkOffline],
  together: ['several who read one file fetch it once, and one of them may leave', checkTogether],
  expired: ['an address that expired is asked for again', checkExpired],
  silent: ['a server that falls silent', checkSilent],
  astray: ['redirects that lead nowhere', checkAstray],
  models: ['models are listed and removed, and share what is the same', checkModels],
};

/** What must hold for the hub's files in any store. */
export function hubCases(environment: HubEnvironment): Case[] {
  return Object.entries(CASES).map(([short, [name, run]]) => ({ name, run: async () => run(await openBench(environment, short)) }));
}
