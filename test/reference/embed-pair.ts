import type { LoraMatrices, LoraSegment } from './lora.ts';

export interface EmbedPairInput {
  readonly segments: readonly LoraSegment[];
  /** By slot; undefined where the adapter leaves the embedding alone. A is (vocabulary, rank). */
  readonly adapters: readonly (Pick<LoraMatrices, 'rank' | 'scale' | 'a' | 'b'> | undefined)[];
  /** Token of each row; beyond the vocabulary means its last token. */
  readonly tokens: readonly number[];
  readonly vocabulary: number;
  readonly width: number;
  readonly stride: number;
  /** What embeddings are multiplied with. */
  readonly scale: number;
}

/** x: (rows, stride), `width` of each row added to, by every part of every segment. */
export function embedPair({ segments, adapters, tokens, vocabulary, width, stride, scale }: EmbedPairInput, x: Float64Array): void {
  for (const { rowStart, rowCount, parts } of segments) {
    for (let row = rowStart; row < rowStart + rowCount; row++) {
      const token = Math.min(tokens[row]!, vocabulary - 1);
      for (const part of parts) {
        const pair = adapters[part.slot];
        if (!pair) continue;
        for (let n = 0; n < width; n++) {
          let sum = 0;
          for (let r = 0; r < pair.rank; r++) sum += pair.a[token * pair.rank + r]! * pair.b[r * width + n]!;
          x[row * stride + n]! += scale * part.scale * pair.scale * sum;
        }
      }
    }
  }
}
