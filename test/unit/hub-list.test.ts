import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { connectionGate } from '../../src/formats/download-gate.ts';
import { anyHash, portableHash } from '../../src/formats/hash.ts';
import { listHubFiles } from '../../src/formats/hub-list.ts';
import { isGivenUp, passingFailure, patience, pauseAfter, systemClock } from '../../src/formats/hub-retry.ts';
import { WebLoraError } from '../../src/errors.ts';
import { openServer } from './local-server.ts';
import type { LocalServer } from './local-server.ts';

const COMMIT = '1'.repeat(40);
const OID = 'a'.repeat(40);
/** Answers for the list of files, by page. */
let pages: Record<string, { readonly body: unknown; readonly link?: string }> = {};
let hub: LocalServer;
let other: LocalServer;
beforeAll(async () => {
  const answer: Parameters<typeof openServer>[0] = (request, response) => {
    if (request.url!.includes('/revision/')) return void response.end(JSON.stringify({ sha: COMMIT }));
    const { body, link } = pages[new URL(request.url!, 'http://x').searchParams.get('page') ?? '']!;
    response.writeHead(200, link === undefined ? {} : { link }).end(typeof body === 'string' ? body : JSON.stringify(body));
  };
  hub = await openServer(answer);
  other = await openServer(answer);
});
afterAll(() => {
  hub.close();
  other.close();
});
beforeEach(() => {
  pages = {};
  other.asked.length = 0;
});

const list = () => listHubFiles('owner/name', { endpoint: hub.url, token: 'hf_secret' });
const file = { type: 'file', path: 'a', size: 1, oid: OID };

describe('a list of files', () => {
  test.each<[string, unknown, RegExp]>([
    ['no JSON', '<html>', /not valid JSON/],
    ['no list', { error: 'x' }, /not a list of files: is it a hub/],
    ['an entry that is none', [7], /must be a JSON object/],
    ['a name that leaves the folder', [{ ...file, path: '../a' }], /describes a file by/],
    ['an absolute name', [{ ...file, path: '/a' }], /describes a file by/],
    ['no name', [{ ...file, path: undefined }], /describes a file by/],
    ['a negative size', [{ ...file, size: -1 }], /describes a file by/],
    ['a size that is no number', [{ ...file, size: '1' }], /describes a file by/],
    ['a hash that leaves the folder', [{ ...file, oid: '../../x' }], /describes a file by/],
    ['a large file with such a hash', [{ ...file, lfs: { oid: `${'b'.repeat(62)}/x`, size: 1 } }], /describes a file by/],
  ])('%s is refused', async (_, body, message) => {
    pages[''] = { body };
    await expect(list()).rejects.toMatchObject({ code: 'file_invalid', message: expect.stringMatching(message) });
  });

  test('the large file’s size is the one that counts; folders are left out', async () => {
    const lfs = { oid: 'b'.repeat(64), size: 5e9, pointerSize: 135 };
    pages[''] = { body: [file, { type: 'directory', path: 'd', oid: OID, size: 0 }, { ...file, path: 'd/big', size: 135, lfs }] };
    const big = { name: 'd/big', size: 5e9, oid: OID, sha256: 'b'.repeat(64) };
    expect(await list()).toEqual({
      repository: 'owner/name',
      commit: COMMIT,
      files: [{ name: 'a', size: 1, oid: OID, sha256: undefined }, big],
    });
  });

  test('goes on over pages, on another host without the token, and not for ever', async () => {
    pages[''] = { body: [file], link: `<${hub.url}/x>; rel="prev", <${other.url}/?page=2>; rel="next"` };
    pages['2'] = { body: [{ ...file, path: 'b' }] };
    expect((await list()).files.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(other.asked.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    pages['2'] = { body: [], link: '<?page=2>; rel="next"' };
    await expect(list()).rejects.toMatchObject({ code: 'file_invalid', message: expect.stringContaining('without an end') });
  });
});

describe('patience', () => {
  const clock = { now: () => Date.parse('2026-01-01T00:00:00Z'), sleep: vi.fn(async (_milliseconds: number) => undefined) };
  const failure = new WebLoraError('file_unreadable', 'The server answered 503.');
  beforeEach(() => clock.sleep.mockClear());

  test.each<[number, Record<string, string>, number | undefined]>([
    [429, { 'retry-after': '7' }, 7000],
    [503, { 'retry-after': 'Thu, 01 Jan 2026 00:00:09 GMT' }, 9000],
    [503, { 'retry-after': 'Wed, 31 Dec 2025 00:00:09 GMT' }, 0],
    [429, { ratelimit: '"api";r=0;t=55' }, 55_000],
    [500, { 'retry-after': 'soon' }, undefined],
    [502, {}, undefined],
  ])('%i with %j waits %j', (status, headers, wait) => {
    expect(passingFailure('x', new Response('', { status, headers }), clock)).toMatchObject({ wait });
  });

  test.each([200, 206, 301, 400, 401, 404, 416, 501])('%i is not tried again', (status) => {
    expect(passingFailure('x', new Response(null, { status }), clock)).toBeUndefined();
  });

  test('waits longer each time, and ends', async () => {
    const patient = patience({ clock });
    for (let failures = 1; failures <= 5; failures++) await pauseAfter({ failure }, failures, patient);
    for (const [i, [wait]] of clock.sleep.mock.calls.entries()) {
      expect(wait).toBeGreaterThanOrEqual(250 * 2 ** i);
      expect(wait).toBeLessThanOrEqual(Math.min(750 * 2 ** i, 12_000));
    }
    const error: unknown = await pauseAfter({ failure }, 6, patient).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'file_unreadable', message: expect.stringContaining('attempt 6') });
    expect([isGivenUp(error), isGivenUp(failure)]).toEqual([true, false]);
    const reason = new Error('enough');
    await expect(pauseAfter({ failure }, 1, { ...patient, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test('the system’s clock ends with the signal', async () => {
    const controller = new AbortController();
    const sleeping = systemClock.sleep(60_000, controller.signal);
    controller.abort(new Error('enough'));
    await expect(sleeping).rejects.toThrow('enough');
  });
});

test('small files get a connection before large ones; who leaves the line gets none', async () => {
  const gate = connectionGate(1);
  const release = await gate(5, undefined);
  const entered: number[] = [];
  const controller = new AbortController();
  const enter = (size: number, signal?: AbortSignal): Promise<void> =>
    gate(size, signal).then((free) => {
      entered.push(size);
      free();
    });
  const line = [enter(9), enter(2), enter(3, controller.signal).catch(() => 'left'), enter(1)];
  controller.abort();
  release();
  release();
  await Promise.all(line);
  expect(entered).toEqual([1, 2, 9]);
});

test('hashes are the same from Node and from the library of pages', async () => {
  for (const [kind, hex] of [
    ['sha1', 'a9993e364706816aba3e25717850c26c9cd0d89d'],
    ['sha256', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  ] as const) {
    for (const make of [anyHash(), portableHash]) {
      const hash = await make(kind);
      for (const letter of 'abc') hash.update(new TextEncoder().encode(letter));
      expect(hash.hex()).toBe(hex);
    }
  }
});
