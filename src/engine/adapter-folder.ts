import type { ReadAdapterOptions } from '../adapters/adapter.ts';
import type { PackedAdapter, SiteTable } from '../adapters/sites.ts';
import { loadPart } from '../errors.ts';
import type { Folder } from '../formats/folder.ts';
import type { ModelConfig } from '../model/config.ts';

/** The model that an adapter is to fit. */
export interface AdapterBase {
  readonly table: SiteTable;
  readonly config: ModelConfig;
  readonly precision: 'exact' | 'half';
}

const CONFIG = 'adapter_config.json';

/** The files whose version is an adapter's. */
const PEFT_FILES = [CONFIG, 'adapter_model.safetensors'];

/**
 * The .gguf that is the adapter: the one that its source names, or the only one of a folder that has no adapter_config.json. Undefined:
 * what PEFT writes. Throws `file_missing`, `gguf_ambiguous`, and what the folder throws.
 */
async function ggufOf(folder: Folder): Promise<string | undefined> {
  const names = folder.gguf === undefined ? await folder.names?.() : undefined;
  if (folder.gguf === undefined && (!names || names.includes(CONFIG))) return undefined;
  const { chooseAmong, chooseGguf } = await loadPart(() => import('../formats/gguf-choice.ts'));
  return names ? chooseAmong(names, folder.location, undefined) : chooseGguf(folder);
}

/** The version of an adapter's files, where it can tell: not of weights in shards, whose names only the files tell. */
export async function stampOf(folder: Folder): Promise<string | undefined> {
  if (!folder.stamp) return undefined;
  const gguf = await ggufOf(folder);
  const stamp = await folder.stamp(gguf === undefined ? PEFT_FILES : [gguf]);
  return stamp === undefined || /(^| )-$/.test(stamp) ? undefined : stamp; // no such weights
}

/** Reads what PEFT wrote, or a GGUF LoRA. Throws what `readAdapter` and `readGgufAdapter` throw. */
export async function readFolder(
  folder: Folder,
  { table, config, precision }: AdapterBase,
  options: ReadAdapterOptions,
): Promise<PackedAdapter> {
  const gguf = await ggufOf(folder);
  if (gguf === undefined) {
    const { readAdapter } = await loadPart(() => import('../adapters/adapter.ts'));
    return readAdapter(folder, table, precision, options);
  }
  const [{ readGgufAdapter }, { ggufNamesOf }] = await Promise.all([
    loadPart(() => import('../adapters/gguf-adapter.ts')),
    loadPart(() => import('../model/gguf-names.ts')),
  ]);
  return readGgufAdapter(folder, gguf, table, ggufNamesOf(config), precision, options);
}
