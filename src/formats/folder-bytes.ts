import { WebLoraError } from '../errors.ts';
import type { FileBytes } from './file-bytes.ts';
import { checkByteRange, checkFileName, fileLocation, fileMissing, fileTruncated } from './folder-contract.ts';
import type { Folder } from './folder-contract.ts';

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
    names: async () => [...files.keys()],
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
