import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { isHubId, openFolder, readText, type FolderOptions } from '../../src/formats/folder.ts';
import { parseHubId } from '../../src/formats/hub-id.ts';
import type { HubFault, HubRepository, HubRequest } from '../servers/hub-orders.ts';
import { openHubDouble, type HubDouble } from '../servers/hub.ts';

const [FIRST, SECOND] = ['1'.repeat(40), '2'.repeat(40)] as const;
const TOKEN = 'hf_secret';
const repository = 'owner/name';

let hub: HubDouble;
const post = async (path: string, body: unknown): Promise<unknown> => fetch(hub.url + path, { method: 'POST', body: JSON.stringify(body) });
const order = (given: Partial<HubRepository> = {}): Promise<unknown> =>
  post('/_repository', { repository, commit: FIRST, files: { a: 'A', b: 'B', large: { size: 9, seed: 1 } }, ...given });
const faults = (...given: Omit<HubFault, 'repository'>[]): Promise<unknown> =>
  post(
    `/_faults?repository=${repository}`,
    given.map((fault) => ({ ...fault, repository })),
  );
const asked = async (): Promise<HubRequest[]> => (await fetch(`${hub.url}/_log?repository=${repository}`)).json() as Promise<HubRequest[]>;

beforeAll(async () => void (hub = await openHubDouble()));
afterAll(() => hub.close());
beforeEach(async () => {
  await order();
  await faults();
  vi.stubEnv('HF_ENDPOINT', `${hub.url}/`);
  for (const name of ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN', 'HF_HUB_OFFLINE']) vi.stubEnv(name, undefined);
  vi.stubEnv('HF_TOKEN_PATH', '/nowhere');
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
});

/** What came since. */
async function since<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly came: HubRequest[] }> {
  const { length } = await asked();
  const result = await work();
  return { result, came: (await asked()).slice(length) };
}

test.each([
  ['owner/name', true],
  ['0wner/na_me-1.5@v1.0', true],
  ['owner/name@refs/pr/1', true],
  [`owner/name@${FIRST}`, true],
  ['./owner/name', false],
  ['owner/name/', false],
  ['/owner/name', false],
  ['../name', false],
  ['owner/../name', false],
  ['owner', false],
  ['a/b/c', false],
  ['owner/name/file.gguf', true],
  ['owner/name/sub/file.Q4_K_M.GGUF@v1', true],
  ['owner/name/../file.gguf', false],
  ['owner/name.gguf', false],
  ['owner/name:Q4_K_M', true],
  ['owner/name:Q4_K_M@refs/pr/1', true],
  ['owner/name:', false],
  ['owner/name:a/b', false],
  ['owner/name@', false],
  ['owner/name@..', false],
  ['owner/name@a/../b', false],
  ['owner/name@.', false],
  ['owner/name@a b', false],
  ['https://x/y', false],
  ['C:/models', false],
])('%s is a hub id: %s', (text, expected) => expect(isHubId(text)).toBe(expected));

test('a hub id may name one .gguf, by its name or a tag; the revision comes last', () => {
  expect(parseHubId('owner/name/a/b.gguf@refs/pr/1')).toEqual({ repository, revision: 'refs/pr/1', gguf: { file: 'a/b.gguf' } });
  expect(parseHubId('owner/name:Q4_K_M@v1')).toEqual({ repository, revision: 'v1', gguf: { tag: 'Q4_K_M' } });
  expect(parseHubId('owner/name@v1')).toEqual({ repository, revision: 'v1', gguf: undefined });
});

describe('a hub folder', () => {
  const textOf = async (source: string, options?: FolderOptions, name = 'a'): Promise<string> =>
    readText(await openFolder(source, options), name);

  test('reads all files of one commit, asked for once, when first used', async () => {
    const { result: folder, came } = await since(() => openFolder('owner/name'));
    expect(folder).toMatchObject({ location: 'owner/name', fixed: 'no' });
    expect(came).toEqual([]);
    expect(await Promise.all([readText(folder, 'a'), folder.size('none')])).toEqual(['A', undefined]);
    await order({ commit: SECOND, files: { a: 'new' } });
    expect(await folder.stamp!(['a'])).toBe(FIRST);
    expect(await readText(folder, 'a')).toBe('A');
    expect(await (await openFolder('owner/name')).stamp!(['a'])).toBe(SECOND);
  });

  test('of a commit is not asked for and never changes; of a branch with a slash', async () => {
    const { came } = await since(() => textOf('owner/name@refs/pr/1'));
    expect(came[0]!.url).toBe('/api/models/owner/name/revision/refs%2Fpr%2F1');
    const fixed = await since(() => openFolder(`owner/name@${FIRST}`));
    expect([fixed.result.fixed, await fixed.result.stamp!(['a']), await readText(fixed.result, 'a')]).toEqual(['yes', FIRST, 'A']);
    expect(fixed.came.filter(({ url }) => url.includes('/revision/'))).toEqual([]);
  });

  test('sends the token to the hub alone', async () => {
    vi.stubEnv('HF_TOKEN', `${TOKEN}\n`);
    const tokens = async (work: () => Promise<unknown>, host: 'hub' | 'store'): Promise<unknown[]> => {
      const { came } = await since(work);
      return [...new Set(came.filter((one) => one.host === host).map(({ authorization }) => authorization))];
    };
    const large = async (options?: FolderOptions): Promise<unknown> => (await openFolder('owner/name', options)).read('large', 0, 9);
    expect(await tokens(large, 'hub')).toEqual([`Bearer ${TOKEN}`]);
    expect(await tokens(large, 'store')).toEqual([undefined]);
    expect(await tokens(() => large({ hub: { token: 'other' } }), 'hub')).toEqual(['Bearer other']);
    expect(await tokens(() => large({ hub: { token: '' } }), 'hub')).toEqual([undefined]);
  });

  test('never shows a token that cannot be sent; refuses an endpoint that is none', async () => {
    const given = await openFolder('owner/name', { hub: { token: 'hf_se cret' } }).catch((error: unknown) => error);
    expect(given).toBeInstanceOf(TypeError);
    expect(String(given)).not.toContain('cret');
    for (const endpoint of ['ftp://x', 'hub', 'http://u:p@x']) {
      await expect(openFolder('owner/name', { hub: { endpoint } })).rejects.toThrow(TypeError);
    }
  });

  test.each<[readonly [number, string?], string | undefined, string, RegExp]>([
    [[401, 'RepoNotFound'], undefined, 'file_unreadable', /without a token \(401\): check the hub id; .*set HF_TOKEN/],
    [[403, 'GatedRepo'], undefined, 'file_unreadable', /set HF_TOKEN/],
    [[401], TOKEN, 'file_unreadable', /token may not read owner\/name .*\(401\)/],
    [[403, 'GatedRepo'], TOKEN, 'file_unreadable', /ask for access at http:\/\/127\.0\.0\.1:\d+\/owner\/name/],
    [
      [404, 'RepoNotFound'],
      undefined,
      'file_missing',
      /Nothing called owner\/name is here, so .*There is no owner\/name on .*check the hub id/,
    ],
    [[404, 'RevisionNotFound'], undefined, 'file_missing', /has no revision main/],
    [[404], undefined, 'file_missing', /There is no owner\/name/],
    [[500], undefined, 'file_unreadable', /answered 500/],
    [[200], undefined, 'file_invalid', /refused|JSON/],
  ])('%j with the token %s → %s', async ([status, word], token, code, message) => {
    await faults({ on: 'api', kind: 'status', status, headers: word === undefined ? {} : { 'x-error-code': word } });
    const folder = await openFolder('owner/name', { hub: { token } });
    await expect(folder.size('a')).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    await faults();
    expect(await folder.stamp!(['a'])).toBe(FIRST); // asked again
  });

  test('that is not there at all, not to be asked, or given up', async () => {
    const nowhere = await openFolder('owner/name', { hub: { endpoint: 'http://127.0.0.1:1' } });
    const message = expect.stringMatching(/^Nothing called owner\/name is here.*cannot be fetched.*attempt 3/);
    await expect(nowhere.size('a')).rejects.toMatchObject({ code: 'file_unreadable', message });
    const signal = AbortSignal.abort(new Error('nobody waits'));
    await expect((await openFolder('owner/name', { signal })).size('a')).rejects.toThrow('nobody waits');
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    const { came } = await since(async () =>
      expect(textOf('owner/name')).rejects.toMatchObject({ code: 'file_unreadable', message: expect.stringContaining('HF_HUB_OFFLINE') }),
    );
    expect(came).toEqual([]);
  });

  test('knows which .gguf is meant, and tells of all others', async () => {
    const files = {
      'm-Q4_K_M.gguf': 'x',
      'm-Q4_K_S.gguf': 'x',
      'sub/m.BF16-00001-of-00002.gguf': 'x',
      'sub/m.BF16-00002-of-00002.gguf': 'x',
    };
    await order({ files: { ...files, 'mmproj-BF16.gguf': 'x' } });
    const { chooseGguf } = await import('../../src/formats/gguf-choice.ts');
    const choice = async (id: string): Promise<string | undefined> => chooseGguf(await openFolder(id));
    expect(await choice('owner/name:q4_k_m')).toBe('m-Q4_K_M.gguf');
    expect(await choice('owner/name:BF16')).toBe('sub/m.BF16-00001-of-00002.gguf');
    expect(await choice('owner/name/m-Q4_K_S.gguf@v1')).toBe('m-Q4_K_S.gguf');
    const there = 'm-Q4_K_M.gguf, m-Q4_K_S.gguf, sub/m.BF16-00001-of-00002.gguf.';
    for (const id of ['owner/name:Q4_K', 'owner/name:F16', 'owner/name/m.gguf']) {
      await expect(choice(id), id).rejects.toMatchObject({ code: 'file_missing', message: expect.stringContaining(there) });
    }
    await expect(choice('owner/name')).rejects.toMatchObject({ code: 'gguf_ambiguous', message: expect.stringContaining(there) });
    await order({ files: { 'a-Q4_K_M.gguf': 'x', 'b-Q4_K_M.gguf': 'x', 'config.json': '{}' } });
    for (const id of ['owner/name:Q4_K_M', 'owner/name']) await expect(choice(id)).rejects.toMatchObject({ code: 'gguf_ambiguous' });
    await order({ files: { 'a.gguf': 'x', 'config.json': '{}', params: '{}' } });
    expect(await choice('owner/name')).toBe('a.gguf');
    await order({ files: { 'a.gguf': 'x', 'config.json': '{}', 'model-00001-of-00002.safetensors': 'x' } });
    expect(await choice('owner/name')).toBeUndefined(); // config.json is of what lies beside it
    await order({ files: { 'a.gguf': 'x' } });
    expect(await choice('owner/name')).toBe('a.gguf');
    await order({ files: { 'a.bin': 'x' } });
    expect(await choice('owner/name')).toBeUndefined();
    await expect(choice('owner/name:Q8_0')).rejects.toMatchObject({
      code: 'file_missing',
      message: expect.stringContaining('no .gguf at all'),
    });
  });
});

describe('a string without a scheme', () => {
  test('is an existing folder, else a hub id; a path beyond doubt is no hub id', async () => {
    expect((await (await openFolder('src/formats')).size('http.ts'))! > 0).toBe(true);
    for (const path of ['./owner/name', 'owner/name/', 'owner/name/deeper', 'owner']) {
      const message = expect.stringContaining(`There is no folder ${path}.`);
      await expect(openFolder(path), path).rejects.toMatchObject({ code: 'file_missing', message });
    }
    await expect(openFolder('owner')).rejects.toThrow(
      'It is no hub id either: those are owner/name, owner/name@revision, owner/name/file.gguf.',
    );
    await expect(openFolder('./owner/name')).rejects.not.toThrow('hub');
  });

  test('stays the hub id that it was when it was named', async () => {
    const folder = await openFolder('src/formats', { prefer: 'hub' });
    await expect(folder.size('http.ts')).rejects.toThrow(
      'Nothing called src/formats was here when it was named, so it was taken for a hub id.',
    );
    expect((await openFolder('./src/formats', { prefer: 'hub' })).location).toBe('./src/formats');
  });

  test('is a hub id or an address where there is no file system', async () => {
    const { endpoint, token } = { endpoint: hub.url, token: TOKEN };
    const page = 'http://127.0.0.1:1/app/';
    vi.stubGlobal('location', { href: page });
    vi.stubGlobal('process', { ...process, getBuiltinModule: undefined });
    const access = { hub: { endpoint, token } };
    expect((await openFolder('owner/name', access)).location).toBe('owner/name');
    expect((await openFolder('./owner/name', access)).location).toBe(`${page}owner/name/`);
    expect((await openFolder('owner/name/', access)).location).toBe(`${page}owner/name/`);
    expect((await openFolder('models/a/b', access)).location).toBe(`${page}models/a/b/`);
    const gguf = await openFolder('./owner/name/m%20x.gguf', access);
    expect([gguf.location, gguf.gguf]).toEqual([`${page}owner/name/`, { file: 'm x.gguf' }]);
    expect((await openFolder('owner/name/m.gguf', access)).gguf).toEqual({ file: 'm.gguf' });
    const message = expect.stringMatching(/^models\/base was taken for a hub id; .* is \.\/models\/base\. There is no models\/base on/);
    await expect((await openFolder('models/base', access)).size('a')).rejects.toMatchObject({ code: 'file_missing', message });
  });
});
