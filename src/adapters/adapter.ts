import { WebLoraError } from '../errors.ts';
import { fileLocation, readJson } from '../formats/folder.ts';
import type { Folder } from '../formats/folder.ts';
import { firstNotFinite, floatBytes, toF32 } from '../formats/half.ts';
import { openSafetensors } from '../formats/safetensors.ts';
import type { TensorFiles, TensorInfo } from '../formats/safetensors.ts';
import { digestPairs, sha256 } from './digest.ts';
import type { DigestPair } from './digest.ts';
import { findPairs } from './lora-tensors.ts';
import type { LoraPair, LoraTensor } from './lora-tensors.ts';
import { packLayer, roundRank } from './pack.ts';
import type { LoraMatrices } from './pack.ts';
import { parsePeftConfig } from './peft-config.ts';
import type { PackedAdapter, PackedLayer, SiteTable } from './sites.ts';

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
const PICKLED = 'adapter_model.bin';

/** A layer's tensors are fetched in one read where at most this share of it is of other tensors. */
const LARGEST_WASTE = 0.25;

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

type ReadTensor = (info: TensorInfo) => Promise<Uint8Array<ArrayBuffer>>;

/** A reader for the tensors of one layer: one request for all where they lie together, as PEFT writes them. */
async function readTogether(files: TensorFiles, tensors: readonly TensorInfo[]): Promise<ReadTensor> {
  const needed = tensors.reduce((sum, { start, end }) => sum + end - start, 0);
  const first = tensors.reduce((least, info) => (info.start < least.start ? info : least));
  const last = tensors.reduce((most, info) => (info.end > most.end ? info : most));
  const span = last.end - first.start;
  if (tensors.some(({ file }) => file !== first.file) || span * (1 - LARGEST_WASTE) > needed) return (info) => files.read(info);
  const bytes = await files.read({ ...first, end: last.end });
  return async (info) => bytes.slice(info.start - first.start, info.end - first.start);
}

interface ReadLayer {
  readonly packed: PackedLayer;
  readonly digests: readonly DigestPair[];
}

async function readLayer(
  files: TensorFiles,
  pairs: readonly LoraPair[],
  table: SiteTable,
  precision: 'exact' | 'half',
): Promise<ReadLayer> {
  if (pairs.length === 0) return { packed: packLayer([], precision), digests: [] };
  const read = await readTogether(
    files,
    pairs.flatMap(({ a, b }) => [a.info, b.info]),
  );
  const numbers = async ({ info, dtype }: LoraTensor): Promise<{ values: Float32Array<ArrayBuffer>; sha256: string }> => {
    const bytes = await read(info);
    const bad = firstNotFinite(bytes, dtype);
    if (bad !== undefined) {
      const [value] = toF32(bytes.slice(bad * floatBytes(dtype), (bad + 1) * floatBytes(dtype)), dtype);
      const location = fileLocation(files, info.file);
      throw new WebLoraError('tensor_not_finite', `${location}: ${info.name} holds ${value} at element ${bad}; its training broke down.`);
    }
    return { values: toF32(bytes, dtype), sha256: await sha256(bytes) };
  };
  const matrices: LoraMatrices[] = [];
  const digests: DigestPair[] = [];
  for (const { layer, site, rank, scale, a, b } of pairs) {
    const [numbersA, numbersB] = [await numbers(a), await numbers(b)];
    matrices.push({ site, rank, scale, a: numbersA.values, b: numbersB.values });
    digests.push({
      layer,
      module: table.sites[site]!.module,
      scale,
      a: { dtype: a.dtype, shape: a.info.shape, sha256: numbersA.sha256 },
      b: { dtype: b.dtype, shape: b.info.shape, sha256: numbersB.sha256 },
    });
  }
  return { packed: packLayer(matrices, precision), digests };
}

/**
 * Reads a PEFT LoRA folder (`adapter_config.json` and `adapter_model.safetensors`), checks all of it against the model, and packs it for
 * the GPU. Nothing is allocated for tensors before names, shapes and ranks have been found right; one layer's stored bytes are in memory
 * at a time.
 *
 * Throws `file_missing`, `file_unreadable`, `file_truncated`, `file_invalid`, `safetensors_header`, `safetensors_offsets`,
 * `tensor_dtype`, `tensor_shape`, `tensor_not_finite`, `adapter_type`, `adapter_setting`, `adapter_rank`, `adapter_target`, or
 * `adapter_format` (only `adapter_model.bin` is there), each with the file and what was wrong in it.
 *
 * @param signal looked at before each layer, so that every kind of folder can be left; a web folder's own requests end by the signal
 * that it was opened with. Its reason is thrown.
 */
export async function readAdapter(
  folder: Folder,
  table: SiteTable,
  precision: 'exact' | 'half',
  signal?: AbortSignal,
): Promise<PackedAdapter> {
  const config = parsePeftConfig(await readJson(folder, CONFIG), fileLocation(folder, CONFIG));
  const files = await openWeights(folder);
  const pairs = findPairs(files.tensors.values(), config, table, fileLocation(folder, WEIGHTS));
  const layers: PackedLayer[] = [];
  const digests: DigestPair[] = [];
  for (let layer = 0; layer < table.layers; layer++) {
    signal?.throwIfAborted();
    const read = await readLayer(
      files,
      pairs.filter((pair) => pair.layer === layer),
      table,
      precision,
    );
    layers.push(read.packed);
    digests.push(...read.digests);
  }
  const rank = pairs.reduce((largest, pair) => Math.max(largest, pair.rank), 0);
  return {
    digest: await digestPairs(digests),
    precision,
    rank4: roundRank(rank),
    rank,
    bytes: layers.reduce((sum, { words }) => sum + words.byteLength, 0),
    layers,
  };
}
