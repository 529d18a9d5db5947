import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { hubSite } from '../../src/formats/hub-access.ts';
import { askHub } from '../../src/formats/hub-request.ts';
import { openServer } from './local-server.ts';
import type { LocalServer } from './local-server.ts';

let hub: LocalServer;
let store: LocalServer;
beforeAll(async () => {
  store = await openServer((_, response) => void response.end('bytes'));
  hub = await openServer((request, response) => {
    const target = { '/here': '/x', '/away': `${store.url}/x`, '/twice': '/away', '/loop': '/loop' }[request.url!];
    if (target === undefined) return void response.end('own bytes');
    response.writeHead(307, { location: target }).end();
  });
});
afterAll(() => {
  hub.close();
  store.close();
});
beforeEach(() => {
  hub.asked.length = 0;
  store.asked.length = 0;
});
afterEach(() => vi.unstubAllGlobals());

const tokens = (server: LocalServer) => server.asked.map(({ headers }) => headers.authorization);
const ask = (path: string) =>
  askHub(hubSite('owner/name', { endpoint: hub.url, token: 't' }), hub.url + path, { headers: { range: 'bytes=0-4' } });

/** A page's fetch: it shows no redirect. `leaky`: it sends all headers wherever it is led. */
function stubFetch(kind: 'page' | 'leaky'): void {
  const real = globalThis.fetch;
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    if (kind === 'page' && init.redirect === 'manual') {
      const response = await real(url, init);
      return response.status < 300 ? response : { type: 'opaqueredirect', status: 0, body: null, headers: new Headers() };
    }
    let response = await real(url, { ...init, redirect: 'manual' });
    if (init.redirect === 'manual' || kind === 'page') return kind === 'page' ? real(url, init) : response;
    for (let target = response.headers.get('location'); target; target = response.headers.get('location')) {
      response = await real(new URL(target, url), { ...init, redirect: 'manual' });
    }
    return response;
  });
}

test.each(['/away', '/twice'])('the token stays with the hub, whatever fetch does: %s', async (path) => {
  stubFetch('leaky');
  const { response, address } = await ask(path);
  expect([await response.text(), address]).toEqual(['bytes', `${store.url}/x`]);
  expect(new Set(tokens(hub))).toEqual(new Set(['Bearer t']));
  expect(tokens(store)).toEqual([undefined]);
  expect(store.asked[0]!.headers.range).toBe('bytes=0-4');
});

test('a redirect inside the hub keeps it', async () => {
  const { response, address } = await ask('/here');
  expect([await response.text(), address]).toEqual(['own bytes', `${hub.url}/x`]);
  expect(tokens(hub)).toEqual(['Bearer t', 'Bearer t']);
});

test('a loop ends', async () => {
  await expect(ask('/loop')).rejects.toMatchObject({
    code: 'file_unreadable',
    message: expect.stringContaining('redirects more than 8 times'),
  });
});

test('where redirects are not shown fetch follows them, from the first one on', async () => {
  stubFetch('page');
  for (let i = 0; i < 2; i++) {
    const { response, address } = await ask('/away');
    expect([await response.text(), address]).toEqual(['bytes', `${store.url}/x`]);
  }
  expect(tokens(store)).toEqual([undefined, undefined]);
  expect(hub.asked.length).toBeGreaterThanOrEqual(3);
});
