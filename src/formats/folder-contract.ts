import { WebLoraError } from '../errors.ts';
import type { GgufChoice } from './hub-id.ts';

/** Read access to one folder of files, wherever it is: a disk, a web server, a drop on a page. */
export interface Folder {
  /** What a person would call this place, for messages: a path or a URL. */
  readonly location: string;
  /** Bytes in the file, or undefined where there is no such file. Throws `file_unreadable`. */
  size(name: string): Promise<number | undefined>;
  /**
   * Bytes `start` to `end` (exclusive). `into` is memory of that length that they may be read into and returned in; other memory may be
   * returned as well. Throws `file_missing`, `file_unreadable`, or `file_truncated` for a short read.
   */
  read(name: string, start: number, end: number, into?: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * A word that changes whenever one of these files does, comes or goes; undefined: that cannot be told here. Ask before the files are
   * read: then a change in between shows as another word later. Throws `file_unreadable`.
   */
  stamp?(names: readonly string[]): Promise<string | undefined>;
  /** `yes`: what is behind this source can never change, so it need not be asked again. */
  readonly fixed?: 'yes' | 'no';
  /** Of a source that names one .gguf of the folder: which. */
  readonly gguf?: GgufChoice | undefined;
  /** Names of its files; undefined where nobody can list them (a web server). Throws `file_unreadable`. */
  names?(): Promise<readonly string[]>;
  /** Brings files near that are far, several at once: reads find them there. Throws what `read` throws. */
  fetch?(names: readonly string[]): Promise<void>;
}

/** One word of the files' own; undefined where one of them has none. */
export function joinStamps(stamps: readonly (string | undefined)[]): string | undefined {
  return stamps.every((stamp) => stamp !== undefined) ? stamps.join(' ') : undefined;
}

/** Where a file is, for messages: `folder/name`. */
export function fileLocation(folder: Pick<Folder, 'location'>, name: string): string {
  return folder.location.endsWith('/') ? folder.location + name : `${folder.location}/${name}`;
}

/**
 * True for a name that stays inside its folder: relative, `/` between parts, no empty part, `.` or `..`. Names can come out of
 * files (a shard index), so every folder refuses the others.
 */
export function isFileName(name: string): boolean {
  return !/[\\\0]/.test(name) && name.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/** Throws `RangeError` for a name that leaves the folder. */
export function checkFileName(name: string): void {
  if (!isFileName(name)) throw new RangeError(`Not the name of a file inside a folder: ${JSON.stringify(name)}`);
}

/** Throws `RangeError` unless 0 ≤ start ≤ end, both exact integers. */
export function checkByteRange(start: number, end: number): void {
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start) {
    throw new RangeError(`Not a byte range: ${start} to ${end}`);
  }
}

/** The error for a file that is not there. */
export function fileMissing(location: string, cause?: unknown): WebLoraError {
  return new WebLoraError('file_missing', `There is no file ${location}.`, { cause });
}

/** The error for a read beyond the end of a file of `size` bytes. */
export function fileTruncated(location: string, end: number, size: number): WebLoraError {
  return new WebLoraError(
    'file_truncated',
    `${location} ends after ${size} bytes, but its bytes up to ${end} are needed: the file was cut short; download or copy it again.`,
  );
}
