import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { portableHash } from '../../src/formats/hash.ts';
import { diskHubStore } from '../../src/formats/hub-disk.ts';
import { opfsHubStore } from '../../src/formats/hub-opfs.ts';
import { memoryHubStore } from '../../src/formats/hub-store-memory.ts';
import type { HubStore } from '../../src/formats/hub-store.ts';
import { openHubDouble } from '../servers/hub.ts';
import type { HubDouble } from '../servers/hub.ts';
import { hubCases } from '../suites/hub.ts';
import { memoryDirectory } from './opfs-double.ts';

let double: HubDouble;
let root: string;
beforeAll(async () => {
  double = await openHubDouble();
  root = await mkdtemp(join(tmpdir(), 'weblora-hub-'));
});
afterAll(async () => {
  double.close();
  await rm(root, { recursive: true });
});

const kept = <T>(make: (name: string) => T): ((name: string) => T) => {
  const made = new Map<string, T>();
  return (name) => made.get(name) ?? made.set(name, make(name)).get(name)!;
};
const directory = kept(() => memoryDirectory());

/** `files`: everything is read anew from what was written. */
const STORES: Readonly<Record<string, (name: string) => HubStore>> = {
  memory: kept(() => memoryHubStore()),
  files: (name) => diskHubStore(join(root, name)),
  'the files of a page': (name) => opfsHubStore('hub', async () => directory(name)),
};

describe.each(Object.entries(STORES))('the hub, kept in %s', (kind, store) => {
  const hash = kind === 'the files of a page' ? portableHash : undefined;
  for (const [i, { name }] of hubCases({ endpoint: '', store, hash }).entries()) {
    test(name, () => hubCases({ endpoint: double.url, store, hash })[i]!.run());
  }
});
