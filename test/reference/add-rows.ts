export interface AddRowsInput {
  /** (rows, stride): added to x; undefined: nothing. */
  readonly y?: ArrayLike<number> | undefined;
  /** (width): added to each row; undefined: nothing. */
  readonly bias?: ArrayLike<number> | undefined;
  readonly rows: number;
  readonly width: number;
  readonly stride: number;
}

/** x: (rows, stride), `width` of each row written. */
export function addRows({ y, bias, rows, width, stride }: AddRowsInput, x: Float64Array): void {
  for (let row = 0; row < rows; row++) {
    for (let n = 0; n < width; n++) x[row * stride + n]! += (y?.[row * stride + n] ?? 0) + (bias?.[n] ?? 0);
  }
}
