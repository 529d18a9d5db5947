import { WebLoraError } from '../errors.ts';
import { checkByteRange, checkFileName, fileLocation, fileMissing, fileTruncated, joinStamps } from './folder-contract.ts';
import type { Folder } from './folder-contract.ts';

function pathOf(file: File): string {
  return file.webkitRelativePath || file.name;
}

/** The first part of the path where all files share it: the dropped folder's name. */
function commonFolder(files: readonly File[]): string {
  const first = new Set(files.map((file) => (pathOf(file).includes('/') ? pathOf(file).split('/')[0]! : '')));
  const [only] = first;
  return first.size === 1 && only ? only : 'dropped files';
}

/**
 * Files that a person dropped or chose. A name means the file of that path, or the one least deep whose path ends with it:
 * `config.json` finds `frontdesk/base/config.json`. Two equally deep ones are refused with `file_invalid`.
 */
export function openFiles(files: readonly File[]): Folder {
  const folder = { location: commonFolder(files) };
  const find = (name: string): File | undefined => {
    checkFileName(name);
    const depth = (file: File): number => pathOf(file).split('/').length;
    const found = files.filter((file) => pathOf(file) === name || pathOf(file).endsWith(`/${name}`)).sort((a, b) => depth(a) - depth(b));
    const [best, second] = found;
    if (best && second && depth(best) === depth(second)) {
      throw new WebLoraError(
        'file_invalid',
        `Two of the files could be ${name}: ${pathOf(best)} and ${pathOf(second)}. Choose the files of one model or adapter only.`,
      );
    }
    return best;
  };
  return {
    location: folder.location,
    fixed: 'yes',
    names: async () => files.map(pathOf),
    async stamp(names) {
      return joinStamps(names.map(find).map((file) => (file ? `${file.size}-${file.lastModified}` : '-')));
    },
    async size(name) {
      return find(name)?.size;
    },
    async read(name, start, end) {
      checkByteRange(start, end);
      const location = fileLocation(folder, name);
      const file = find(name);
      if (!file) throw fileMissing(location);
      if (end > file.size) throw fileTruncated(location, end, file.size);
      try {
        return new Uint8Array(await file.slice(start, end).arrayBuffer());
      } catch (cause) {
        throw new WebLoraError('file_unreadable', `${location} cannot be read any more; drop or choose it again.`, { cause });
      }
    },
  };
}
