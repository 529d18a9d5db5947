import { floatBytes, toF32 } from '../formats/half.ts';
import type { Slices } from '../slices.ts';
import { countOf, PIECE } from './numbers.ts';
import type { StoredNumbers } from './numbers.ts';

/** The base's embedding and head, as its files have them. */
export interface BaseMatrices {
  /**
   * Rows of the matrix at a place of `SiteTable.outer`; undefined where they are stored as no plain numbers, or cannot be read. With tied
   * weights the head's are the embedding's.
   */
  rows(place: number, first: number, count: number): Promise<StoredNumbers | undefined>;
}

/** Whether two lists of numbers are the same, in whatever types they are stored. */
export async function areSame(a: StoredNumbers, b: StoredNumbers, slices: Slices): Promise<boolean> {
  const count = countOf(a);
  if (count !== countOf(b)) return false;
  const piece = ({ bytes, dtype }: StoredNumbers, at: number): Float32Array<ArrayBuffer> => {
    const size = floatBytes(dtype);
    return toF32(bytes.subarray(at * size, (at + PIECE) * size), dtype);
  };
  for (let at = 0; at < count; at += PIECE) {
    await slices.pause();
    const [left, right] = [piece(a, at), piece(b, at)];
    for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return false;
  }
  return true;
}
