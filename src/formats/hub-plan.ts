import { chooseAmong, isConfigOfFolder } from './gguf-choice.ts';
import type { GgufChoice } from './hub-id.ts';
import type { HubListing } from './hub-list.ts';

/** What a repository is read as. */
export type HubUse = 'model' | 'adapter';

const MODEL = /^(config|generation_config|tokenizer|tokenizer_config)\.json$|^chat_template\.jinja$/;
const SHARD = /^model(-\d{5}-of-\d{5}\.safetensors|\.safetensors\.index\.json)$/;
const ADAPTER = /^adapter_(config\.json|model.*\.safetensors(\.index\.json)?)$/;

/** Names of the files that will be read, as far as the list of files tells: a total for progress, nothing is fetched for it. */
export function plannedFiles({ files }: HubListing, use: HubUse, gguf: GgufChoice | undefined): string[] {
  const names = files.map(({ name }) => name);
  const isFolder = names.includes('config.json') && isConfigOfFolder(names);
  if (gguf !== undefined || (use === 'model' && !isFolder)) return ggufParts(names, gguf);
  if (use === 'adapter') return names.filter((name) => ADAPTER.test(name));
  const single = names.includes('model.safetensors');
  return names.filter((name) => MODEL.test(name) || (single ? name === 'model.safetensors' : SHARD.test(name)));
}

function ggufParts(names: readonly string[], gguf: GgufChoice | undefined): string[] {
  let first: string | undefined;
  try {
    first = gguf && 'file' in gguf ? gguf.file : chooseAmong(names, '', gguf?.tag);
  } catch {
    return []; // whoever opens it is told
  }
  const stem = /^(.*-)\d{5}(-of-\d{5}\.gguf)$/i.exec(first ?? '');
  if (!stem) return names.filter((name) => name === first);
  return names.filter((name) => name.startsWith(stem[1]!) && name.endsWith(stem[2]!) && name.length === first!.length);
}

/** How far one file is. */
export interface FileProgress {
  /** Its name in the repository. */
  readonly file: string;
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

/** How far a file is, and how far all are that are fetched: those that are known to be needed, and whatever else is read. */
export interface HubProgress extends FileProgress {
  readonly allLoadedBytes: number;
  readonly allTotalBytes: number;
}

/** Adds up what is told of single files. @param missing bytes of files that will be fetched, by name. */
export function sumProgress(missing: ReadonlyMap<string, number>): (progress: FileProgress) => HubProgress {
  const [loaded, totals] = [new Map<string, number>(), new Map(missing)];
  const sum = (map: ReadonlyMap<string, number>): number => [...map.values()].reduce((all, bytes) => all + bytes, 0);
  return (progress) => {
    loaded.set(progress.file, progress.loadedBytes);
    totals.set(progress.file, progress.totalBytes);
    return { ...progress, allLoadedBytes: sum(loaded), allTotalBytes: sum(totals) };
  };
}
