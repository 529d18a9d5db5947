export interface SetAsideInput {
  /** Rows whose adapter multiplies what is added to them. */
  readonly rows: readonly number[];
  readonly width: number;
  readonly stride: number;
  readonly way: 'away' | 'back';
}

/** y, kept: (rows, stride). `away`: rows of y move into kept and leave zeros. `back`: they are added again. */
export function setAside({ rows, width, stride, way }: SetAsideInput, y: Float64Array, kept: Float64Array): void {
  for (const row of rows) {
    for (let n = row * stride; n < row * stride + width; n++) {
      if (way === 'back') y[n]! += kept[n]!;
      else [kept[n], y[n]] = [y[n]!, 0];
    }
  }
}
