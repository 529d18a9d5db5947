import { quadWidth, type PackedLayer, type SiteTable } from '../../src/adapters/sites.ts';
import { toF32 } from '../../src/formats/half.ts';
import type { TestTensor } from './files.ts';

/** A layer's numbers as f32, whatever its precision. */
export function numbersOf({ words }: PackedLayer, precision: 'exact' | 'half'): Float32Array {
  return toF32(new Uint8Array(words.buffer), precision === 'exact' ? 'F32' : 'F16');
}

/** scale · B·A of a packed matrix as (outWidth, inWidth), in double. */
export function product(layer: PackedLayer, index: number, table: SiteTable, precision: 'exact' | 'half'): number[] {
  const { site, offsetA, offsetB, rank4, scale } = layer.matrices[index]!;
  const { inWidth, outWidth } = table.sites[site]!;
  const values = numbersOf(layer, precision);
  const out: number[] = [];
  for (let row = 0; row < outWidth; row++) {
    for (let column = 0; column < inWidth; column++) {
      let sum = 0;
      for (let r = 0; r < rank4; r++)
        sum += values[offsetA * 4 + column * rank4 + r]! * values[offsetB * 4 + r * quadWidth(outWidth) + row]!;
      out.push(sum * scale);
    }
  }
  return out;
}

/** `count` numbers of f32 from a word of a layer on. */
export function vectorOf({ words }: PackedLayer, offset: number, count: number): number[] {
  return [...new Float32Array(words.buffer, words.byteOffset, words.length).subarray(offset, offset + count)];
}

/** The same from the tensors as PEFT stores them. */
export function expected([a, b]: readonly TestTensor[], scale: number): number[] {
  const [rank, inWidth] = a!.shape as [number, number];
  const [valuesA, valuesB] = [toF32(a!.bytes, 'F32'), toF32(b!.bytes, 'F32')];
  const out: number[] = [];
  for (let row = 0; row < b!.shape[0]!; row++) {
    for (let column = 0; column < inWidth; column++) {
      let sum = 0;
      for (let r = 0; r < rank; r++) sum += valuesB[row * rank + r]! * valuesA[r * inWidth + column]!;
      out.push(sum * scale);
    }
  }
  return out;
}

/** The largest difference, as a share of the largest wanted value. */
export function largestError(got: readonly number[], want: readonly number[]): number {
  return got.reduce((worst, value, i) => Math.max(worst, Math.abs(value - want[i]!)), 0) / Math.max(...want.map(Math.abs), 1e-300);
}
