import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { memoryStore } from '../../src/adapters/store.ts';
import { createAdapterRegistry } from '../../src/engine/adapter-registry.ts';
import { fatefulStore } from '../suites/stores.ts';
import { serveWeb, url } from './engine-web.ts';
import { adapterFiles, answer, dropped, open } from './tiers-harness.ts';

let base: string;
const home = process.cwd();
beforeEach(async () => void (base = await mkdtemp(join(tmpdir(), 'weblora-origins-'))));
afterEach(async () => {
  process.chdir(home);
  vi.unstubAllGlobals();
  await rm(base, { recursive: true });
});

/** Writes an adapter's files and gives the folder's path. */
async function write(path: string, seed: number): Promise<string> {
  const folder = join(base, path);
  await mkdir(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(adapterFiles(seed))) await writeFile(join(folder, name), bytes);
  return folder;
}

describe('a path', () => {
  test('is the folder that it was when it was typed, for people as they typed it', async () => {
    const store = memoryStore();
    await write('A/out', 1);
    const other = await write('B/out', 2);
    process.chdir(join(base, 'A'));
    const first = await open({ store });
    await first.adapters.add('json', 'out');
    process.chdir(base);
    expect([await first.ask('json'), (await first.adapters.list())[0]!.source]).toEqual([await answer(1), 'out']);
    await first.close();

    process.chdir(join(base, 'B'));
    const second = await open({ store });
    const from = expect.stringContaining(`"json" is registered from ${join(base, 'A/out')}.`);
    await expect(second.adapters.add('json', 'out')).rejects.toMatchObject({ code: 'adapter_exists', message: from });
    expect(await second.ask('json')).toBe(await answer(1));
    await second.adapters.add('alias', 'out');
    await second.adapters.add('json', './out', { replace: true });
    await second.adapters.add('json', other); // the same
    expect([await second.ask('alias'), await second.ask('json')]).toEqual([await answer(2), await answer(2)]);
    await second.close();
  });

  test('that reads as a hub id stays what it was when it was added', async () => {
    vi.stubGlobal('fetch', async () => new Response(null, { status: 404 }));
    await write('owner/name', 1);
    process.chdir(base);
    const { adapters, ask, close } = await open();
    await adapters.add('folder', 'owner/name');
    await adapters.add('hub', 'owner/other');
    await rename(join(base, 'owner/name'), join(base, 'owner/other'));
    const gone = { code: 'file_missing', message: `There is no folder ${join(base, 'owner/name')}.` };
    await expect(ask('folder')).rejects.toMatchObject(gone);
    await expect(ask('hub')).rejects.toMatchObject({ code: 'file_missing', message: expect.stringContaining('check the hub id') });
    await close();
  });

  test('that resolve gives is settled, too', async () => {
    await write('out', 1);
    process.chdir(base);
    const { ask, adapters, close } = await open({ resolve: () => 'out', memory: { heap: 0 }, slots: 2 });
    expect(await ask('a')).toBe(await answer(1));
    await adapters.unload('a');
    process.chdir(home);
    expect(await ask('a')).toBe(await answer(1)); // read again
    await close();
  });
});

test('weights in shards are read again when asked for: their names are not known without', async () => {
  const shard = 'adapter_model-00001-of-00001.safetensors';
  const path = join(base, 'shards');
  const save = async (seed: number): Promise<void> => {
    await write('shards', seed);
    await rename(join(path, 'adapter_model.safetensors'), join(path, shard));
  };
  await save(1);
  const names = ['A', 'B'].flatMap((part) => [0, 1].map((n) => `base_model.model.model.layers.${n}.self_attn.q_proj.lora_${part}.weight`));
  const index = { metadata: {}, weight_map: Object.fromEntries(names.map((name) => [name, shard])) };
  await writeFile(join(path, 'adapter_model.safetensors.index.json'), JSON.stringify(index));
  const { adapters, ask, close } = await open();
  await adapters.add('a', path);
  expect(await ask('a')).toBe(await answer(1));
  await writeFile(join(path, shard), adapterFiles(2)['adapter_model.safetensors']);
  await adapters.load('a', { revalidate: true });
  expect(await ask('a')).toBe(await answer(2));
  await close();
});

describe('a store that cannot be read now', () => {
  const broken = () => {
    const at = { fate: 'done' as 'done' | { readonly fails: Error } };
    const store = fatefulStore(memoryStore(), (call, keys) =>
      call === 'get' && keys.some((key) => key.startsWith('b:')) ? at.fate : 'done',
    );
    return { at, store };
  };
  const fails = { fails: new Error('out of order') };

  test('is no matter where resolve gives the files again', async () => {
    const { at, store } = broken();
    const { ask, close } = await open({ store, slots: 2, memory: { heap: 0 }, resolve: (id) => adapterFiles(Number(id)) });
    expect([await ask('1'), await ask('2')]).toEqual([await answer(1), await answer(2)]);
    at.fate = fails;
    expect(await ask('1')).toBe(await answer(1));
    await close();
  });

  test('is no matter where another id of the same bytes has an origin', async () => {
    const { at, store } = broken();
    const first = await open({ store });
    await first.adapters.add('only', dropped('one', 1));
    await first.load('only');
    await first.close();
    serveWeb();
    const second = await open({ store, slots: 2, memory: { heap: 0 } });
    await second.adapters.add('web', url(1));
    expect([await second.load('web'), await second.load('only')]).toEqual([await second.load('web'), await second.load('web')]);
    await second.adapters.unload('only');
    at.fate = fails;
    expect(await second.ask('only')).toBe(await answer(1));
    await second.close();
  });
});

describe('what is known of an address', () => {
  const version = (of: number, checkedAt: number) => ({ digest: `${of}`.repeat(64), stamp: `"${of}"`, checkedAt });
  const known = (id: string, of: number, checkedAt: number) => ({ id, source: url(1), name: url(1), ...version(of, checkedAt) });

  test('is what was last found of it, in whatever order records come', () => {
    for (const records of [
      [known('a', 1, 5), known('b', 2, 9)],
      [known('b', 2, 9), known('a', 1, 5)],
    ]) {
      const registry = createAdapterRegistry(records, undefined);
      registry.add('c', url(1), 'keep');
      expect(registry.get('c')).toMatchObject(version(2, 9));
    }
  });

  test('is no older than what this engine found', () => {
    const registry = createAdapterRegistry([known('a', 1, 5)], undefined);
    const a = registry.get('a');
    registry.renew(a, version(2, 9));
    registry.add('b', url(1), 'keep');
    expect(registry.get('b')).toMatchObject(version(2, 9));
    registry.note({ ...registry.get('b'), checkedAt: 12 });
    registry.note({ ...a, checkedAt: 3 });
    registry.add('c', url(1), 'keep');
    expect(registry.get('c')).toMatchObject(version(2, 12));
  });
});
