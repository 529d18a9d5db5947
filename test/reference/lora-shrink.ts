import type { LoraInput } from './lora.ts';

export interface LoraShrinkInput extends LoraInput {
  /** (rows, xStride), `width` of each row used. */
  readonly x: ArrayLike<number>;
  readonly width: number;
  readonly xStride: number;
  /** Columns of x that one split sums. */
  readonly splitColumns: number;
}

/** v: (rows and parts, sites, splits, ranks), the true ranks of each adapter written. */
export function loraShrink(input: LoraShrinkInput, v: Float64Array): void {
  const { segments, adapters, sites, splits, ranks, x, width, xStride, splitColumns } = input;
  for (const { rowStart, rowCount, vRow, parts } of segments) {
    for (let p = 0; p < parts.length; p++) {
      for (let row = 0; row < rowCount; row++) {
        for (let site = 0; site < sites; site++) {
          const matrices = adapters[parts[p]!.slot]![site];
          if (matrices === undefined) continue;
          for (let split = 0; split < splits; split++) {
            for (let inner = 0; inner < matrices.rank; inner++) {
              let sum = 0;
              for (let k = split * splitColumns; k < (split + 1) * splitColumns && k < width; k++) {
                sum += x[(rowStart + row) * xStride + k]! * matrices.a[k * matrices.rank + inner]!;
              }
              v[(((vRow + p * rowCount + row) * sites + site) * splits + split) * ranks + inner] = sum;
            }
          }
        }
      }
    }
  }
}
