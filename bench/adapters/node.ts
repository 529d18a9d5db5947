import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { GpuProvider } from 'weblora';
import { folderStore } from 'weblora/node';
import type { Row } from '../report.ts';
import { firstUse, type FirstUse } from './first-use.ts';
import { firstUseRows } from './first-use-rows.ts';
import { openOrigin, ownAdapter, subjects } from './origin.ts';

export const model = fileURLToPath(new URL('../../public/models/frontdesk/base', import.meta.url));

/** Runs work with a folder that is gone afterwards. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'weblora-bench-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** First uses in this process: a folder is the disk, a server beside it the origin. */
export function firstUseInNode(gpu: GpuProvider, pairs: number): Promise<Row[]> {
  return withFolder(async (folder) => {
    const adapters = subjects();
    const origin = await openOrigin({ ...adapters, other: ownAdapter('sentiment') });
    try {
      const setting = { gpu, model, store: folderStore(folder), address: (id: string) => `${origin.url}/${id}`, stored: storedIn(folder) };
      const found: FirstUse[] = [];
      for (const id of Object.keys(adapters)) found.push(await firstUse(setting, id, 'other', pairs));
      return firstUseRows('Node', found);
    } finally {
      origin.close();
    }
  });
}

/** Finds the file of an adapter's bytes by its digest, which stands in its name once, and only reads it afterwards. */
function storedIn(folder: string): (digest: string) => Promise<Uint8Array<ArrayBuffer>> {
  const names = new Map<string, string>();
  return async (digest) => {
    const name = names.get(digest) ?? (await readdir(folder)).find((file) => file.startsWith('b') && file.includes(digest));
    if (name === undefined) throw new Error(`${folder} has no file of ${digest}`);
    names.set(digest, name);
    return new Uint8Array(await readFile(join(folder, name)));
  };
}
