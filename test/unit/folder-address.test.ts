import { resolve } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { settleAddress } from '../../src/formats/folder-address.ts';

afterEach(() => void vi.unstubAllGlobals());

const withoutFiles = (): void => void vi.stubGlobal('process', { ...process, getBuiltinModule: undefined });

test.each([
  ['src', resolve('src')],
  ['./src/', resolve('src')],
  ['none', resolve('none')],
  ['../none', resolve('../none')],
  ['/srv//adapters/', '/srv/adapters'],
  ['src/formats', resolve('src/formats')], // it reads as a hub id, and is there
  ['src/formats/folder.ts', resolve('src/formats/folder.ts')],
  ['package.json/name', 'package.json/name'],
  ['owner/name', 'owner/name'],
  ['owner/name@refs/pr/1', 'owner/name@refs/pr/1'],
  ['owner/name/', resolve('owner/name')],
  ['https://example.org/a', 'https://example.org/a'],
  ['HTTPS://EXAMPLE.org', 'https://example.org/'],
  ['file:///srv/a', 'file:///srv/a'],
  ['http://', 'http://'],
  ['', ''],
])('%s on disk is %s', (text, meant) => expect(settleAddress(text)).toBe(meant));

test('a URL object is its text', () => {
  expect(settleAddress(new URL('https://example.org/a?b'))).toBe('https://example.org/a?b');
});

test.each([
  ['adapters', 'https://example.org/app/adapters'],
  ['./models/base', 'https://example.org/app/models/base'],
  ['/a/b/c', 'https://example.org/a/b/c'],
  ['models/base', 'models/base'],
  ['https://other.org/a', 'https://other.org/a'],
  ['//', '//'],
])('%s on a page is %s', (text, meant) => {
  withoutFiles();
  vi.stubGlobal('location', { href: 'https://example.org/app/index.html' });
  expect(settleAddress(text)).toBe(meant);
});

test('where there is neither page nor file system texts stay as they are', () => {
  withoutFiles();
  expect(settleAddress('adapters')).toBe('adapters');
  vi.stubGlobal('location', { href: 'blob:null/1' });
  expect(settleAddress('./a')).toBe('./a');
});

test('without the right to know the working folder a path stays as it is', () => {
  const denied = (): never => {
    throw new Error('Requires read access');
  };
  const { getBuiltinModule } = process;
  const modules = (name: string) => (name === 'node:path' ? { resolve: denied } : getBuiltinModule(name));
  vi.stubGlobal('process', { ...process, getBuiltinModule: modules });
  expect(settleAddress('a')).toBe('a');
});
