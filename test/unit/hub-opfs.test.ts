import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { opfsHubStore } from '../../src/formats/hub-opfs.ts';
import { memoryHubStore } from '../../src/formats/hub-store-memory.ts';
import { openHubDouble } from '../servers/hub.ts';
import type { HubDouble } from '../servers/hub.ts';
import { seededBytes } from '../servers/hub-orders.ts';
import { COMMIT, openBench, PIECE, ranges, readWhole, sameBytes, sentBytes, settledRequests, SIZE } from '../suites/hub-bench.ts';
import type { Bench } from '../suites/hub-bench.ts';
import { memoryDirectory } from './opfs-double.ts';

let double: HubDouble;
beforeAll(async () => void (double = await openHubDouble()));
afterAll(() => double.close());

const expected = seededBytes(SIZE, 1);
const openPage = (directory: FileSystemDirectoryHandle, name: string): Promise<Bench> =>
  openBench({ endpoint: double.url, store: () => opfsHubStore('hub', async () => directory) }, name);

/** The folder of model.bin's pieces. */
async function piecesOf(directory: FileSystemDirectoryHandle, { repository, store }: Bench): Promise<FileSystemDirectoryHandle> {
  const file = (await store.listing(repository, COMMIT))!.files.find(({ name }) => name === 'model.bin')!;
  let folder = directory;
  for (const name of ['hub', `models--${repository.replace('/', '--')}`, 'blobs', file.sha256!]) {
    folder = await folder.getDirectoryHandle(name);
  }
  return folder;
}

test('a piece of a page’s files that was cut off is none', async () => {
  const directory = memoryDirectory();
  const bench = await openPage(directory, 'cut-off');
  await readWhole(bench.open(), 'config.json');
  const file = (await bench.store.listing(bench.repository, COMMIT))!.files.find(({ name }) => name === 'model.bin')!;
  const place = { repository: bench.repository, commit: COMMIT, file };
  const open = async (pieceBytes: number) => {
    const part = await bench.store.openPart(place, pieceBytes, undefined);
    if (part === 'whole') throw new Error('it is whole');
    return part;
  };
  const first = await open(PIECE);
  for (const piece of [0, 1, 10]) await first.put(piece, new Uint8Array(piece === 10 ? 123 : PIECE));
  await first.close();
  const folder = await piecesOf(directory, bench);
  const stream = await (await folder.getFileHandle('1')).createWritable();
  await stream.write('short');
  await stream.close();
  const second = await open(PIECE);
  expect([...second.kept]).toEqual([0, 10]);
  await second.close();
  expect((await open(2 * PIECE)).kept.size).toBe(0); // pieces of another length
});

describe('where there is no room', () => {
  test('it is said how much is needed and how much is there, before anything is fetched', async () => {
    const bench = await openBench({ endpoint: double.url, store: () => memoryHubStore(100_000) }, 'full');
    await readWhole(bench.open(), 'config.json');
    const refused = {
      code: 'store_failed',
      message: expect.stringMatching(/needs 655483 bytes \(655\.5 kB\) more in memory, and there are 99992 bytes/),
    };
    await expect(readWhole(bench.open(), 'model.bin')).rejects.toMatchObject(refused);
    expect(sentBytes(await bench.log(), 'store')).toBe(0);
  });

  test('or when it runs out; what is there by then is kept', async () => {
    let room = 5 * PIECE;
    const write = (bytes: number): void => {
      if (bytes > room) throw new DOMException('The quota has been exceeded.', 'QuotaExceededError');
      if (bytes === PIECE) room -= bytes;
    };
    const directory = memoryDirectory({ write });
    vi.stubGlobal('navigator', { storage: { estimate: async () => ({ quota: 1e9, usage: 0 }) } });
    const bench = await openPage(directory, 'runs-out');
    const more = { code: 'store_failed', message: expect.stringMatching(/model\.bin needs \d+ bytes .* there are 1000000000 bytes/) };
    await expect(readWhole(bench.open(), 'model.bin')).rejects.toMatchObject(more);
    room = Infinity;
    const before = await settledRequests(bench);
    sameBytes(await readWhole(bench.open(), 'model.bin'), expected, 'model.bin');
    expect(sentBytes((await bench.log()).slice(before), 'store')).toBe(SIZE - 5 * PIECE);
    vi.unstubAllGlobals();
  });
});

test('a piece that the browser lost is told of once, and fetched again by whoever opens the file next', async () => {
  const directory = memoryDirectory();
  const bench = await openPage(directory, 'lost');
  await readWhole(bench.open(), 'model.bin');
  await (await piecesOf(directory, bench)).removeEntry('3');
  const before = (await bench.log()).length;
  await expect(readWhole(bench.open(), 'model.bin')).rejects.toMatchObject({ code: 'file_truncated' });
  sameBytes(await readWhole(bench.open(), 'model.bin'), expected, 'model.bin');
  expect(ranges((await bench.log()).slice(before))).toEqual([[3 * PIECE, 4 * PIECE]]);
});

test('what a browser refuses while a file is read has a code', async () => {
  const directory = memoryDirectory();
  const bench = await openPage(directory, 'refuses');
  const folder = bench.open();
  await readWhole(folder, 'model.bin');
  const piece = await (await (await piecesOf(directory, bench)).getFileHandle('2')).getFile();
  piece.slice = () => {
    throw new DOMException('The requested file could not be read', 'NotReadableError');
  };
  await expect(readWhole(folder, 'model.bin')).rejects.toMatchObject({
    code: 'store_failed',
    message: expect.stringContaining('model.bin'),
  });
});
