import { mkdtemp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openFolder, readJson, readText } from '../../src/formats/folder.ts';
import type { Folder } from '../../src/formats/folder.ts';
import { memoryFolder } from './files.ts';

const CONTENT = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);
const FILES: Record<string, Uint8Array<ArrayBuffer>> = {
  'data.bin': CONTENT,
  'a b#?.json': new TextEncoder().encode('{"ok":"ü"}'),
  'empty.txt': new Uint8Array(0),
};

/** What every folder does, wherever it is. */
function behavesAsFolder(open: () => Promise<Folder>): void {
  test('tells sizes and reads parts', async () => {
    const folder = await open();
    expect(await folder.size('data.bin')).toBe(1000);
    expect(await folder.size('none.bin')).toBeUndefined();
    expect([...(await folder.read('data.bin', 500, 503))]).toEqual([...CONTENT.slice(500, 503)]);
    expect(await folder.read('data.bin', 0, 1000)).toEqual(CONTENT);
    expect((await folder.read('data.bin', 7, 7)).length).toBe(0);
    expect(await readJson(folder, 'a b#?.json')).toEqual({ ok: 'ü' });
    expect(await readText(folder, 'empty.txt')).toBe('');
  });

  test('refuses what is not there', async () => {
    const folder = await open();
    await expect(folder.read('none.bin', 0, 1)).rejects.toMatchObject({ code: 'file_missing' });
    await expect(readJson(folder, 'none.json')).rejects.toMatchObject({
      code: 'file_missing',
      message: expect.stringContaining('none.json'),
    });
    await expect(folder.read('data.bin', 990, 1001)).rejects.toMatchObject({ code: 'file_truncated' });
    await expect(folder.read('data.bin', 2 ** 50, 2 ** 50 + 8)).rejects.toMatchObject({ code: 'file_truncated' });
    // Nothing of that size may be allocated first.
    await expect(folder.read('data.bin', 0, 2 ** 45)).rejects.toMatchObject({ code: 'file_truncated' });
    await expect(folder.read('data.bin', 5, 4)).rejects.toThrow(RangeError);
    for (const name of ['../data.bin', '/data.bin', 'a//b', 'a\\b', '']) await expect(folder.size(name), name).rejects.toThrow(RangeError);
  });
}

describe('on disk', () => {
  let path = '';
  beforeAll(async () => {
    path = await mkdtemp(join(tmpdir(), 'weblora '));
    for (const [name, bytes] of Object.entries(FILES)) await writeFile(join(path, name), bytes);
    await mkdir(join(path, 'inner'));
    await symlink(join(path, 'data.bin'), join(path, 'linked.bin'));
  });
  afterAll(() => rm(path, { recursive: true }));

  describe('by path', () => behavesAsFolder(() => openFolder(path)));
  describe('by URL', () => behavesAsFolder(() => openFolder(pathToFileURL(path))));
  describe('by URL as text', () => behavesAsFolder(() => openFolder(`${pathToFileURL(path)}/`)));

  test('a path that is no folder → file_missing, as it was given', async () => {
    for (const wrong of [join(path, 'nothing'), join(path, 'data.bin'), join(path, 'data.bin', 'deeper'), './no/such/folder']) {
      await expect(openFolder(wrong)).rejects.toMatchObject({ code: 'file_missing', message: expect.stringContaining(wrong) });
    }
  });

  test('a folder is no file, a link is one', async () => {
    const folder = await openFolder(path);
    expect(await folder.size('inner')).toBeUndefined();
    await expect(folder.read('inner', 0, 1)).rejects.toMatchObject({ code: 'file_missing' });
    expect(await folder.size('linked.bin')).toBe(1000);
  });
});

type Kind = 'ranges' | 'whole' | 'chunked' | 'head-only' | 'breaks' | 'forbids' | 'lies';

/** A server of FILES under /m/; its ways are in the first part of the path. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url!, 'http://x');
  const [, kind, , name] = url.pathname.split('/') as [string, Kind, string, string];
  const bytes = FILES[decodeURIComponent(name)];
  if (kind === 'forbids' || (kind === 'ranges' && url.searchParams.get('key') !== '1')) return void response.writeHead(403).end();
  if (!bytes) return void response.writeHead(404).end();
  if (kind === 'chunked') {
    response.writeHead(request.method === 'HEAD' ? 405 : 200);
    response.write(bytes.slice(0, 10));
    return void response.end(bytes.slice(10));
  }
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  if (!range || kind === 'whole') return void response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
  const [first, last] = [Number(range[1]), Number(range[2])];
  if (first >= bytes.length) return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
  const part = bytes.slice(first, last + 1);
  const contentRange = `bytes ${first}-${first + part.length - 1}/${kind === 'head-only' ? '*' : bytes.length}`;
  response.writeHead(206, { 'content-range': contentRange, ...(kind === 'breaks' ? { 'content-length': part.length + 5 } : {}) });
  if (kind === 'breaks') return void response.write(part, () => response.destroy());
  response.end(kind === 'lies' ? new Uint8Array(part.length + 1) : part);
}

describe('on a web server', () => {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.headers.range ?? ''}`.trim());
    answer(request, response);
  });
  let base = '';
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => server.close());

  describe('with ranges and a signed URL', () => behavesAsFolder(() => openFolder(`${base}/ranges/m?key=1`)));
  describe('without ranges', () => behavesAsFolder(() => openFolder(new URL(`${base}/whole/m/`))));
  describe('without ranges, lengths, or HEAD', () => behavesAsFolder(() => openFolder(`${base}/chunked/m`)));
  describe('with the length in HEAD only', () => behavesAsFolder(() => openFolder(`${base}/head-only/m`)));

  test('a file of a server without ranges is fetched once', async () => {
    const folder = await openFolder(`${base}/whole/m`);
    requests.length = 0;
    await Promise.all([folder.read('data.bin', 0, 10), folder.read('data.bin', 20, 30)]);
    await folder.read('data.bin', 990, 1000);
    expect(requests).toEqual(['GET bytes=0-9', 'GET bytes=20-29']);
  });

  test('failures are file_unreadable', async () => {
    await expect((await openFolder(`${base}/forbids/m`)).size('data.bin')).rejects.toMatchObject({
      code: 'file_unreadable',
      message: expect.stringContaining('403'),
    });
    await expect((await openFolder('http://127.0.0.1:1/m')).size('data.bin')).rejects.toMatchObject({ code: 'file_unreadable' });
    await expect((await openFolder(`${base}/breaks/m`)).read('data.bin', 0, 10)).rejects.toMatchObject({ code: 'file_unreadable' });
    await expect((await openFolder(`${base}/lies/m`)).read('data.bin', 0, 10)).rejects.toMatchObject({ code: 'file_unreadable' });
  });
});

describe('dropped files', () => {
  const drop = (paths: readonly string[]) =>
    paths.map((path) => {
      const name = path.split('/').at(-1)!;
      const file = new File([FILES[name] ?? path], name);
      return path.includes('/') ? Object.defineProperty(file, 'webkitRelativePath', { value: path }) : file;
    });

  describe('by name', () => behavesAsFolder(() => openFolder(drop(Object.keys(FILES)))));
  describe('by path', () => behavesAsFolder(() => openFolder(drop(Object.keys(FILES).map((name) => `model/base/${name}`)))));

  test('the least deep one is meant; two alike are refused', async () => {
    const folder = await openFolder(drop(['m/config.json', 'm/onnx/config.json', 'm/a/x.txt', 'm/b/x.txt']));
    expect(folder.location).toBe('m');
    expect(await readText(folder, 'config.json')).toBe('m/config.json');
    expect(await readText(folder, 'onnx/config.json')).toBe('m/onnx/config.json');
    await expect(folder.size('x.txt')).rejects.toMatchObject({ code: 'file_invalid' });
  });
});

describe('bytes', () => {
  behavesAsFolder(() => openFolder(FILES));
  describe('as buffers', () =>
    behavesAsFolder(() => openFolder(Object.fromEntries(Object.entries(FILES).map(([name, { buffer }]) => [name, buffer])))));

  test('are copied only when they are read, a part of a larger buffer too', async () => {
    const bytes = Buffer.from(new Uint8Array(20).buffer, 5, 10);
    const folder = await openFolder({ x: bytes });
    bytes[1] = 7;
    const read = await folder.read('x', 0, 10);
    expect(read).toEqual(Uint8Array.from([0, 7, 0, 0, 0, 0, 0, 0, 0, 0]));
    bytes[1] = 8;
    expect(read[1]).toBe(7);
    expect(folder).toMatchObject({ location: 'bytes', fixed: 'yes' });
  });

  test('a buffer that was given away → file_unreadable; names that leave a folder are refused', async () => {
    const buffer = new ArrayBuffer(10);
    const folder = await openFolder({ x: buffer });
    structuredClone(buffer, { transfer: [buffer] });
    await expect(folder.read('x', 0, 10)).rejects.toMatchObject({ code: 'file_unreadable', message: expect.stringContaining('bytes/x') });
    await expect(openFolder({ '../x': new ArrayBuffer(1) })).rejects.toThrow(RangeError);
  });
});

describe('text and JSON', () => {
  test.each([
    ['{"a": NaN}', /NaN at line 1, column 7/],
    ['{"NaN\\"": "Infinity",\n "b": [1, -Infinity]}', /-Infinity at line 2, column 11/],
    ['{"a": 1,}', /x\.json/],
    ['', /x\.json/],
  ])('%s → file_invalid', async (text, message) => {
    await expect(readJson(memoryFolder({ 'x.json': text }), 'x.json')).rejects.toMatchObject({
      code: 'file_invalid',
      message: expect.stringMatching(message),
    });
  });

  test('no UTF-8, too large → file_invalid', async () => {
    await expect(readText(memoryFolder({ 'x.txt': Uint8Array.of(0xff) }), 'x.txt')).rejects.toMatchObject({ code: 'file_invalid' });
    const large: Folder = { location: 'm', size: async () => 65 << 20, read: () => Promise.reject(new Error('read')) };
    await expect(readText(large, 'x.txt')).rejects.toMatchObject({ code: 'file_invalid' });
  });

  test('other sources are TypeErrors', async () => {
    for (const source of ['', 'ftp://x/y', 'hf:model', 7, {}, { x: 'text' }, { x: new Uint8Array(1), y: 1 }, undefined])
      await expect(openFolder(source as string)).rejects.toThrow(TypeError);
    const folder = memoryFolder({});
    expect(await openFolder(folder)).toBe(folder);
  });
});
