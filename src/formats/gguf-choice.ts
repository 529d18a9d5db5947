import { WebLoraError } from '../errors.ts';
import { fileLocation } from './folder-contract.ts';
import type { Folder } from './folder-contract.ts';
import { isGgufName } from './hub-id.ts';

/** Parts of one model after the first: the first stands for all. */
const LATER_PART = /-(?!00001)\d{5}-of-\d{5}\.gguf$/i;
/** What lies beside models and is none: the eyes of one, and statistics for quantisers. */
const NO_MODEL = /mmproj|imatrix/i;
/** Names that a message lists. */
const MOST_SHOWN = 40;

/**
 * Whether the config.json of a folder is of weights that lie beside it: many a repository of GGUFs has one, too. `names`: of its files;
 * undefined where nobody can list them.
 */
export function isConfigOfFolder(names: readonly string[] | undefined): boolean {
  return !names || names.some((name) => name.endsWith('.safetensors')) || ggufNames(names).length === 0;
}

/**
 * The .gguf of a folder that is meant: the one that was asked for by name or tag, else the only one where the weights are no safetensors.
 * Of a model in parts it is the first. Undefined: none is meant.
 *
 * @throws WebLoraError `file_missing` for one that was asked for and is not there, `gguf_ambiguous` where several could be meant, with
 * what is there; and what the folder throws.
 */
export async function chooseGguf(folder: Folder): Promise<string | undefined> {
  const { gguf } = folder;
  if (gguf === undefined && (await folder.size('config.json')) !== undefined && isConfigOfFolder(await folder.names?.())) return undefined;
  if (gguf !== undefined && 'file' in gguf) {
    if ((await folder.size(gguf.file)) !== undefined) return gguf.file;
    const there = ggufNames((await folder.names?.()) ?? []);
    throw new WebLoraError('file_missing', `There is no file ${fileLocation(folder, gguf.file)}.${there.length > 0 ? listed(there) : ''}`);
  }
  const names = await folder.names?.();
  return names && chooseAmong(names, folder.location, gguf?.tag);
}

/** Of these names the .gguf that is meant, by its tag or as the only one. Throws as `chooseGguf`. */
export function chooseAmong(names: readonly string[], location: string, tag: string | undefined): string | undefined {
  const all = ggufNames(names);
  const found = tag === undefined ? all : all.filter((name) => hasTag(name, tag));
  if (found.length === 1) return found[0];
  if (tag !== undefined && found.length === 0) {
    const there = all.length === 0 ? ' There is no .gguf at all.' : listed(all);
    throw new WebLoraError('file_missing', `${location} has no .gguf with ${tag} in its name.${there}`);
  }
  if (found.length === 0) return undefined;
  const which = tag === undefined ? '' : ` with ${tag} in their names`;
  const message = `${location} has ${found.length} .gguf files${which}; name the one that is meant.${listed(found)}`;
  throw new WebLoraError('gguf_ambiguous', message);
}

/** The names of models in GGUF, each once. */
function ggufNames(names: readonly string[]): string[] {
  return names.filter((name) => isGgufName(name) && !LATER_PART.test(name) && !NO_MODEL.test(name)).sort();
}

/** Whether the tag stands in the name as a word: `Q4_K` is not in `m-Q4_K_M.gguf`, `F16` not in `m-BF16.gguf`. */
function hasTag(name: string, tag: string): boolean {
  const word = tag.replace(/[.-]/g, '\\$&');
  return new RegExp(`(^|[-./])${word}[-./]`, 'i').test(name);
}

function listed(names: readonly string[]): string {
  const more = names.length > MOST_SHOWN ? ` and ${names.length - MOST_SHOWN} more` : '';
  return ` There are: ${names.slice(0, MOST_SHOWN).join(', ')}${more}.`;
}
