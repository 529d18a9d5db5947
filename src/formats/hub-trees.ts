import { isHubFile } from './hub-list.ts';
import type { HubFile, HubListing } from './hub-list.ts';

/** The version of the hub tools' own lists of files. */
const TREE_VERSION = 1;

/** A list of files as the hub's own tools write it. */
export function treeText({ files }: HubListing): string {
  const sorted = [...files].sort((a, b) => (a.name < b.name ? -1 : 1));
  const entries = sorted.map(({ name, size, oid, sha256 }) => {
    const lfs = sha256 === undefined ? {} : { lfs_sha256: sha256, lfs_size: size };
    return [name, { size, blob_id: oid, ...lfs }] as const;
  });
  return JSON.stringify({ format_version: TREE_VERSION, files: Object.fromEntries(entries) }, undefined, 1);
}

/** The files of such a list; undefined for what is of another version or damaged. */
export function parseTree(text: string): HubFile[] | undefined {
  try {
    const tree = JSON.parse(text) as { readonly format_version?: unknown; readonly files: Readonly<Record<string, unknown>> };
    if (tree.format_version !== TREE_VERSION) return undefined;
    const files = Object.entries(tree.files).map(([name, value]) => {
      const { size, blob_id: oid, lfs_sha256: sha256, lfs_size: lfsSize } = value as Readonly<Record<string, unknown>>;
      return { name, size: lfsSize ?? size, oid, sha256: sha256 ?? undefined };
    });
    return files.every(isHubFile) ? files : undefined;
  } catch {
    return undefined;
  }
}
