import type { LoraSegment } from './lora.ts';

export interface WholeHeadInput {
  /** Of logit rows. */
  readonly segments: readonly LoraSegment[];
  /** The slot whose matrix it is. */
  readonly own: number;
  /** (rows, stride) */
  readonly x: ArrayLike<number>;
  /** (out, stride) */
  readonly weights: ArrayLike<number>;
  readonly stride: number;
  readonly out: number;
  /** First column of y. */
  readonly outAt: number;
  readonly yStride: number;
}

/** y: (logit rows, yStride), columns outAt..outAt+out-1 of the rows replaced that have this adapter alone. */
export function wholeHead({ segments, own, x, weights, stride, out, outAt, yStride }: WholeHeadInput, y: Float64Array): void {
  for (const { rowStart, rowCount, parts } of segments) {
    if (parts.length !== 1 || parts[0]!.slot !== own) continue;
    for (let row = rowStart; row < rowStart + rowCount; row++) {
      for (let n = 0; n < out; n++) {
        let sum = 0;
        for (let k = 0; k < stride; k++) sum += x[row * stride + k]! * weights[n * stride + k]!;
        y[row * yStride + outAt + n] = sum;
      }
    }
  }
}
