export interface SiluMulInput {
  /** (rows, [gate | up], width) */
  readonly gateUp: ArrayLike<number>;
  readonly rows: number;
  readonly width: number;
  readonly yStride: number;
}

/** y: (rows, yStride), `width` of each row written. */
export function siluMul({ gateUp, rows, width, yStride }: SiluMulInput, y: Float64Array): void {
  for (let row = 0; row < rows; row++) {
    for (let n = 0; n < width; n++) {
      const gate = gateUp[row * 2 * width + n]!;
      const up = gateUp[row * 2 * width + width + n]!;
      y[row * yStride + n] = (gate / (1 + Math.exp(-gate))) * up;
    }
  }
}
