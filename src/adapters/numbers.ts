import { firstNotFinite, floatBytes, toF16, toF32 } from '../formats/half.ts';
import type { FloatDtype } from '../formats/half.ts';
import type { Slices } from '../slices.ts';

/** Numbers as a file stores them, in a type that is read. */
export interface StoredNumbers {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly dtype: FloatDtype;
}

/** Numbers as they lie in the pool: f32 as their bits, or f16. */
export type PoolNumbers = Uint32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;

/** Numbers between two looks at the clock: a small part of a millisecond's work. */
export const PIECE = 32_768;

/** Rows and columns that are transposed at once: what is read and what is written stay in the processor's nearest cache. */
const TILE = 64;

/** How many numbers there are. */
export function countOf({ bytes, dtype }: StoredNumbers): number {
  return bytes.length / floatBytes(dtype);
}

/** Walks over the numbers in pieces, pausing as the slices say; ends early where `look` answers something. */
async function inPieces<T>(
  { bytes, dtype }: StoredNumbers,
  slices: Slices,
  look: (piece: Uint8Array<ArrayBuffer>, first: number) => T | undefined,
): Promise<T | undefined> {
  const size = floatBytes(dtype);
  for (let at = 0; at < bytes.length; at += PIECE * size) {
    await slices.pause();
    const found = look(bytes.subarray(at, at + PIECE * size), at / size);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Index and value of the first NaN or infinity, or undefined. */
export async function findNotFinite(
  numbers: StoredNumbers,
  slices: Slices,
): Promise<{ readonly index: number; readonly value: number } | undefined> {
  return inPieces(numbers, slices, (piece, first) => {
    const bad = firstNotFinite(piece, numbers.dtype);
    return bad === undefined ? undefined : { index: first + bad, value: toF32(piece, numbers.dtype)[bad]! };
  });
}

/** Smallest e with |x| < 2^e for every one of these finite numbers; undefined where all are zero. */
export async function exponentOf(numbers: StoredNumbers, slices: Slices): Promise<number | undefined> {
  let largest = 0; // of finite numbers the larger magnitude has the larger bits
  await inPieces(numbers, slices, (piece) => {
    largest = largestMagnitude(toF32(piece, numbers.dtype), largest);
    return undefined;
  });
  if (largest === 0) return undefined;
  return largest < 0x800000 ? -117 - Math.clz32(largest) : (largest >>> 23) - 126;
}

function largestMagnitude(values: Float32Array<ArrayBuffer>, least: number): number {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  let largest = least;
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i]! & 0x7fffffff;
    if (magnitude > largest) largest = magnitude;
  }
  return largest;
}

/** The numbers as f32; a view of the same bytes where they are that already. */
export async function asF32(numbers: StoredNumbers, slices: Slices): Promise<Uint32Array<ArrayBuffer>> {
  const { bytes, dtype } = numbers;
  if (dtype === 'F32' && bytes.byteOffset % 4 === 0) return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const out = new Float32Array(countOf(numbers));
  await inPieces(numbers, slices, (piece, first) => void out.set(toF32(piece, dtype), first));
  return new Uint32Array(out.buffer);
}

/** The numbers times 2^power as f16, rounded as `toF16` does. */
export async function asF16(numbers: StoredNumbers, power: number, slices: Slices): Promise<Uint16Array<ArrayBuffer>> {
  const factor = 2 ** power;
  const scaled = new Float32Array(PIECE);
  const out = new Uint16Array(countOf(numbers));
  await inPieces(numbers, slices, (piece, first) => {
    const values = toF32(piece, numbers.dtype);
    for (let i = 0; i < values.length; i++) scaled[i] = values[i]! * factor;
    out.set(toF16(scaled.subarray(0, values.length)), first);
  });
  return out;
}

/** A part of a matrix, ends exclusive. */
interface Tile {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

/**
 * (rows, columns) row-major → `to` as [columns][width], which keeps what it holds beyond `rows`. `to` holds numbers of the same type.
 */
export async function transpose(from: PoolNumbers, columns: number, to: PoolNumbers, width: number, slices: Slices): Promise<void> {
  const rows = from.length / columns;
  let done = PIECE;
  for (let top = 0; top < rows; top += TILE) {
    const bottom = Math.min(top + TILE, rows);
    for (let left = 0; left < columns; left += TILE) {
      if (done >= PIECE) {
        done = 0;
        await slices.pause();
      }
      const right = Math.min(left + TILE, columns);
      done += (bottom - top) * (right - left);
      // Along the longer side: there neighbours lie side by side either where they are read or where they are written.
      if (columns > rows) alongRows(from, columns, to, width, { top, bottom, left, right });
      else alongColumns(from, columns, to, width, { top, bottom, left, right });
    }
  }
}

function alongRows(from: PoolNumbers, columns: number, to: PoolNumbers, width: number, { top, bottom, left, right }: Tile): void {
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) to[column * width + row] = from[row * columns + column]!;
  }
}

function alongColumns(from: PoolNumbers, columns: number, to: PoolNumbers, width: number, { top, bottom, left, right }: Tile): void {
  for (let column = left; column < right; column++) {
    for (let row = top; row < bottom; row++) to[column * width + row] = from[row * columns + column]!;
  }
}

/** Numbers of a matrix of so many columns as bytes, columns and rows changed. */
export async function transposed(numbers: StoredNumbers, columns: number, slices: Slices): Promise<Uint8Array<ArrayBuffer>> {
  const { bytes, dtype } = numbers;
  const size = floatBytes(dtype);
  const whole = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  const out = new Uint8Array(whole.length);
  const view = ({ buffer, byteOffset, length }: Uint8Array<ArrayBuffer>): PoolNumbers =>
    size === 4 ? new Uint32Array(buffer, byteOffset, length / 4) : new Uint16Array(buffer, byteOffset, length / 2);
  await transpose(view(whole), columns, view(out), countOf(numbers) / columns, slices);
  return out;
}
