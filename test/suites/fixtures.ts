import type { Source } from '../../src/engine/types.ts';
import { openFolder, type Folder } from '../../src/formats/folder.ts';
import { openSafetensors } from '../../src/formats/safetensors.ts';
import type { Environment } from './suite.ts';

/** A folder that the suite cannot do without. Throws where it is not there. */
export async function source(environment: Environment, path: string): Promise<Source> {
  const found = await environment.folder(path);
  if (found === undefined) throw new Error(`The folder ${path} is not there`);
  return found;
}

/** The same, opened. */
export async function folder(environment: Environment, path: string): Promise<Folder> {
  return openFolder(await source(environment, path));
}

/** A file of JSON whose shape the caller knows. */
export async function readJsonFile<T>(environment: Environment, path: string, name: string): Promise<T> {
  const opened = await folder(environment, path);
  const size = await opened.size(name);
  if (size === undefined) throw new Error(`There is no ${path}/${name}`);
  return JSON.parse(new TextDecoder().decode(await opened.read(name, 0, size))) as T;
}

/** Reference logits: by tensor name, one float32 row of the vocabulary per position. */
export type ReferenceLogits = ReadonlyMap<string, readonly Float32Array[]>;

/** Reads `logits.safetensors` of a folder of references. */
export async function readLogits(environment: Environment, path: string): Promise<ReferenceLogits> {
  const files = await openSafetensors(await folder(environment, path), 'logits');
  const logits = new Map<string, Float32Array[]>();
  for (const [name, info] of files.tensors) {
    if (info.dtype !== 'F32' || info.shape.length !== 2) throw new Error(`${path}: ${name} is ${info.dtype} [${info.shape}]`);
    const [positions, vocabulary] = info.shape as [number, number];
    const bytes = await files.read(info);
    const rows = Array.from(
      { length: positions },
      (_, row) => new Float32Array(bytes.buffer, bytes.byteOffset + row * vocabulary * 4, vocabulary),
    );
    logits.set(name, rows);
  }
  return logits;
}

export type Files = Record<string, Uint8Array<ArrayBuffer>>;

/** All files of a model's or an adapter's folder, in memory, to be changed. */
export async function readFiles(environment: Environment, path: string, names: readonly string[]): Promise<Files> {
  const opened = await folder(environment, path);
  const files: Files = {};
  for (const name of names) {
    const size = await opened.size(name);
    if (size === undefined) throw new Error(`There is no ${path}/${name}`);
    files[name] = (await opened.read(name, 0, size)).slice();
  }
  return files;
}

export const MODEL_FILES = ['config.json', 'generation_config.json', 'model.safetensors'] as const;
export const ADAPTER_FILES = ['adapter_config.json', 'adapter_model.safetensors'] as const;

/** Files in memory as a folder, with the contract of one on disk: a read beyond the end throws. */
export function memoryFolder(location: string, files: Files): Folder {
  return {
    location,
    size: async (name) => files[name]?.length,
    read: async (name, start, end) => {
      const file = files[name];
      if (!file || start > end || end > file.length) throw new RangeError(`No bytes ${start} to ${end} in ${location}/${name}`);
      return file.slice(start, end);
    },
  };
}
