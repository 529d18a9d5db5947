import { mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openFolder } from '../../src/formats/folder.ts';
import { openServer } from './local-server.ts';
import type { LocalServer } from './local-server.ts';

interface Version {
  readonly content: string;
  readonly headers: Record<string, string>;
}

/** What the server has now, by name. */
let files: Record<string, Version> = {};
/** `whole`: it ignores ranges. */
let way: 'ranges' | 'whole' | 'failing' = 'ranges';
let server: LocalServer;
beforeAll(async () => {
  server = await openServer((request, response) => {
    const file = files[request.url!.slice(3)];
    if (way === 'failing') return void response.writeHead(500).end();
    if (!file) return void response.writeHead(404).end();
    const { content, headers } = file;
    const range = way === 'ranges' ? /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') : undefined;
    if (!range) return void response.writeHead(200, headers).end(content);
    const part = content.slice(Number(range[1]), Number(range[2]) + 1);
    if (part === '') return void response.writeHead(416, { ...headers, 'content-range': `bytes */${content.length}` }).end();
    response.writeHead(206, { ...headers, 'content-range': `bytes ${range[1]}-${range[2]}/${content.length}` }).end(part);
  });
});
afterAll(() => server.close());
beforeEach(() => {
  way = 'ranges';
  files = { a: { content: 'aaaa', headers: { etag: '"1"' } }, b: { content: 'bbbb', headers: { etag: 'W/"1"' } } };
  server.asked.length = 0;
});

const open = () => openFolder(`${server.url}/m`);
const stamp = async (names: readonly string[]) => (await open()).stamp!(names);

test('on the web: changes with any of the files, comes from the server itself', async () => {
  const first = await stamp(['a', 'b', 'none']);
  expect(first).toBeTypeOf('string');
  expect(await stamp(['a', 'b', 'none'])).toBe(first);
  expect(server.asked.map(({ headers }) => [headers.range, headers['cache-control']])).toEqual(
    Array.from({ length: 6 }, () => ['bytes=0-0', 'max-age=0']),
  );
  files.b = { content: 'BBBB', headers: { etag: 'W/"2"' } };
  const second = await stamp(['a', 'b', 'none']);
  expect(second).not.toBe(first);
  files.none = { content: '', headers: { etag: '"1"' } };
  expect(await stamp(['a', 'b', 'none'])).not.toBe(second);
  way = 'whole';
  expect(await stamp(['a'])).toBe('"1"');
});

test('on the web: undefined without an ETag, thrown where the server cannot say', async () => {
  files.b = { content: 'b', headers: {} };
  expect(await stamp(['a', 'b'])).toBeUndefined();
  files.b = { content: 'b', headers: { etag: '"gz"', 'content-encoding': 'gzip' } };
  expect(await stamp(['a', 'b'])).toBeUndefined();
  way = 'failing';
  await expect(stamp(['a'])).rejects.toMatchObject({ code: 'file_unreadable', message: expect.stringContaining('500') });
});

test('on the web: a file that changes while it is read is no mixture', async () => {
  const folder = await open();
  await folder.read('a', 0, 2);
  files.a = { content: 'AAAA', headers: { etag: '"2"' } };
  const changed = { code: 'file_unreadable', message: `${server.url}/m/a changed while it was read; try again.` };
  await expect(folder.read('a', 2, 4)).rejects.toMatchObject(changed);
  await expect(folder.stamp!(['a'])).rejects.toMatchObject(changed);
  way = 'whole';
  await expect(folder.read('a', 2, 4)).rejects.toMatchObject(changed);
  expect(await folder.read('b', 0, 1)).toEqual(Uint8Array.from([98]));
  expect(new TextDecoder().decode(await (await open()).read('a', 0, 4))).toBe('AAAA');
});

test('on the web: a weak tag is the same file’s, a size asked before counts, no tag is no change', async () => {
  const folder = await open();
  await folder.size('a');
  files.a = { ...files.a!, headers: { etag: 'W/"1"' } };
  await folder.read('a', 0, 2);
  files.a = { ...files.a!, headers: {} };
  await folder.read('a', 0, 2);
  files.a = { ...files.a!, headers: { etag: '"2"' } };
  await expect(folder.read('a', 0, 2)).rejects.toMatchObject({ code: 'file_unreadable' });
});

test('no-cache goes with every request', async () => {
  const folder = await openFolder(`${server.url}/m`, { cache: 'no-cache' });
  await folder.size('a');
  await folder.read('a', 0, 4);
  expect(server.asked.map(({ headers }) => headers['cache-control'])).toEqual(['max-age=0', 'max-age=0']);
  await (await open()).read('a', 0, 4);
  expect(server.asked.at(-1)!.headers['cache-control']).toBeUndefined();
});

test('on disk: changes with size, content and a name that comes or goes', async () => {
  const path = await mkdtemp(join(tmpdir(), 'weblora-'));
  const folder = await openFolder(path);
  const words = new Set<string | undefined>();
  const note = async () => {
    const word = await folder.stamp!(['a', 'b']);
    expect(await folder.stamp!(['a', 'b'])).toBe(word);
    words.add(word);
  };
  await note();
  await writeFile(join(path, 'a'), '1');
  await note();
  await writeFile(join(path, 'a'), '12');
  await note();
  await utimes(join(path, 'a'), 1, 1);
  await note();
  await new Promise((resolve) => setTimeout(resolve, 20)); // a file system's clock ticks in milliseconds
  await writeFile(join(path, 'a'), '21');
  await utimes(join(path, 'a'), 1, 1); // as copying tools do
  await note();
  await rename(join(path, 'a'), join(path, 'b'));
  await note();
  expect(words.size).toBe(6);
  expect(words.has(undefined)).toBe(false);
  expect(folder.fixed).toBe('no');
  await expect(folder.stamp!(['../a'])).rejects.toThrow(RangeError);
  await rm(path, { recursive: true });
});

test('dropped files: by size and date; they never change', async () => {
  const drop = (lastModified: number) => openFolder([new File(['x'], 'a', { lastModified })]);
  const folder = await drop(1);
  expect(folder.fixed).toBe('yes');
  const word = await folder.stamp!(['a', 'b']);
  expect(word).toBeTypeOf('string');
  expect(await (await drop(1)).stamp!(['a', 'b'])).toBe(word);
  expect(await (await drop(2)).stamp!(['a', 'b'])).not.toBe(word);
});
