export interface MatmulInput {
  /** (rows, xStride), `width` of each row used. */
  readonly x: ArrayLike<number>;
  /** (out, xStride), `width` of each row used. */
  readonly weights: ArrayLike<number>;
  readonly rows: number;
  readonly width: number;
  readonly xStride: number;
  readonly out: number;
  /** First column of y. */
  readonly outAt: number;
  readonly yStride: number;
  readonly output: 'replace' | 'add';
}

/** y: (rows, yStride), columns outAt..outAt+out-1 written. */
export function matmul({ x, weights, rows, width, xStride, out, outAt, yStride, output }: MatmulInput, y: Float64Array): void {
  for (let row = 0; row < rows; row++) {
    for (let n = 0; n < out; n++) {
      let sum = 0;
      for (let k = 0; k < width; k++) sum += x[row * xStride + k]! * weights[n * xStride + k]!;
      const at = row * yStride + outAt + n;
      y[at] = output === 'add' ? y[at]! + sum : sum;
    }
  }
}
