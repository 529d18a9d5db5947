import { WebLoraError } from '../errors.ts';

const BLOCK = 512;

/** One regular file of an archive. `data` is a view into the archive's bytes. */
export interface TarFile {
  readonly name: string;
  readonly data: Uint8Array;
}

/**
 * The regular files of an uncompressed tar archive, in its order; folders, links and extension headers are passed over.
 *
 * @param archive the whole archive.
 * @throws WebLoraError `file_truncated` where a file's bytes end before its size, `file_invalid` where a size is no octal number.
 */
export function* tarFiles(archive: Uint8Array): Generator<TarFile> {
  for (let at = 0; at + BLOCK <= archive.length && archive[at] !== 0;) {
    const header = archive.subarray(at, at + BLOCK);
    const name = text(header, 0, 100);
    const size = text(header, 124, 136).trim();
    if (!/^[0-7]{1,11}$/.test(size)) {
      throw new WebLoraError(
        'file_invalid',
        `tar archive: the size of ${JSON.stringify(name)} is ${JSON.stringify(size)}, not an octal number`,
      );
    }
    const start = at + BLOCK;
    const end = start + Number.parseInt(size, 8);
    if (end > archive.length) {
      throw new WebLoraError('file_truncated', `tar archive: ${name} should end at byte ${end}, the archive has ${archive.length}`);
    }
    const type = text(header, 156, 157);
    if (type === '0' || type === '') yield { name, data: archive.subarray(start, end) };
    at = start + Math.ceil((end - start) / BLOCK) * BLOCK;
  }
}

function text(header: Uint8Array, start: number, end: number): string {
  const field = header.subarray(start, end);
  const zero = field.indexOf(0);
  return new TextDecoder().decode(zero < 0 ? field : field.subarray(0, zero));
}
