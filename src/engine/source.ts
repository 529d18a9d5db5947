import type { Folder } from '../formats/folder.ts';

/**
 * Where a model or an adapter is read from: a folder's path or URL, a .gguf's, a hub id (`owner/name`, or `owner/name/file.gguf` and
 * `owner/name:Q4_K_M` for one .gguf of several, all with or without `@revision`; a string that is an existing folder is a folder), dropped
 * files, bytes by file name, or anything that reads like a folder.
 */
export type Source = string | URL | readonly File[] | Readonly<Record<string, Uint8Array<ArrayBuffer> | ArrayBuffer>> | Folder;

/** How far reading is. */
export interface Progress {
  /** Bytes. */
  readonly loaded: number;
  readonly total: number;
  /** The file whose bytes these were. */
  readonly file: string;
  /** `download`: all that is fetched from the hub and kept, which comes first and where nothing is missing not at all. Absent: what is loaded. */
  readonly phase?: 'download';
}
