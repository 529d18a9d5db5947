export interface DoraGainInput {
  /** (rows, stride), `width` of each row used. */
  readonly weights: ArrayLike<number>;
  readonly width: number;
  readonly stride: number;
  /** The row of `weights` that output 0 has. */
  readonly firstRow: number;
  readonly rank: number;
  readonly scale: number;
  /** (width, rank) */
  readonly a: ArrayLike<number>;
  /** (rank, outWidth) */
  readonly b: ArrayLike<number>;
  readonly outWidth: number;
  /** Outputs that are computed: the first, and the first behind them. */
  readonly from: number;
  readonly end: number;
}

/** vector: (outWidth), magnitudes of which gains are made: each divided by the length of its row of W + scale · (A · B)ᵀ. */
export function doraGain(input: DoraGainInput, vector: Float64Array): void {
  const { weights, width, stride, firstRow, rank, scale, a, b, outWidth, from, end } = input;
  for (let n = from; n < end; n++) {
    let squares = 0;
    for (let k = 0; k < width; k++) {
      let sum = 0;
      for (let r = 0; r < rank; r++) sum += a[k * rank + r]! * b[r * outWidth + n]!;
      squares += (weights[(firstRow + n) * stride + k]! + scale * sum) ** 2;
    }
    vector[n] = vector[n]! / Math.sqrt(Math.max(squares, 1e-30));
  }
}
