export interface EmbedInput {
  /** Token of each row; beyond the vocabulary means its last token. */
  readonly tokens: readonly number[];
  readonly vocabulary: number;
  /** (count, width): embeddings of the tokens first..first+count-1. */
  readonly weights: ArrayLike<number>;
  readonly first: number;
  readonly count: number;
  readonly width: number;
  /** What embeddings are multiplied with; default 1. */
  readonly scale?: number;
}

/** x: (rows, width). Writes the rows whose token is among the weights'. */
export function embed({ tokens, vocabulary, weights, first, count, width, scale = 1 }: EmbedInput, x: Float64Array): void {
  for (let row = 0; row < tokens.length; row++) {
    const token = Math.min(tokens[row]!, vocabulary - 1);
    if (token < first || token >= first + count) continue;
    for (let k = 0; k < width; k++) x[row * width + k] = weights[(token - first) * width + k]! * scale;
  }
}
