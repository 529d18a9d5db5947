import type { LoraInput } from './lora.ts';

export interface LoraExpandInput extends LoraInput {
  /** (rows and parts, sites, splits, ranks) */
  readonly v: ArrayLike<number>;
  readonly yStride: number;
}

/** y: (rows, yStride). Adds every part of every segment. */
export function loraExpand(input: LoraExpandInput, y: Float64Array): void {
  const { segments, adapters, sites, splits, ranks, v, yStride } = input;
  for (const { rowStart, rowCount, vRow, parts } of segments) {
    for (let p = 0; p < parts.length; p++) {
      for (let row = 0; row < rowCount; row++) {
        for (let site = 0; site < sites; site++) {
          const matrices = adapters[parts[p]!.slot]![site];
          if (matrices === undefined) continue;
          for (let n = 0; n < matrices.outWidth; n++) {
            let sum = 0;
            for (let inner = 0; inner < matrices.rank; inner++) {
              let shrunk = 0;
              for (let split = 0; split < splits; split++) {
                shrunk += v[(((vRow + p * rowCount + row) * sites + site) * splits + split) * ranks + inner]!;
              }
              sum += shrunk * matrices.b[inner * matrices.outWidth + n]!;
            }
            const at = (rowStart + row) * yStride + matrices.outStart + n;
            const { gain, bias } = matrices;
            y[at] = (y[at]! + parts[p]!.scale * matrices.scale * sum) * (gain?.[n] ?? 1) + (bias?.[n] ?? 0);
          }
        }
      }
    }
  }
}
