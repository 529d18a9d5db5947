import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { openCachedHubFolder } from '../../src/formats/hub-cached.ts';
import { hubSite } from '../../src/formats/hub-access.ts';
import { listHubFiles } from '../../src/formats/hub-list.ts';
import { openHubFolder } from '../../src/formats/hub-open.ts';
import { askHub } from '../../src/formats/hub-request.ts';
import { memoryHubStore } from '../../src/formats/hub-store-memory.ts';
import { openHubDouble } from '../servers/hub.ts';
import type { HubDouble } from '../servers/hub.ts';
import { COMMIT, failsAs, openBench, readWhole } from '../suites/hub-bench.ts';
import { memoryDirectory } from './opfs-double.ts';

let [double, other]: HubDouble[] = [];
beforeAll(async () => void ([double, other] = await Promise.all([openHubDouble(), openHubDouble()])));
afterAll(() => [double, other].forEach((hub) => hub!.close()));
afterEach(() => vi.unstubAllGlobals());

test('a signature that opens a file for an hour is in no message', async () => {
  const bench = await openBench({ endpoint: double!.url, store: () => memoryHubStore() }, 'signed');
  await bench.faults({ on: 'store', kind: 'down', skip: 1 });
  const error = await failsAs(readWhole(bench.open(), 'model.bin'), 'file_unreadable', /cannot be fetched/);
  expect(error.message).not.toContain('signed=');
  // Deno tells the whole address in its own words.
  vi.stubGlobal('fetch', async (url: string) => Promise.reject(new TypeError(`error sending request for url (${url})`)));
  const away = askHub(hubSite('owner/name', { endpoint: 'http://hub' }), 'http://store/x?X-Amz-Signature=abc', {});
  await expect(away).rejects.toMatchObject({ message: expect.not.stringContaining('Signature') });
});

test('a size that no file has makes no list of its pieces', async () => {
  const bench = await openBench({ endpoint: double!.url, store: () => memoryHubStore() }, 'size');
  const { repository, store } = bench;
  const file = { name: 'model.bin', size: 2 ** 52, oid: 'a'.repeat(40), sha256: 'b'.repeat(64) };
  await store.noteListing({ repository, commit: COMMIT, files: [file] });
  await failsAs(
    bench.open({}, { revision: COMMIT }).read('model.bin', 0, 1),
    'file_unreadable',
    /where bytes from 0 of 4503599627370496 were asked/,
  );
});

test.each(['the files of a page', 'memory'])('what one hub says of a model is not believed of another: %s', async (kind) => {
  const directory = memoryDirectory();
  const storage = kind === 'memory' ? {} : { getDirectory: async () => directory, estimate: async () => ({}) };
  const repository = 'owner/name';
  const files = (text: string): string => JSON.stringify({ repository, commit: COMMIT, files: { 'config.json': text } });
  for (const [hub, text] of [
    [double, 'theirs'],
    [other, 'true'],
  ] as const) {
    await fetch(`${hub!.url}/_repository`, { method: 'POST', body: files(text) });
  }
  vi.stubGlobal('navigator', { storage });
  vi.stubGlobal('process', Object.create(process, { getBuiltinModule: { value: undefined } }));
  const read = async (hub: HubDouble | undefined): Promise<string> => {
    const folder = await openHubFolder(`${repository}@${COMMIT}`, { endpoint: hub!.url, token: '' }, { of: 'model' });
    return new TextDecoder().decode(await readWhole(folder, 'config.json'));
  };
  expect([await read(double), await read(other), await read(double)]).toEqual(['theirs', 'true', 'theirs']);
});

test('a list of files goes on at no file of this computer', async () => {
  const link = { link: '<file:///etc/hosts>; rel="next"' };
  const asked = vi.fn(async (_: string) => new Response('[]', { headers: link }));
  vi.stubGlobal('fetch', asked);
  const listing = listHubFiles(`owner/name@${COMMIT}`, { endpoint: 'http://hub', token: '' });
  await expect(listing).rejects.toMatchObject({ code: 'file_invalid', message: expect.stringContaining('file:///etc/hosts') });
  expect(asked).toHaveBeenCalledTimes(1);
});

test('names that leave the folder are refused, in a list and in a kept one', async () => {
  const bench = await openBench({ endpoint: double!.url, store: () => memoryHubStore() }, 'names');
  for (const name of ['../x', '/etc/passwd', 'a/../../x', 'a\\..\\x', 'a//b', '.', 'a\0b']) {
    await bench.order({ files: { [name]: 'x' } });
    await failsAs(bench.open({ store: memoryHubStore() }).size('config.json'), 'file_invalid', /describes a file by/);
    const folder = openCachedHubFolder(bench.repository, { endpoint: double!.url, token: '' }, { store: memoryHubStore() });
    await expect(folder.size(name)).rejects.toThrow(RangeError);
  }
});
