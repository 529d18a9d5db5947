import { memoryStore, type Store } from '../../src/adapters/store.ts';
import type { Source } from '../../src/engine/types.ts';
import type { Folder } from '../../src/formats/folder.ts';
import { LLAMA } from './adapters.ts';
import { failsWith, idle, openEngine, run, same } from './engine-bench.ts';
import { ADAPTER_FILES, memoryFolder, readFiles } from './fixtures.ts';
import { check, type Case, type Environment } from './suite.ts';

/** A dropped folder that counts how often it is read. */
async function adapterFolder(environment: Environment, name: string): Promise<{ readonly folder: Folder; readonly reads: () => number }> {
  const files = await readFiles(environment, `${LLAMA}/adapters/${name}`, ADAPTER_FILES);
  const folder = memoryFolder(name, files);
  let reads = 0;
  return { folder: { ...folder, read: (...range) => (reads++, folder.read(...range)) }, reads: () => reads };
}

/** A store whose writes take their time. */
function slowStore(): Store {
  const store = memoryStore();
  return { ...store, put: (entries) => new Promise((resolve) => setTimeout(() => resolve(store.put(entries)), 300)) };
}

async function checkRestart(environment: Environment): Promise<void> {
  const store = slowStore();
  const { folder, reads } = await adapterFolder(environment, 'r8-all');
  const first = await openEngine(environment, { store });
  await first.adapters.add('a', folder);
  const expected = await run(first, { adapter: 'a' });
  const { hits, misses, loads, failures } = (await first.stats()).tiers.disk;
  same([hits, misses, loads, failures], [0, 1, 0, 0], 'the store when the answer is there');
  same(await store.keys('b:'), [], 'bytes in the store by then');
  await first.close(); // waits for the write
  same([(await store.keys('m:a:')).length, (await store.keys('b:')).length], [1, 1], 'records and bytes after the end');

  const before = reads();
  await using second = await openEngine(environment, { store });
  same(
    (await second.adapters.list()).map(({ id, source, tier, rank }) => [id, source, tier, rank]),
    [['a', 'r8-all', 'disk', 8]],
    'adapters after a restart',
  );
  same((await run(second, { adapter: 'a' })).tokens, expected.tokens, 'tokens after a restart');
  same([(await second.adapters.list())[0]!.tier, reads()], ['gpu', before], 'the tier, and reads of the folder');
  const { disk, origin } = (await second.stats()).tiers;
  same([disk.hits, disk.misses, disk.loads, disk.failures, origin.loads], [1, 0, 0, 0, 0], 'the store after a restart');
  await second.adapters.remove('a');
  await failsWith(run(second, { adapter: 'a' }), 'adapter_unknown');
  same([...(await store.keys('m:a:')), ...(await store.keys('b:'))], [], 'records and bytes after the removal');
  await idle(second);
}

async function checkResolve(environment: Environment): Promise<void> {
  const { folder } = await adapterFolder(environment, 'r8-all');
  const { folder: other } = await adapterFolder(environment, 'r3-qv');
  const asked: string[] = [];
  let answer: (source: Source | undefined) => void = () => undefined;
  const resolve = (id: string): Source | undefined | Promise<Source | undefined> => {
    asked.push(id);
    if (id === 'late') return new Promise<Source | undefined>((settle) => (answer = settle));
    if (id === 'broken') throw new Error('the catalogue is closed');
    return id === 'known' ? folder : undefined;
  };
  await using engine = await openEngine(environment, { resolve });
  await engine.adapters.add('other', other);
  const expected = await run(engine, { adapter: 'known' });
  const base = await run(engine);
  check(expected.tokens.join() !== base.tokens.join(), () => 'the adapter changes nothing');
  same(
    (await engine.adapters.list()).map(({ id }) => id),
    ['other', 'known'],
    'ids after the first use',
  );

  const late = [run(engine, { adapter: 'late' }), run(engine, { adapter: 'late' })];
  const others = ['broken', 'nobody', 'nobody'].map((adapter) => failsWith(run(engine, { adapter }), 'adapter_unknown', adapter));
  same((await run(engine)).tokens, base.tokens, 'tokens of the base beside those who wait');
  await Promise.all(others);
  await engine.adapters.remove('late');
  await engine.adapters.add('late', other);
  const replaced = await run(engine, { adapter: 'late' });
  answer(folder);
  for (const result of late) same((await result).tokens, expected.tokens, 'tokens of those who asked before the removal');
  check(replaced.tokens.join() !== expected.tokens.join(), () => 'the one that was added later answers as the resolved one');
  same(asked, ['known', 'late', 'broken', 'nobody'], 'ids that were asked for');
  await failsWith(engine.adapters.load('nobody'), 'adapter_unknown');
  same(asked.length, 5, 'questions after one more use');
  await idle(engine);
}

/** An engine with a store, and one that is told where adapters are when it needs them. */
export function engineStoreCases(environment: Environment): Case[] {
  return [
    { name: 'an adapter answers after a restart as before, from the store alone', run: () => checkRestart(environment) },
    { name: 'ids that nobody registered are resolved', run: () => checkResolve(environment) },
  ];
}
