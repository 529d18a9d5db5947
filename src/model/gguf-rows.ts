import { repackLayout } from '../formats/gguf-repack.ts';
import { GGUF_BLOCKS, type GgufBlockType } from '../formats/gguf-types.ts';
import type { SectionPlaces, SliceMemory } from '../formats/slice-memory.ts';
import { permutedRows } from './gguf-config-tensors.ts';

/** Rows of `rowBytes` bytes in transformers' order: the file has them interleaved inside heads of `headRows` rows (see `permutedRows`). */
export function inOrder(bytes: Uint8Array<ArrayBuffer>, rowBytes: number, headRows: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(bytes.length);
  const rows = bytes.length / rowBytes;
  for (const [stored, row] of permutedRows(rows / headRows, headRows).entries()) {
    out.set(bytes.subarray(stored * rowBytes, (stored + 1) * rowBytes), row * rowBytes);
  }
  return out;
}

/** Bytes of a row of blocks. */
export function blockRowBytes(type: GgufBlockType, width: number): number {
  return (width / GGUF_BLOCKS[type].weights) * GGUF_BLOCKS[type].bytes;
}

/** Whole rows of blocks at the beginning of a memory. */
export interface BlockSlice {
  readonly type: GgufBlockType;
  readonly rows: number;
  readonly width: number;
  /** As `inOrder`'s `headRows`; 1: rows are in transformers' order. */
  readonly headRows: number;
}

/** Where the sections of a slice begin: behind its blocks. */
const sectionsAt = ({ type, rows, width }: BlockSlice): number => Math.ceil((rows * blockRowBytes(type, width)) / 16) * 16;

/** Bytes of memory that a slice needs, its sections included. */
export function roomOf(slice: BlockSlice): number {
  return sectionsAt(slice) + repackLayout(slice.type, slice.rows, slice.width).bytes;
}

/** What came of a slice. */
export interface Repacked {
  /** Each section's part of a plane, rows in transformers' order; in the memory. */
  readonly sections: readonly Uint8Array<ArrayBuffer>[];
  /** The first element, as the file has them, of a block whose scale or minimum is NaN or infinite. */
  readonly bad: number | undefined;
}

/** Writes the sections of a plane behind the blocks they are made from, values unchanged. */
export function repackSlice(memory: SliceMemory, slice: BlockSlice): Repacked {
  const { type, rows, width, headRows } = slice;
  const blocks = width / GGUF_BLOCKS[type].weights;
  const { sections } = repackLayout(type, rows, width);
  const behind = sectionsAt(slice);
  const places = (row: number): SectionPlaces => {
    const at = { values: 0, scales: 0, parts: 0, high: 0 };
    for (const { name, offset, rowBytes } of sections) at[name] = behind + offset + row * rowBytes;
    return at;
  };
  const rowBytes = blockRowBytes(type, width);
  let bad: number | undefined;
  if (headRows === 1) bad = memory.repack(type, 0, rows * blocks, places(0));
  else {
    for (const [stored, row] of permutedRows(rows / headRows, headRows).entries()) {
      const badInRow = memory.repack(type, stored * rowBytes, blocks, places(row));
      if (badInRow !== undefined) bad ??= stored * blocks + badInRow;
    }
  }
  const bytes = memory.bytes(roomOf(slice));
  return {
    sections: sections.map(({ offset, bytes: length }) => bytes.subarray(behind + offset, behind + offset + length)),
    bad: bad === undefined ? undefined : bad * GGUF_BLOCKS[type].weights,
  };
}
