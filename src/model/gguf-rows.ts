import { repackLayout, repackRows, rowsOfPlane } from '../formats/gguf-repack.ts';
import { GGUF_BLOCKS, type GgufBlockType } from '../formats/gguf-types.ts';
import { firstNotFinite } from '../formats/half.ts';
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

/** The index of the first element of a block whose scale or minimum is NaN or infinite, or undefined; `sections` as `sectionsOf` gave them. */
export function firstBadElement(
  type: GgufBlockType,
  sections: readonly Uint8Array<ArrayBuffer>[],
  rows: number,
  width: number,
): number | undefined {
  const at = repackLayout(type, rows, width).sections.findIndex(({ name }) => name === 'scales');
  const scales = sections[at]!;
  const bad = firstNotFinite(scales, 'F32');
  if (bad === undefined) return undefined;
  const { weights } = GGUF_BLOCKS[type];
  const ofBlock = scales.length / 4 / ((rows * width) / weights);
  return Math.floor(bad / ofBlock) * weights;
}
