import { WebLoraError } from '../errors.ts';
import { checkByteRange, checkFileName, fileLocation, fileMissing, fileTruncated } from './folder-contract.ts';
import type { Folder } from './folder-contract.ts';

/** Files by name, as their bytes: `{ 'adapter_config.json': …, 'adapter_model.safetensors': … }`. */
export type FileBytes = Readonly<Record<string, Uint8Array<ArrayBuffer> | ArrayBuffer>>;

/** By its tag: an object of another window or realm is no instance of this one's class. */
function hasTag(value: unknown, tag: string): boolean {
  return Object.prototype.toString.call(value) === `[object ${tag}]`;
}

function isBytes(value: unknown): value is Uint8Array<ArrayBuffer> | ArrayBuffer {
  return hasTag(value, 'Uint8Array') || hasTag(value, 'ArrayBuffer');
}

/** True for a plain object of at least one file, every value of which is a Uint8Array or an ArrayBuffer. */
export function isFileBytes(source: unknown): source is FileBytes {
  if (typeof source !== 'object' || source === null || !hasTag(source, 'Object')) return false;
  const values = Object.values(source);
  return values.length > 0 && values.every(isBytes);
}

/**
 * Files that the app has in memory. Nothing is copied before it is read, so the bytes must stay as they are; a buffer that was
 * transferred away is `file_unreadable`. Throws `RangeError` for a name that is none inside a folder.
 */
export function openBytes(source: FileBytes): Folder {
  const folder = { location: 'bytes' };
  const files = new Map(
    Object.entries(source).map(([name, bytes]) => {
      checkFileName(name);
      const view = ArrayBuffer.isView(bytes) ? bytes : new Uint8Array(bytes);
      return [name, { view, size: view.byteLength }];
    }),
  );
  return {
    location: folder.location,
    fixed: 'yes',
    async size(name) {
      checkFileName(name);
      return files.get(name)?.size;
    },
    async read(name, start, end) {
      checkFileName(name);
      checkByteRange(start, end);
      const location = fileLocation(folder, name);
      const file = files.get(name);
      if (!file) throw fileMissing(location);
      if (end > file.size) throw fileTruncated(location, end, file.size);
      if (file.view.byteLength !== file.size) {
        const message = `${location} had ${file.size} bytes and has ${file.view.byteLength}: its buffer was transferred or resized; add it again.`;
        throw new WebLoraError('file_unreadable', message);
      }
      // Never the view's own slice(): a Buffer's shares its memory.
      const bytes = new Uint8Array(end - start);
      bytes.set(file.view.subarray(start, end));
      return bytes;
    },
  };
}
