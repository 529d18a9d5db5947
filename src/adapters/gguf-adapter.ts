import { WebLoraError } from '../errors.ts';
import { fileLocation } from '../formats/folder.ts';
import type { Folder } from '../formats/folder.ts';
import { openGguf } from '../formats/gguf.ts';
import type { GgufFile } from '../formats/gguf.ts';
import { ggufNumber, ggufText } from '../formats/gguf-metadata.ts';
import { show } from '../formats/json.ts';
import { createSlices } from '../slices.ts';
import { rangesOf } from './adapter.ts';
import type { ReadAdapterOptions } from './adapter.ts';
import { findGgufParts } from './gguf-parts.ts';
import type { GgufNames } from './gguf-parts.ts';
import { readParts } from './read-parts.ts';
import type { PackedAdapter, SiteTable } from './sites.ts';

export type { GgufNames } from './gguf-parts.ts';

/** Alpha of a file that is an adapter for this architecture. Throws `adapter_format`, `adapter_type`, `adapter_target`, `adapter_setting`. */
function readAlpha({ metadata, location }: GgufFile, architecture: string): number {
  const type = ggufText(metadata, 'general.type', location);
  if (type !== 'adapter') {
    throw new WebLoraError('adapter_format', `${location}: general.type is ${show(type)}; an adapter's is "adapter".`);
  }
  const kind = ggufText(metadata, 'adapter.type', location);
  if (kind !== 'lora') throw new WebLoraError('adapter_type', `${location}: adapter.type is ${show(kind)}; only "lora" is served.`);
  const base = ggufText(metadata, 'general.architecture', location);
  if (base !== architecture) {
    const message = `${location}: general.architecture is ${show(base)}, but this model's is "${architecture}"`;
    throw new WebLoraError('adapter_target', `${message}; the adapter is for another base.`);
  }
  if (metadata.has('adapter.alora.invocation_tokens')) {
    throw new WebLoraError('adapter_setting', `${location}: it has adapter.alora.invocation_tokens (Activated LoRA), which is not served.`);
  }
  return ggufNumber(metadata, 'adapter.lora.alpha', location, 0);
}

/**
 * Reads a LoRA of llama.cpp's (`convert_lora_to_gguf.py`): checks all of it against the model, and packs it for the GPU as `readAdapter`
 * does. Alpha comes from the metadata; where it is 0 or absent the scale is 1, as in llama.cpp. Norms in the file, which llama.cpp leaves
 * out, are served.
 *
 * @param names of the model's architecture in GGUF files.
 * Throws what `openGguf` throws, `gguf_metadata`, `tensor_dtype`, `tensor_shape`, `tensor_not_finite`, `adapter_format` (a model),
 * `adapter_type`, `adapter_setting`, `adapter_rank`, `adapter_target`, each with the file and what was wrong in it.
 */
export async function readGgufAdapter(
  folder: Folder,
  file: string,
  table: SiteTable,
  names: GgufNames,
  precision: 'exact' | 'half',
  { signal, slices = createSlices(), onProgress }: ReadAdapterOptions = {},
): Promise<PackedAdapter> {
  const gguf = await openGguf(folder, file);
  signal?.throwIfAborted();
  const alpha = readAlpha(gguf, names.architecture);
  await slices.pause();
  const parts = findGgufParts(gguf.tensors.values(), alpha, table, names, gguf.location);
  const locate = (name: string): string => fileLocation(folder, name);
  return readParts(parts, { files: rangesOf(folder), locate, table, precision, slices, signal, onProgress, base: undefined });
}
