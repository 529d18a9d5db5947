import { WebLoraError } from '../errors.ts';
import type { FileSystem } from './folder-disk.ts';
import { isFileName } from './folder-contract.ts';
import { PART_END } from './hub-disk-part.ts';
import { isCommit } from './hub-id.ts';
import type { StoredModel, StoredRevision } from './hub-store.ts';

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

async function revisionsOf(fs: FileSystem, folder: string): Promise<StoredRevision[]> {
  const refs = await refsOf(fs, folder);
  const commits = ((await unlessAbsent(() => fs.readdir(`${folder}/snapshots`))) ?? []).filter(isCommit).sort();
  return Promise.all(
    commits.map(async (commit): Promise<StoredRevision> => {
      const files = await namesBelow(fs, `${folder}/snapshots/${commit}`);
      const stats = await Promise.all(files.map((name) => fs.stat(`${folder}/snapshots/${commit}/${name}`)));
      const used = stats.map(({ atimeMs }) => atimeMs);
      return {
        commit,
        names: refs.filter((ref) => ref.commit === commit).map(({ name }) => name),
        files: files.length,
        bytes: stats.reduce((sum, { size }) => sum + size, 0),
        usedAt: used.length === 0 ? undefined : Math.max(...used),
      };
    }),
  );
}

/** What branches and tags were when they were last asked for. */
async function refsOf(fs: FileSystem, folder: string): Promise<{ name: string; commit: string }[]> {
  const refs: { name: string; commit: string }[] = [];
  for (const name of await namesBelow(fs, `${folder}/refs`)) {
    const commit = (await unlessAbsent(() => fs.readFile(`${folder}/refs/${name}`, 'utf8')))?.trim();
    if (isCommit(commit)) refs.push({ name, commit });
  }
  return refs;
}

/** Removes one commit from a model's folder, and the bytes that no other commit has. Parts stay: nobody knows whose they are. */
export async function removeCommit(fs: FileSystem, folder: string, commit: string): Promise<void> {
  const blobs = new Set(await linkedBlobs(fs, `${folder}/snapshots/${commit}`));
  for (const other of (await unlessAbsent(() => fs.readdir(`${folder}/snapshots`))) ?? []) {
    if (other !== commit) for (const blob of await linkedBlobs(fs, `${folder}/snapshots/${other}`)) blobs.delete(blob);
  }
  for (const { name } of (await refsOf(fs, folder)).filter((ref) => ref.commit === commit)) await fs.rm(`${folder}/refs/${name}`);
  await fs.rm(`${folder}/snapshots/${commit}`, { recursive: true, force: true });
  await fs.rm(`${folder}/trees/${commit}.json`, { force: true });
  for (const blob of blobs) await fs.rm(`${folder}/blobs/${blob}`, { force: true });
}

/** The blobs to which a commit's links lead. */
async function linkedBlobs(fs: FileSystem, folder: string): Promise<string[]> {
  const targets = (await namesBelow(fs, folder)).map((name) => fs.readlink(`${folder}/${name}`).catch(() => ''));
  return (await Promise.all(targets)).flatMap((target) => /(?:^|\/)blobs\/([^/]+)$/.exec(target)?.[1] ?? []);
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
