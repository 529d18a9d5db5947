import type { Range } from './parts.ts';

/** Told after each read: bytes of the tensors that were read so far, of all that will be, and the file that they came from. */
export type ReadProgress = (progress: { readonly loaded: number; readonly total: number; readonly file: string }) => void;

/** Where ranges of files are read. */
export interface RangeFiles {
  /** Throws what the folder throws. */
  read(range: Range): Promise<Uint8Array<ArrayBuffer>>;
}

/** The bytes of tensors, fetched together where they lie together. */
export interface TensorReader {
  /**
   * A tensor's bytes, as a view into what was fetched with it. Throws what the folder throws, `RangeError` for a tensor that is not in
   * the list or behind the one before it, and the signal's reason.
   */
  next(range: Range): Promise<Uint8Array<ArrayBuffer>>;
}

/** Tensors are fetched together where at most this share of what is fetched is of others. */
const LARGEST_WASTE = 0.25;

/** Most bytes fetched at once, unless one tensor has more: what a folder copies in one piece must not hold the thread for long. */
const LARGEST_READ = 4 << 20;

interface Span {
  readonly file: string;
  readonly start: number;
  readonly end: number;
  /** How many of the tensors it covers, and their bytes. */
  readonly count: number;
  readonly needed: number;
}

/** The longest row of tensors, from the first on, that one read may fetch. */
function spanOf(tensors: readonly Range[], first: number): Span {
  let { start, end } = tensors[first]!;
  const { file } = tensors[first]!;
  let needed = end - start;
  let best: Span = { file, start, end, count: 1, needed };
  for (let i = first + 1; i < tensors.length; i++) {
    const info = tensors[i]!;
    start = Math.min(start, info.start);
    end = Math.max(end, info.end);
    needed += info.end - info.start;
    if (info.file !== file || end - start > LARGEST_READ) return best;
    if ((end - start) * (1 - LARGEST_WASTE) <= needed) best = { file, start, end, count: i + 1 - first, needed };
  }
  return best;
}

/**
 * Makes a reader for these tensors, to be asked for in this order. Only what was fetched last is held.
 *
 * @param signal looked at before and after each read, so that every kind of folder can be left; a web folder's own requests end by the
 * signal that it was opened with.
 */
export function createTensorReader(
  files: RangeFiles,
  tensors: readonly Range[],
  signal: AbortSignal | undefined,
  onProgress: ReadProgress | undefined,
): TensorReader {
  const total = tensors.reduce((sum, { start, end }) => sum + end - start, 0);
  let loaded = 0;
  let at = 0;
  let fetched: { readonly start: number; readonly bytes: Uint8Array<ArrayBuffer>; readonly until: number } | undefined;
  return {
    next: async (info) => {
      if (tensors[at] !== info) throw new RangeError(`The tensor ${info.name} is not the next that was announced.`);
      if (!fetched || at === fetched.until) {
        signal?.throwIfAborted();
        const { file, start, end, count, needed } = spanOf(tensors, at);
        const bytes = await files.read({ ...info, start, end });
        signal?.throwIfAborted();
        fetched = { start, bytes, until: at + count };
        loaded += needed;
        onProgress?.({ loaded, total, file });
      }
      at++;
      return fetched.bytes.subarray(info.start - fetched.start, info.end - fetched.start);
    },
  };
}
