import { WebLoraError } from '../errors.ts';
import { fileLocation, readJson } from '../formats/folder.ts';
import type { Folder } from '../formats/folder.ts';
import { openSafetensors } from '../formats/safetensors.ts';
import type { TensorFiles } from '../formats/safetensors.ts';
import { createSlices } from '../slices.ts';
import type { Slices } from '../slices.ts';
import type { BaseMatrices } from './base-matrices.ts';
import { parsePeftConfig } from './peft-config.ts';
import { findPeftParts } from './peft-parts.ts';
import { readParts } from './read-parts.ts';
import type { PackedAdapter, SiteTable } from './sites.ts';
import type { RangeFiles, ReadProgress } from './tensor-reader.ts';

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
const PICKLED = 'adapter_model.bin';

async function openWeights(folder: Folder): Promise<TensorFiles> {
  try {
    return await openSafetensors(folder, 'adapter_model');
  } catch (cause) {
    const isAbsent = cause instanceof WebLoraError && cause.code === 'file_missing' && (await folder.size(WEIGHTS)) === undefined;
    if (!isAbsent || (await folder.size(PICKLED)) === undefined) throw cause;
    throw new WebLoraError(
      'adapter_format',
      `${fileLocation(folder, PICKLED)} is a Python pickle, which can run code and is not read. Convert it: load it with PEFT and call ` +
        `save_pretrained(path), or write its tensors to ${WEIGHTS} with safetensors.torch.save_file.`,
      { cause },
    );
  }
}

/** A folder's files by ranges. */
export function rangesOf(folder: Folder): RangeFiles {
  return { read: ({ file, start, end }) => folder.read(file, start, end) };
}

export interface ReadAdapterOptions {
  /** Looked at before and after each read, so that every kind of folder can be left; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** Shared by all who read at the same time. Default: slices of 4 ms of its own. */
  readonly slices?: Slices | undefined;
  readonly onProgress?: ReadProgress | undefined;
  /** What saved matrices are compared with: those of the base itself change nothing and are left out. Default: none is. */
  readonly base?: BaseMatrices | undefined;
}

/**
 * Reads a PEFT LoRA folder (`adapter_config.json` and `adapter_model.safetensors`), checks all of it against the model, and packs it for
 * the GPU. Nothing is allocated for tensors before names, shapes and ranks have been found right; of the stored bytes one layer is in
 * memory at a time, or 4 MiB where that is more. The thread is given back as the slices say.
 *
 * Throws `file_missing`, `file_unreadable`, `file_truncated`, `file_invalid`, `safetensors_header`, `safetensors_offsets`,
 * `tensor_dtype`, `tensor_shape`, `tensor_not_finite`, `adapter_type`, `adapter_setting`, `adapter_rank`, `adapter_target`, or
 * `adapter_format` (only `adapter_model.bin` is there), each with the file and what was wrong in it.
 */
export async function readAdapter(
  folder: Folder,
  table: SiteTable,
  precision: 'exact' | 'half',
  { signal, slices = createSlices(), onProgress, base }: ReadAdapterOptions = {},
): Promise<PackedAdapter> {
  const config = parsePeftConfig(await readJson(folder, CONFIG), fileLocation(folder, CONFIG));
  const files = await openWeights(folder);
  await slices.pause();
  const parts = findPeftParts(files.tensors.values(), config, table, fileLocation(folder, WEIGHTS));
  const locate = (file: string): string => fileLocation(folder, file);
  return readParts(parts, { files: rangesOf(folder), locate, table, precision, slices, signal, onProgress, base });
}
