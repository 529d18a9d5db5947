import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { isHubId, openFolder, readText } from '../../src/formats/folder.ts';
import { openHubFolder } from '../../src/formats/hub.ts';
import { openServer } from './local-server.ts';
import type { LocalServer } from './local-server.ts';

const [FIRST, SECOND] = ['1'.repeat(40), '2'.repeat(40)] as const;
const TOKEN = 'hf_secret';

/** Commits by `repository@revision`. */
let revisions: Record<string, unknown> = {};
/** Answers in place of all others: status and the hub's word. */
let refusal: readonly [status: number, word?: string] | undefined;
let hub: LocalServer;
let store: LocalServer;
beforeAll(async () => {
  store = await openServer((request, response) => void response.writeHead(200, { etag: '"x"' }).end(request.url));
  hub = await openServer((request, response) => {
    const [, repository, revision] = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/([^/]+)$/.exec(request.url!) ?? [];
    if (refusal) return void response.writeHead(refusal[0], refusal[1] ? { 'x-error-code': refusal[1] } : {}).end('{}');
    if (repository) {
      const sha = revisions[`${repository}@${decodeURIComponent(revision!)}`];
      return void response.writeHead(200).end(JSON.stringify({ sha }));
    }
    if (request.url!.endsWith('/none')) return void response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end();
    // Large files lie elsewhere.
    response.writeHead(302, { location: `${store.url}${request.url}` }).end();
  });
});
afterAll(() => {
  hub.close();
  store.close();
});
beforeEach(() => {
  revisions = { 'owner/name@main': FIRST };
  refusal = undefined;
  hub.asked.length = 0;
  store.asked.length = 0;
  vi.stubEnv('HF_ENDPOINT', `${hub.url}/`);
  vi.stubEnv('HF_TOKEN', undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
});

const urls = (server: LocalServer) => server.asked.map(({ url }) => url);
const tokens = (server: LocalServer) => server.asked.map(({ headers }) => headers.authorization);

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
  ['owner/name@', false],
  ['owner/name@..', false],
  ['owner/name@a/../b', false],
  ['owner/name@.', false],
  ['owner/name@a b', false],
  ['https://x/y', false],
  ['C:/models', false],
])('%s is a hub id: %s', (text, expected) => expect(isHubId(text)).toBe(expected));

describe('a hub folder', () => {
  test('reads all files of one commit, asked for once, when first used', async () => {
    const folder = await openFolder('owner/name');
    expect(folder).toMatchObject({ location: 'owner/name', fixed: 'no' });
    expect(hub.asked).toEqual([]);
    expect(await Promise.all([readText(folder, 'a'), folder.size('none')])).toEqual([`/owner/name/resolve/${FIRST}/a`, undefined]);
    revisions['owner/name@main'] = SECOND;
    expect(await readText(folder, 'b')).toBe(`/owner/name/resolve/${FIRST}/b`);
    expect(await folder.stamp!(['a'])).toBe(FIRST);
    expect(urls(hub).filter((url) => url!.startsWith('/api/'))).toEqual(['/api/models/owner/name/revision/main']);
    expect(await (await openFolder('owner/name')).stamp!(['a'])).toBe(SECOND);
  });

  test('of a branch with a slash; of a commit, which is not asked for and never changes', async () => {
    revisions['owner/name@refs/pr/1'] = SECOND;
    expect(await readText(await openFolder('owner/name@refs/pr/1'), 'a')).toBe(`/owner/name/resolve/${SECOND}/a`);
    hub.asked.length = 0;
    const folder = await openFolder(`owner/name@${FIRST}`);
    expect(await readText(folder, 'a')).toBe(`/owner/name/resolve/${FIRST}/a`);
    expect(folder.fixed).toBe('yes');
    expect(await folder.stamp!(['a'])).toBe(FIRST);
    expect(urls(hub).filter((url) => url!.startsWith('/api/'))).toEqual([]);
  });

  test('sends the token to the hub alone', async () => {
    vi.stubEnv('HF_TOKEN', `${TOKEN}\n`);
    await readText(await openFolder('owner/name'), 'a');
    expect(new Set(tokens(hub))).toEqual(new Set([`Bearer ${TOKEN}`]));
    expect(store.asked.length).toBeGreaterThan(0);
    await readText(await openFolder(`${store.url}/m`), 'a');
    expect(new Set(tokens(store))).toEqual(new Set([undefined]));
    hub.asked.length = 0;
    await readText(await openFolder('owner/name', { hub: { token: 'other' } }), 'a');
    expect(new Set(tokens(hub))).toEqual(new Set(['Bearer other']));
    hub.asked.length = 0;
    await readText(await openFolder('owner/name', { hub: { token: '' } }), 'a');
    expect(new Set(tokens(hub))).toEqual(new Set([undefined]));
  });

  test('never shows a token that cannot be sent; refuses an endpoint that is none', async () => {
    const given = await openFolder('owner/name', { hub: { token: 'hf_se cret' } }).catch((error: unknown) => error);
    expect(given).toBeInstanceOf(TypeError);
    expect(String(given)).not.toContain('cret');
    for (const endpoint of ['ftp://x', 'hub', 'http://u:p@x']) {
      expect(() => openHubFolder('owner/name', { endpoint })).toThrow(TypeError);
    }
    expect(() => openHubFolder('./owner/name')).toThrow(TypeError);
  });

  test.each<[readonly [number, string?], string | undefined, string, RegExp]>([
    [[401, 'RepoNotFound'], undefined, 'file_unreadable', /without a token \(401\): check the hub id; .*set HF_TOKEN/],
    [[403, 'GatedRepo'], undefined, 'file_unreadable', /set HF_TOKEN/],
    [[401], TOKEN, 'file_unreadable', /token may not read owner\/name .*\(401\)/],
    [[403, 'GatedRepo'], TOKEN, 'file_unreadable', /ask for access at http:\/\/127\.0\.0\.1:\d+\/owner\/name/],
    [[404, 'RepoNotFound'], undefined, 'file_missing', /No folder owner\/name is here, so .*There is no owner\/name on .*check the hub id/],
    [[404, 'RevisionNotFound'], undefined, 'file_missing', /has no revision main/],
    [[404], undefined, 'file_missing', /There is no owner\/name/],
    [[500], undefined, 'file_unreadable', /answered 500/],
    [[200], undefined, 'file_unreadable', /without the commit/],
  ])('%j with the token %s → %s', async (status, token, code, message) => {
    refusal = status;
    const folder = await openFolder('owner/name', { hub: { token } });
    await expect(folder.size('a')).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    refusal = undefined;
    expect(await folder.stamp!(['a'])).toBe(FIRST); // asked again
  });

  test('a commit nobody asked for is refused with its first file', async () => {
    const folder = await openFolder(`owner/name@${SECOND}`);
    refusal = [404, 'RevisionNotFound'];
    await expect(folder.size('a')).rejects.toMatchObject({ code: 'file_missing', message: expect.stringContaining(SECOND) });
    refusal = [401, 'GatedRepo'];
    await expect(folder.read('a', 0, 1)).rejects.toMatchObject({ code: 'file_unreadable', message: expect.stringContaining('HF_TOKEN') });
  });

  test('a hub that answers anything but a commit, or not at all', async () => {
    for (const sha of [undefined, 7, 'main', `${FIRST}/../../x`]) {
      revisions['owner/name@main'] = sha;
      await expect((await openFolder('owner/name')).size('a')).rejects.toMatchObject({ code: 'file_unreadable' });
    }
    const nowhere = await openFolder('owner/name', { hub: { endpoint: 'http://127.0.0.1:1' } });
    const message = expect.stringMatching(/^No folder owner\/name is here.*cannot be fetched/);
    await expect(nowhere.size('a')).rejects.toMatchObject({ code: 'file_unreadable', message });
    const signal = AbortSignal.abort(new Error('nobody waits'));
    await expect((await openFolder('owner/name', { signal })).size('a')).rejects.toThrow('nobody waits');
  });
});

describe('a string without a scheme', () => {
  test('is an existing folder, else a hub id; a path beyond doubt is no hub id', async () => {
    expect((await (await openFolder('src/formats')).size('hub.ts'))! > 0).toBe(true);
    expect(hub.asked).toEqual([]);
    for (const path of ['./owner/name', 'owner/name/', 'owner/name/deeper', 'owner']) {
      const message = expect.stringContaining(`There is no folder ${path}.`);
      await expect(openFolder(path), path).rejects.toMatchObject({ code: 'file_missing', message });
    }
    await expect(openFolder('owner')).rejects.toThrow('It is no hub id either: those are owner/name or owner/name@revision.');
    await expect(openFolder('./owner/name')).rejects.not.toThrow('hub');
  });

  test('stays the hub id that it was when it was named', async () => {
    refusal = [404, 'RepoNotFound'];
    const folder = await openFolder('src/formats', { prefer: 'hub' });
    await expect(folder.size('hub.ts')).rejects.toThrow('No folder src/formats was here when it was named, so it was taken for a hub id.');
    expect((await openFolder('./src/formats', { prefer: 'hub' })).location).toBe('./src/formats');
  });

  test('is a hub id or an address where there is no file system', async () => {
    const { endpoint, token } = { endpoint: hub.url, token: TOKEN };
    vi.stubGlobal('location', { href: `${store.url}/app/` });
    vi.stubGlobal('process', { ...process, getBuiltinModule: undefined });
    const access = { hub: { endpoint, token } };
    expect((await openFolder('owner/name', access)).location).toBe('owner/name');
    expect((await openFolder('./owner/name', access)).location).toBe(`${store.url}/app/owner/name/`);
    expect((await openFolder('owner/name/', access)).location).toBe(`${store.url}/app/owner/name/`);
    expect((await openFolder('models/a/b', access)).location).toBe(`${store.url}/app/models/a/b/`);
    refusal = [404, 'RepoNotFound'];
    const message = expect.stringMatching(/^models\/base was taken for a hub id; .* is \.\/models\/base\. There is no models\/base on/);
    await expect((await openFolder('models/base', access)).size('a')).rejects.toMatchObject({ code: 'file_missing', message });
  });
});
