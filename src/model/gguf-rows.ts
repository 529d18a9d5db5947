import { firstBadBlock, repackLayout, repackRows, rowsOfPlane } from '../formats/gguf-repack.ts';
import { GGUF_BLOCKS, type GgufBlockType } from '../formats/gguf-types.ts';
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

/** The sections of a plane for whole rows of blocks, values unchanged. */
export function sectionsOf(
  type: GgufBlockType,
  blocks: Uint8Array<ArrayBuffer>,
  rows: number,
  width: number,
): readonly Uint8Array<ArrayBuffer>[] {
  const layout = repackLayout(type, rows, width);
  const sections = rowsOfPlane(new Uint8Array(layout.bytes), layout, 0, rows);
  repackRows(type, blocks, rows, width, sections);
  return sections;
}

/** The index of the first element of a block whose scale or minimum is NaN or infinite, or undefined. */
export function firstBadElement(type: GgufBlockType, blocks: Uint8Array<ArrayBuffer>): number | undefined {
  const bad = firstBadBlock(type, blocks);
  return bad === undefined ? undefined : bad * GGUF_BLOCKS[type].weights;
}
