// A tab that writes adapters into IndexedDB as an engine does, again and again, without an engine that takes its time to start.
import { readAdapter } from '../../src/adapters/adapter.ts';
import { openAdapterDisk, type AdapterDisk } from '../../src/adapters/disk.ts';
import type { PackedAdapter, SiteTable } from '../../src/adapters/sites.ts';
import { indexedDbStore } from '../../src/adapters/store-idb.ts';
import { openFolder, readJson } from '../../src/formats/folder.ts';
import { parseModelConfig } from '../../src/model/config.ts';
import { modelShape } from '../../src/model/shape.ts';
import { findBlobs } from './store-found.ts';

const store = indexedDbStore();
let disk: AdapterDisk;
let table: SiteTable;

/** Says `begins` and `ends` of each transaction with an adapter's bytes. */
const say = (what: string): Promise<void> => (globalThis as unknown as { writing: (what: string) => Promise<void> }).writing(what);

const tab = {
  found: findBlobs,
  /** Opens the store as the model's engine would, and reads every adapter in it; how many came, and how many did not. */
  open: async (model: string): Promise<{ readonly held: number; readonly lost: number }> => {
    const folder = await openFolder(model);
    ({ table } = modelShape(parseModelConfig(await readJson(folder, 'config.json'), 'config.json')));
    const told: typeof store = {
      ...store,
      put: async (entries) => {
        const isBlob = entries.some(([key]) => key.startsWith('b:'));
        if (isBlob) void say('begins');
        await store.put(entries);
        if (isBlob) void say('ends');
      },
    };
    const scope = { table, location: folder.location.replace(/\/+$/, ''), precision: 'exact' } as const;
    disk = await openAdapterDisk(told, scope, { change: () => undefined, shrink: () => [] });
    let lost = 0;
    for (const { digest } of disk.held) lost += (await disk.read(digest)) === undefined ? 1 : 0;
    return { held: disk.held.length, lost };
  },
  /** Keeps these adapters over and over: over what is there, and after it was deleted. Ends only with the tab. */
  writeOn: async (adapters: Readonly<Record<string, string>>): Promise<void> => {
    const packed: PackedAdapter[] = [];
    for (const [id, source] of Object.entries(adapters)) {
      const adapter = await readAdapter(await openFolder(source), table, 'exact');
      await disk.note({ id, source, name: source, digest: adapter.digest, stamp: undefined, checkedAt: Date.now() });
      packed.push(adapter);
    }
    for (let round = 0; ; round++) {
      for (const adapter of packed) await disk.write(adapter, undefined);
      if (round % 2 === 1) await disk.drop(packed.map(({ digest }) => disk.key(digest)));
    }
  },
};

export type DiskTab = typeof tab;

Object.assign(globalThis, { tab });
