import { WebLoraError } from '../errors.ts';
import type { FileSystem } from './folder-disk.ts';
import { isFileName } from './folder-contract.ts';
import { PART_END } from './hub-disk-part.ts';
import { isCommit } from './hub-id.ts';
import type { StoredModel } from './hub-store.ts';

/** Names of the files below a folder whose bytes are there, with `/` between parts; none where there is no folder. */
export async function namesBelow(fs: FileSystem, folder: string): Promise<string[]> {
  const names: string[] = [];
  const visit = async (below: string): Promise<void> => {
    for (const entry of (await unlessAbsent(() => fs.readdir(folder + below, { withFileTypes: true }))) ?? []) {
      const name = `${below}/${entry.name}`;
      if (entry.isDirectory()) await visit(name);
      else if ((await unlessAbsent(() => fs.stat(folder + name)))?.isFile()) names.push(name.slice(1));
    }
  };
  await visit('');
  return names.filter(isFileName);
}

/** The models in a cache's folder. */
export async function folderModels(fs: FileSystem, root: string): Promise<StoredModel[]> {
  const models: StoredModel[] = [];
  for (const name of ((await unlessAbsent(() => fs.readdir(root))) ?? []).sort()) {
    const repository = /^models--(.+)$/.exec(name)?.[1]?.split('--').join('/');
    if (repository === undefined) continue;
    const folder = `${root}/${name}`;
    const [bytes, unfinishedBytes] = await bytesOf(fs, folder);
    models.push({ repository, bytes, unfinishedBytes, revisions: await revisionsOf(fs, folder) });
  }
  return models;
}

/** Bytes of whole files and of others. Links lead to what is counted already. */
async function bytesOf(fs: FileSystem, folder: string): Promise<[whole: number, unfinished: number]> {
  let [whole, unfinished] = [0, 0];
  for (const name of await namesBelow(fs, `${folder}/blobs`)) {
    const stat = await unlessAbsent(() => fs.stat(`${folder}/blobs/${name}`));
    if (!stat) continue;
    const isPart = name.endsWith(PART_END) || name.endsWith('.incomplete');
    // A part has holes.
    if (isPart) unfinished += Number.isFinite(stat.blocks) ? Math.min(stat.size, stat.blocks * 512) : stat.size;
    else if (!name.includes(PART_END)) whole += stat.size;
  }
  for (const name of await namesBelow(fs, `${folder}/snapshots`)) {
    const stat = await unlessAbsent(() => fs.lstat(`${folder}/snapshots/${name}`));
    if (stat?.isFile()) whole += stat.size;
  }
  return [whole, unfinished];
}

async function revisionsOf(fs: FileSystem, folder: string): Promise<{ revision: string; commit: string }[]> {
  const revisions: { revision: string; commit: string }[] = [];
  for (const revision of await namesBelow(fs, `${folder}/refs`)) {
    const commit = (await unlessAbsent(() => fs.readFile(`${folder}/refs/${revision}`, 'utf8')))?.trim();
    if (isCommit(commit)) revisions.push({ revision, commit });
  }
  return revisions;
}

/** Undefined where there is no such file or folder. */
export async function unlessAbsent<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (code === 'ENOENT' || code === 'ENOTDIR' || (error instanceof WebLoraError && code === 'file_missing')) return undefined;
    throw error;
  }
}
