import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { folderStore } from '../../src/node.ts';
import { storeCases } from '../suites/stores.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weblora-store-'));
});
afterAll(() => rm(root, { recursive: true }));

describe('a folder as a store', () => {
  for (const { name, run } of storeCases({ open: (name) => folderStore(join(root, name)) })) test(name, run);

  test('keys of any length and letter keep apart, and files of others are no keys', async () => {
    const path = join(root, 'long');
    const store = folderStore(path);
    const keys = ['a'.repeat(200), 'a'.repeat(201), 'A'.repeat(200), 'm:../x', '', 'ü/*+=^', '^a'];
    for (const [i, key] of keys.entries()) await store.put(key, Uint8Array.of(i));
    await writeFile(join(path, 'notes.txt'), 'not ours');
    expect([...(await folderStore(path).keys(''))].sort()).toEqual([...keys].sort());
    for (const [i, key] of keys.entries()) expect(await store.get(key)).toEqual(Uint8Array.of(i));
    expect((await readdir(root)).toSorted()).not.toContain('x=');
  });

  test('a disk that refuses is told of', async () => {
    await writeFile(join(root, 'file'), '');
    const refused = { code: 'store_failed', message: expect.stringContaining(join(root, 'file')) };
    await expect(folderStore(join(root, 'file')).put('a', Uint8Array.of(1))).rejects.toMatchObject(refused);
  });
});
