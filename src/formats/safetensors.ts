import { WebLoraError } from '../errors.ts';
import { fileLocation, readJson } from './folder.ts';
import type { Folder } from './folder.ts';
import { jsonObject, show } from './json.ts';
import { LONGEST_HEADER, parseSafetensorsHeader } from './safetensors-header.ts';
import type { TensorInfo } from './safetensors-header.ts';

export type { TensorDtype, TensorInfo } from './safetensors-header.ts';

/** The tensors of one file or of all its shards. */
export interface TensorFiles {
  /** The folder's, for messages. */
  readonly location: string;
  /** By name; in a file, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /**
   * The tensor's bytes, or those from `startByte` to `endByte` (exclusive) of them. Throws what the folder throws, and
   * `RangeError` for bytes outside the tensor.
   */
  read(info: TensorInfo, startByte?: number, endByte?: number, into?: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
}

async function readTensors(folder: Folder, file: string, size: number): Promise<readonly TensorInfo[]> {
  const location = fileLocation(folder, file);
  if (size < 8) {
    throw new WebLoraError('file_truncated', `${location} has ${size} bytes; a safetensors file begins with an 8-byte length.`);
  }
  const prefix = await folder.read(file, 0, 8);
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > LONGEST_HEADER) {
    throw new WebLoraError(
      'safetensors_header',
      `${location}: its header would be ${length} bytes long; the format allows ${LONGEST_HEADER}. This is no safetensors file.`,
    );
  }
  const headerEnd = 8 + Number(length);
  if (headerEnd > size) {
    throw new WebLoraError('file_truncated', `${location} has ${size} bytes, but its header alone ends at byte ${headerEnd}.`);
  }
  return parseSafetensorsHeader(await folder.read(file, 8, headerEnd), size, file, location);
}

/** The index's tensor names, by the shard that should hold them. */
async function readIndex(folder: Folder, index: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const location = fileLocation(folder, index);
  const weightMap = jsonObject(jsonObject(await readJson(folder, index), location).get('weight_map'), `${location}: weight_map`);
  const shards = new Map<string, string[]>();
  for (const [name, shard] of weightMap) {
    // A shard is a file next to the index, never a path that leads elsewhere.
    if (typeof shard !== 'string' || !/^[^/\\\0]+\.safetensors$/.test(shard)) {
      throw new WebLoraError('file_invalid', `${location}: tensor ${show(name)} is in ${show(shard)}, which is no name of a shard.`);
    }
    const names = shards.get(shard);
    if (names) names.push(name);
    else shards.set(shard, [name]);
  }
  return shards;
}

async function readShards(folder: Folder, index: string): Promise<Map<string, TensorInfo>> {
  const tensors = new Map<string, TensorInfo>();
  const shards = await readIndex(folder, index);
  await folder.fetch?.([...shards.keys()]);
  for (const [shard, names] of shards) {
    const size = await folder.size(shard);
    if (size === undefined) {
      throw new WebLoraError('file_missing', `There is no file ${fileLocation(folder, shard)}, which ${index} names.`);
    }
    for (const info of await readTensors(folder, shard, size)) {
      const other = tensors.get(info.name);
      if (other) {
        const location = fileLocation(folder, index);
        throw new WebLoraError('file_invalid', `${location}: tensor ${show(info.name)} is in two shards, ${other.file} and ${shard}.`);
      }
      tensors.set(info.name, info);
    }
    const lost = names.find((name) => tensors.get(name)?.file !== shard);
    if (lost !== undefined) {
      const location = fileLocation(folder, shard);
      throw new WebLoraError('tensor_missing', `${location} does not hold the tensor ${show(lost)}, which ${index} says is there.`);
    }
  }
  return tensors;
}

/**
 * Opens `STEM.safetensors`, or the shards that `STEM.safetensors.index.json` names. Reads and checks every header; no tensor yet.
 *
 * Throws `file_missing` (neither file, or a shard), `file_truncated`, `file_unreadable`, `file_invalid` (the index; a tensor in two
 * shards), `safetensors_header`, `safetensors_offsets`, `tensor_dtype`, and `tensor_missing` for a tensor that the index promises and
 * its shard has not.
 */
export async function openSafetensors(folder: Folder, stem: string): Promise<TensorFiles> {
  const single = `${stem}.safetensors`;
  const index = `${single}.index.json`;
  const size = await folder.size(single);
  let tensors: ReadonlyMap<string, TensorInfo>;
  if (size !== undefined) {
    tensors = new Map((await readTensors(folder, single, size)).map((info) => [info.name, info]));
  } else if ((await folder.size(index)) !== undefined) {
    tensors = await readShards(folder, index);
  } else {
    throw new WebLoraError('file_missing', `There is neither ${single} nor ${index} in ${folder.location}.`);
  }
  return {
    location: folder.location,
    tensors,
    async read(info, startByte = 0, endByte = info.end - info.start, into) {
      if (startByte < 0 || endByte < startByte || info.start + endByte > info.end) {
        throw new RangeError(`Bytes ${startByte} to ${endByte} are not inside ${info.name} (${info.end - info.start} bytes)`);
      }
      return folder.read(info.file, info.start + startByte, info.start + endByte, into);
    },
  };
}
