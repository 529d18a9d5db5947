import type { GgufSectionName } from './gguf-repack.ts';
import type { GgufBlockType } from './gguf-types.ts';
import type { FloatDtype } from './half.ts';

/** Where the parts of some blocks go: a byte of the memory for each section, a multiple of 4. Sections that a type has not may be anywhere. */
export type SectionPlaces = Readonly<Record<GgufSectionName, number>>;

/** Memory that slices of weights are read into, looked at and rearranged in, the same for one slice after another. */
export interface SliceMemory {
  /** Its first `length` bytes. What an earlier call returned is no longer part of it where that was less. */
  bytes(length: number): Uint8Array<ArrayBuffer>;
  /** The first NaN or infinity among `count` numbers from byte `at` on, or undefined. */
  firstNotFinite(dtype: FloatDtype, at: number, count: number): number | undefined;
  /**
   * Writes the blocks from byte `from` on as a plane has them (see `repackRows`).
   * Returns the first of them whose scale or minimum is NaN or infinite, or undefined.
   */
  repack(type: GgufBlockType, from: number, blocks: number, to: SectionPlaces): number | undefined;
}
