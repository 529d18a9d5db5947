import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
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
    for (const [i, key] of keys.entries()) await store.put([[key, Uint8Array.of(i)]]);
    await writeFile(join(path, 'notes.txt'), 'not ours');
    expect([...(await folderStore(path).keys(''))].sort()).toEqual([...keys].sort());
    for (const [i, key] of keys.entries()) expect(await store.get(key)).toEqual(Uint8Array.of(i));
    expect((await readdir(root)).toSorted()).not.toContain('x=');
  });

  test('has a name: an empty one would be whatever folder the process runs in', () => {
    for (const path of ['', undefined, new URL('file:///tmp')]) expect(() => folderStore(path as string)).toThrow(TypeError);
  });

  test('a disk that refuses is told of', async () => {
    await writeFile(join(root, 'file'), '');
    const refused = { code: 'store_failed', message: expect.stringContaining(join(root, 'file')) };
    await expect(folderStore(join(root, 'file')).put([['a', Uint8Array.of(1)]])).rejects.toMatchObject(refused);
  });

  test('what killed writers left is swept when it is old, and is never read', async () => {
    const path = join(root, 'killed');
    const store = folderStore(path);
    await store.put([['k', Uint8Array.of(1)]]);
    for (const name of ['old.partial', 'new.partial']) await writeFile(join(path, name), 'half');
    await utimes(join(path, 'old.partial'), new Date(), new Date(Date.now() - 3_600_000));
    expect(await store.entries('')).toEqual([['k', Uint8Array.of(1)]]);
    expect((await readdir(path)).toSorted()).toEqual(['k=', 'new.partial']);
  });

  test('where one of several entries cannot be written, none is', async () => {
    const path = join(root, 'none');
    const store = folderStore(path);
    await store.put([['a', Uint8Array.of(1)]]);
    const long = 'x'.repeat(300);
    await writeFile(join(path, `${'x'.repeat(200)}+`), 'a file where the long key needs a folder');
    const putting = store.put([
      ['a', Uint8Array.of(2)],
      [long, Uint8Array.of(2)],
    ]);
    await expect(putting).rejects.toMatchObject({ code: 'store_failed', cause: { code: expect.stringMatching('EEXIST|ENOTDIR') } });
    expect(await store.get('a')).toEqual(Uint8Array.of(1));
    expect((await readdir(path)).filter((name) => name.endsWith('.partial'))).toEqual([]);
  });

  test('a call waits only for calls with the same key', async () => {
    const store = folderStore(join(root, 'keys'));
    const large = new Uint8Array(32 << 20);
    let overtaken = false;
    // a busy disk may be done with the large one first; behind it in one row, the small one never would be
    for (let round = 0; round < 10 && !overtaken; round++) {
      const ended: string[] = [];
      const note = (name: string) => (): unknown => ended.push(name);
      await Promise.all([
        store.put([['large', large]]).then(note('large')),
        store.get('large').then((found) => ended.push(`large ${found?.length}`)),
        store.put([['small', Uint8Array.of(1)]]).then(note('small')),
      ]);
      expect(ended.filter((name) => name !== 'small')).toEqual(['large', `large ${large.length}`]);
      overtaken = ended[0] === 'small';
    }
    expect(overtaken).toBe(true);
  });
});

describe('processes that share a folder', () => {
  let script: string;
  beforeAll(async () => {
    script = join(root, 'process.mjs');
    const worker = `
      import { folderStore } from './folder-store.ts';
      const [path, name, rounds] = process.argv.slice(2);
      const store = folderStore(path);
      for (let i = 0; i < Number(rounds); i++) {
        await store.exclusive(async () => {
          const count = (await store.get('count'))?.[0] ?? 0;
          await new Promise((resolve) => setTimeout(resolve, 2));
          await store.put([['count', Uint8Array.of(count + 1)]]);
          if (name === 'stuck') await new Promise(() => console.log('in'));
        });
      }`;
    const resolveDir = fileURLToPath(new URL('../../src/node/', import.meta.url));
    await build({ stdin: { contents: worker, resolveDir, loader: 'ts' }, bundle: true, platform: 'node', format: 'esm', outfile: script });
  });
  const start = (...args: string[]): ChildProcess => spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });

  test('take turns, and go on when one is killed in its turn', async () => {
    const path = join(root, 'shared');
    const store = folderStore(path);
    const stuck = start(path, 'stuck', '1');
    await once(stuck.stdout!, 'data');
    stuck.kill('SIGKILL');
    await once(stuck, 'exit');
    const began = performance.now();
    const others = [start(path, 'a', '20'), start(path, 'b', '20'), start(path, 'c', '20')];
    const codes = await Promise.all(others.map(async (other) => ((await once(other, 'exit')) as unknown[])[0]));
    expect(codes).toEqual([0, 0, 0]);
    expect(await store.get('count')).toEqual(Uint8Array.of(61));
    expect(performance.now() - began).toBeLessThan(12_000);
    expect((await readdir(join(path, 'lock'))).length).toBe(1);
  });

  test('wait for one that works for long, and not for what is of yesterday', async () => {
    const path = join(root, 'slow');
    const [first, second] = [folderStore(path), folderStore(path)];
    const seen: string[] = [];
    const long = first.exclusive(async () => {
      await new Promise((resolve) => setTimeout(resolve, 5500));
      seen.push('long');
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    await Promise.all([long, second.exclusive(async () => seen.push('next'))]);
    expect(seen).toEqual(['long', 'next']);
    await writeFile(join(path, 'lock', '99.lock'), '');
    await utimes(join(path, 'lock', '99.lock'), new Date(), new Date(Date.now() - 86_400_000));
    const began = performance.now();
    await first.exclusive(async () => undefined);
    expect(performance.now() - began).toBeLessThan(1000);
  });
});
