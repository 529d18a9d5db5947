import { WebLoraError } from '../errors.ts';
import { fileLocation, readJson } from '../formats/folder.ts';
import type { Folder } from '../formats/folder.ts';
import { openSafetensors } from '../formats/safetensors.ts';
import type { TensorFiles, TensorInfo } from '../formats/safetensors.ts';
import { createSlices } from '../slices.ts';
import type { Slices } from '../slices.ts';
import { digestPairs, sha256 } from './digest.ts';
import type { DigestPair, DigestTensor } from './digest.ts';
import { findPairs } from './lora-tensors.ts';
import type { LoraPair, LoraTensor } from './lora-tensors.ts';
import { findNotFinite } from './numbers.ts';
import type { StoredNumbers } from './numbers.ts';
import { packLayer, roundRank } from './pack.ts';
import { parsePeftConfig } from './peft-config.ts';
import { emptyLayer } from './sites.ts';
import type { PackedAdapter, PackedLayer, SiteTable } from './sites.ts';
import { createTensorReader } from './tensor-reader.ts';
import type { ReadProgress, TensorReader } from './tensor-reader.ts';

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

/** Pairs by layer, as their tensors follow one another in the files, where layer 10 may well come before layer 2. */
function inFileOrder(pairs: readonly LoraPair[]): readonly (readonly LoraPair[])[] {
  const layers = new Map<number, { readonly pairs: LoraPair[]; first: TensorInfo }>();
  const isBefore = (a: TensorInfo, b: TensorInfo): boolean => (a.file === b.file ? a.start < b.start : a.file < b.file);
  for (const pair of pairs) {
    const first = isBefore(pair.a.info, pair.b.info) ? pair.a.info : pair.b.info;
    const layer = layers.get(pair.layer);
    if (!layer) layers.set(pair.layer, { pairs: [pair], first });
    else {
      layer.pairs.push(pair);
      if (isBefore(first, layer.first)) layer.first = first;
    }
  }
  return [...layers.values()].sort((a, b) => (isBefore(a.first, b.first) ? -1 : 1)).map((layer) => layer.pairs);
}

/** Throws `tensor_not_finite`. */
async function checkFinite(numbers: StoredNumbers, info: TensorInfo, files: TensorFiles, slices: Slices): Promise<void> {
  const bad = await findNotFinite(numbers, slices);
  if (!bad) return;
  const location = fileLocation(files, info.file);
  throw new WebLoraError(
    'tensor_not_finite',
    `${location}: ${info.name} holds ${bad.value} at element ${bad.index}; its training broke down.`,
  );
}

interface LayerReading {
  readonly files: TensorFiles;
  readonly reader: TensorReader;
  readonly table: SiteTable;
  readonly precision: 'exact' | 'half';
  readonly slices: Slices;
}

interface ReadLayer {
  readonly packed: PackedLayer;
  readonly digests: readonly DigestPair[];
}

interface ReadTensor {
  readonly numbers: StoredNumbers;
  readonly digest: () => Promise<DigestTensor>;
}

/** Fetches a tensor and begins to hash it, which goes on beside the thread. Throws `tensor_not_finite`. */
async function readTensor({ files, reader, slices }: LayerReading, { info, dtype }: LoraTensor): Promise<ReadTensor> {
  // Both begin with a copy of the bytes.
  await slices.pause();
  const numbers = { bytes: await reader.next(info), dtype };
  await slices.pause();
  const hash = sha256(numbers.bytes);
  hash.catch(() => undefined); // asked for below, unless another error comes first
  await checkFinite(numbers, info, files, slices);
  return { numbers, digest: async () => ({ dtype, shape: info.shape, sha256: await hash }) };
}

async function readLayer(reading: LayerReading, pairs: readonly LoraPair[]): Promise<ReadLayer> {
  const { table, precision, slices } = reading;
  const read: { readonly pair: LoraPair; readonly a: ReadTensor; readonly b: ReadTensor }[] = [];
  for (const pair of pairs) read.push({ pair, a: await readTensor(reading, pair.a), b: await readTensor(reading, pair.b) });
  const matrices = read.map(({ pair: { site, rank, scale }, a, b }) => ({ site, rank, scale, a: a.numbers, b: b.numbers }));
  const packed = await packLayer(matrices, precision, slices);
  const digests: DigestPair[] = [];
  for (const { pair, a, b } of read) {
    const { layer, site, scale } = pair;
    digests.push({ layer, module: table.sites[site]!.module, scale, a: await a.digest(), b: await b.digest() });
  }
  return { packed, digests };
}

export interface ReadAdapterOptions {
  /** Looked at before and after each read, so that every kind of folder can be left; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** Shared by all who read at the same time. Default: slices of 4 ms of its own. */
  readonly slices?: Slices | undefined;
  readonly onProgress?: ReadProgress | undefined;
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
  { signal, slices = createSlices(), onProgress }: ReadAdapterOptions = {},
): Promise<PackedAdapter> {
  const config = parsePeftConfig(await readJson(folder, CONFIG), fileLocation(folder, CONFIG));
  const files = await openWeights(folder);
  await slices.pause();
  const pairs = findPairs(files.tensors.values(), config, table, fileLocation(folder, WEIGHTS));
  const order = inFileOrder(pairs);
  const tensors = order.flat().flatMap(({ a, b }) => [a.info, b.info]);
  const reader = createTensorReader(files, tensors, signal, onProgress);
  const layers = Array.from({ length: table.layers }, emptyLayer);
  const digests: DigestPair[] = [];
  for (const pairsOfLayer of order) {
    const read = await readLayer({ files, reader, table, precision, slices }, pairsOfLayer);
    layers[pairsOfLayer[0]!.layer] = read.packed;
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
    outer: emptyLayer(),
    whole: [],
    unblendable: [],
  };
}
