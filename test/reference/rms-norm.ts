export interface RmsNormInput {
  /** (any, stride), `width` of each row used. */
  readonly x: ArrayLike<number>;
  /** (width) */
  readonly weight: ArrayLike<number>;
  /** By row of x: weights (width) that its adapter saved, in place of these. */
  readonly saved?: readonly (ArrayLike<number> | undefined)[];
  /** The row of x that each row of y is made from. */
  readonly rows: readonly number[];
  readonly width: number;
  readonly stride: number;
  readonly epsilon: number;
  /** Whether it is added to what y holds; default `replace`. */
  readonly output?: 'replace' | 'add';
}

/** y: (rows, stride), `width` of each row written. */
export function rmsNorm({ x, weight, saved, rows, width, stride, epsilon, output }: RmsNormInput, y: Float64Array): void {
  for (let i = 0; i < rows.length; i++) {
    const from = rows[i]! * stride;
    let squares = 0;
    for (let k = 0; k < width; k++) squares += x[from + k]! * x[from + k]!;
    const rms = Math.sqrt(squares / width + epsilon);
    const own = saved?.[rows[i]!] ?? weight;
    for (let k = 0; k < width; k++) {
      const before = output === 'add' ? y[i * stride + k]! : 0;
      y[i * stride + k] = before + (x[from + k]! / rms) * own[k]!;
    }
  }
}
