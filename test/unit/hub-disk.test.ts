import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { openCachedHubFolder } from '../../src/formats/hub-cached.ts';
import { diskHubStore } from '../../src/formats/hub-disk.ts';
import { removeModel } from '../../src/formats/hub-store.ts';
import { takeLock } from '../../src/formats/folder-lock.ts';
import { openHubDouble } from '../servers/hub.ts';
import type { HubDouble } from '../servers/hub.ts';
import { seededBytes } from '../servers/hub-orders.ts';
import { COMMIT, openBench, PIECE, ranges, readWhole, sameBytes, sentBytes, settledRequests, SIZE } from '../suites/hub-bench.ts';
import type { Bench } from '../suites/hub-bench.ts';

let double: HubDouble;
let root: string;
let script: string;
beforeAll(async () => {
  double = await openHubDouble();
  root = await mkdtemp(join(tmpdir(), 'weblora-cache-'));
  script = join(root, 'reader.mjs');
  const reader = `
    import { openCachedHubFolder } from './hub-cached.ts';
    import { openCachedHubFolder } from '../../src/formats/hub-cached.ts';
import { diskHubStore } from './hub-disk.ts';
    const [path, repository, endpoint] = process.argv.slice(2);
    const onProgress = ({ loadedBytes }) => console.log(loadedBytes);
    const folder = openCachedHubFolder(repository, { endpoint, token: '' }, { store: diskHubStore(path), pieceBytes: ${PIECE}, onProgress });
    const bytes = await folder.read('model.bin', 0, await folder.size('model.bin'));
    console.log('sum', bytes.reduce((sum, byte) => sum + byte, 0));`;
  const resolveDir = fileURLToPath(new URL('../../src/formats/', import.meta.url));
  await build({ stdin: { contents: reader, resolveDir, loader: 'ts' }, bundle: true, platform: 'node', format: 'esm', outfile: script });
});
afterAll(async () => {
  double.close();
  await rm(root, { recursive: true });
});
afterEach(() => vi.unstubAllEnvs());

const start = (bench: Bench): ChildProcess =>
  spawn(process.execPath, [script, bench.store.location, bench.repository, double.url], { stdio: ['ignore', 'pipe', 'inherit'] });
const openDisk = (name: string): Promise<Bench> =>
  openBench({ endpoint: double.url, store: (path) => diskHubStore(join(root, path)) }, name);
const expected = seededBytes(SIZE, 1);
const sum = expected.reduce((all, byte) => all + byte, 0);
const folderOf = (bench: Bench): string => join(bench.store.location, `models--${bench.repository.replace('/', '--')}`);
const blobsOf = async (bench: Bench): Promise<string[]> => readdir(join(folderOf(bench), 'blobs'));

async function output(child: ChildProcess): Promise<string> {
  let text = '';
  child.stdout!.on('data', (chunk) => (text += String(chunk)));
  await once(child, 'close');
  return text;
}

describe('processes that share a cache', () => {
  test('one that was killed is taken over from: what it noted is not asked for again', async () => {
    const bench = await openDisk('killed');
    await bench.faults({ on: 'store', kind: 'hang', after: 1000, skip: 6 });
    const child = start(bench);
    // Six requests are answered, all others hang.
    const blobs = join(folderOf(bench), 'blobs');
    const notesNow = async (): Promise<string[]> => {
      const name = (await readdir(blobs).catch(() => [])).find((one) => one.endsWith('.pieces'));
      return name === undefined ? [] : (await readFile(join(blobs, name), 'utf8')).split('\n').slice(1, -1);
    };
    while ((await notesNow()).length < 6) await sleep(10);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const [part] = (await blobsOf(bench)).filter((name) => name.endsWith('.weblora-part'));
    expect(part).toMatch(/^[0-9a-f]{64}\.weblora-part$/);
    const notes = join(blobs, `${part}.pieces`);
    const noted = (await notesNow()).map(Number);
    const cut = String(noted.pop());
    await writeFile(notes, (await readFile(notes, 'utf8')).replace(`\n${cut}\n`, `\n${cut}`)); // not written to its end
    expect((await bench.store.models())[0]).toMatchObject({ bytes: 0, unfinishedBytes: expect.any(Number) });

    const before = await settledRequests(bench);
    await bench.faults();
    sameBytes(await readWhole(bench.open(), 'model.bin'), expected, 'model.bin');
    const log = await bench.log();
    const again = ranges(log.slice(before));
    for (const piece of noted) expect(again.filter(([from, to]) => from < (piece + 1) * PIECE && to > piece * PIECE)).toEqual([]);
    expect(sentBytes(log, 'store')).toBeLessThanOrEqual(SIZE + 4 * PIECE);
    expect(again.reduce((all, [from, to]) => all + to - from, 0)).toBe(SIZE - 5 * PIECE);
    expect((await blobsOf(bench)).map((name) => name.length)).toEqual([64]);
  });

  test('fetch a file once', async () => {
    const bench = await openDisk('shared');
    const outputs = await Promise.all([start(bench), start(bench), start(bench)].map(output));
    for (const text of outputs) expect(text).toContain(`sum ${sum}\n`);
    expect(sentBytes(await bench.log(), 'store')).toBe(SIZE);
    expect(await readdir(join(bench.store.location, '.locks', `models--${bench.repository.replace('/', '--')}`))).toEqual([]);
  });

  test('wait for each other no longer than their signal lets them', async () => {
    const bench = await openDisk('waits');
    await readWhole(bench.open(), 'config.json');
    const file = (await bench.store.listing(bench.repository, COMMIT))!.files.find(({ name }) => name === 'model.bin')!;
    const place = { repository: bench.repository, commit: COMMIT, file };
    const held = await bench.store.openPart(place, PIECE, undefined);
    const waiting = diskHubStore(bench.store.location).openPart(place, PIECE, AbortSignal.timeout(100));
    await expect(waiting).rejects.toMatchObject({ name: 'TimeoutError' });
    if (held !== 'whole') await held.close();
  });
});

describe("Hugging Face's cache", () => {
  test('is laid out as they lay it out', async () => {
    const bench = await openDisk('layout');
    await bench.order({ files: { 'sub/config.json': '{}', 'model.bin': { size: SIZE, seed: 1 } } });
    const folder = bench.open({}, { revision: 'refs/pr/1' });
    await readWhole(folder, 'sub/config.json');
    await readWhole(folder, 'model.bin');
    expect(await readFile(join(folderOf(bench), 'refs/refs/pr/1'), 'utf8')).toBe(COMMIT);
    const [small, large] = (await blobsOf(bench)).toSorted((a, b) => a.length - b.length);
    const snapshot = join(folderOf(bench), 'snapshots', COMMIT);
    expect(await readlink(join(snapshot, 'model.bin'))).toBe(`../../blobs/${large}`);
    expect(await readlink(join(snapshot, 'sub/config.json'))).toBe(`../../../blobs/${small}`);
    const tree: unknown = JSON.parse(await readFile(join(folderOf(bench), 'trees', `${COMMIT}.json`), 'utf8'));
    const described = { size: SIZE, blob_id: expect.stringMatching(/^[0-9a-f]{40}$/), lfs_sha256: large, lfs_size: SIZE };
    expect(tree).toEqual({ format_version: 1, files: { 'model.bin': described, 'sub/config.json': { size: 2, blob_id: small } } });
  });

  test('has a link for each commit to bytes that they share', async () => {
    const bench = await openDisk('links');
    await readWhole(bench.open(), 'model.bin');
    await bench.order({ commit: 'd'.repeat(40) });
    await readWhole(bench.open(), 'model.bin');
    const [blob] = await blobsOf(bench);
    expect(await readlink(join(folderOf(bench), 'snapshots', 'd'.repeat(40), 'model.bin'))).toBe(`../../blobs/${blob}`);
    expect(await bench.store.models()).toMatchObject([
      {
        bytes: SIZE,
        revisions: [
          { commit: COMMIT, names: [] },
          { names: ['main'], commit: 'd'.repeat(40) },
        ],
      },
    ]);
    await removeModel(bench.store, `${bench.repository}@main`);
    expect(await bench.store.models()).toMatchObject([{ bytes: SIZE, revisions: [{ commit: COMMIT, files: 1, bytes: SIZE }] }]);
    sameBytes(await readWhole(bench.open({ network: 'never' }, { revision: COMMIT }), 'model.bin'), expected, 'model.bin');
  });

  test('pieces that are noted and not there are none', async () => {
    const bench = await openDisk('lost');
    await readWhole(bench.open(), 'config.json');
    const file = (await bench.store.listing(bench.repository, COMMIT))!.files.find(({ name }) => name === 'model.bin')!;
    const open = async () => {
      const part = await bench.store.openPart({ repository: bench.repository, commit: COMMIT, file }, PIECE, undefined);
      if (part === 'whole') throw new Error('it is whole');
      return part;
    };
    const first = await open();
    for (const piece of [0, 1]) await first.put(piece, new Uint8Array(PIECE));
    await first.close();
    await truncate(join(folderOf(bench), 'blobs', `${file.sha256}.weblora-part`), PIECE + 10);
    const second = await open();
    expect([...second.kept]).toEqual([0]);
    await second.close();
  });

  test('what they fetched serves, offline too and without a list of files', async () => {
    const bench = await openDisk('theirs');
    const [blobs, snapshot, refs] = ['blobs', `snapshots/${COMMIT}`, 'refs'].map((name) => join(folderOf(bench), name)) as [
      string,
      string,
      string,
    ];
    for (const folder of [blobs, snapshot, refs]) await mkdir(folder, { recursive: true });
    const name = createHash('sha256').update(expected).digest('hex');
    await writeFile(join(blobs, name), expected);
    await symlink(`../../blobs/${name}`, join(snapshot, 'model.bin'));
    await writeFile(join(refs, 'main'), COMMIT);
    const offline = bench.open({ network: 'never' });
    expect([await offline.size('model.bin'), await offline.size('config.json')]).toEqual([SIZE, undefined]);
    sameBytes(await readWhole(offline, 'model.bin'), expected, 'model.bin');
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    sameBytes(await readWhole(bench.open(), 'model.bin'), expected, 'model.bin');
    expect(await bench.log()).toEqual([]);
    vi.unstubAllEnvs();
    sameBytes(await readWhole(bench.open(), 'model.bin'), expected, 'model.bin');
    expect(sentBytes(await bench.log(), 'store')).toBe(0);
    // A file that was cut short is fetched again.
    await truncate(join(blobs, name), 1000);
    sameBytes(await readWhole(bench.open(), 'model.bin'), expected, 'model.bin');
    expect(await bench.store.models()).toMatchObject([{ bytes: SIZE, unfinishedBytes: 0 }]);
  });

  test('has the bytes themselves in their place where there are no symbolic links', async () => {
    vi.stubEnv('HF_HUB_DISABLE_SYMLINKS', '1');
    const bench = await openDisk('copies');
    sameBytes(await readWhole(bench.open(), 'model.bin'), expected, 'model.bin');
    const file = join(folderOf(bench), 'snapshots', COMMIT, 'model.bin');
    expect((await lstat(file)).isFile()).toBe(true);
    expect(await blobsOf(bench)).toEqual([]);
    sameBytes(await readWhole(bench.open({ network: 'never' }), 'model.bin'), expected, 'model.bin');
    expect(await bench.store.models()).toMatchObject([{ bytes: SIZE, unfinishedBytes: 0 }]);
  });

  test('a disk that refuses is told of; notes that are none are not believed', async () => {
    await writeFile(join(root, 'a-file'), '');
    const bench = await openBench({ endpoint: double.url, store: () => diskHubStore(join(root, 'a-file')) }, 'refused');
    await expect(readWhole(bench.open(), 'model.bin')).rejects.toMatchObject({
      code: 'store_failed',
      message: expect.stringContaining('a-file'),
    });
    const other = await openDisk('notes');
    await readWhole(other.open(), 'config.json');
    for (const text of [
      '',
      '{',
      '{"format_version": 2, "files": {}}',
      '{"format_version": 1, "files": {"../x": {"size": 1, "blob_id": "a"}}}',
    ]) {
      await writeFile(join(folderOf(other), 'trees', `${COMMIT}.json`), text);
      expect(await other.store.listing(other.repository, COMMIT)).toBeUndefined();
    }
    await writeFile(join(folderOf(other), 'refs/main'), '../../x');
    expect(await other.store.commitOf(other.repository, 'main')).toBeUndefined();
  });

  test('names that it cannot tell from others are refused', async () => {
    const bench = await openDisk('names');
    for (const id of ['a--b/c', 'a/b..c']) expect(() => openCachedHubFolder(id, {}, { store: bench.store })).toThrow(TypeError);
    for (const id of ['', 'owner/', 'owner/name@', '../x', 'a--b/c']) await expect(removeModel(bench.store, id)).rejects.toThrow(TypeError);
  });
});

test('who was taken for dead does not go on', async () => {
  const folder = join(root, 'lock');
  const lock = await takeLock(fs, folder, undefined);
  await lock.check();
  await rm(join(folder, '1.lock')); // no beat reaches it any more
  await writeFile(join(folder, '2.lock'), ''); // as another process that waited for too long
  const now = performance.now();
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now + 3000);
  await expect(lock.check()).rejects.toMatchObject({ code: 'store_failed', message: expect.stringContaining('took over') });
  clock.mockRestore();
  await lock.release();
  expect(await readdir(folder)).toEqual(['2.lock']);
});
