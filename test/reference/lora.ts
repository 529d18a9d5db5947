/** What one adapter does to one site: y[outStart..] = (y + scale · x · A · B) · gain + bias. Rank 0: no A and B. */
export interface LoraMatrices {
  readonly rank: number;
  readonly scale: number;
  readonly outStart: number;
  readonly outWidth: number;
  /** (inWidth, rank) */
  readonly a: ArrayLike<number>;
  /** (rank, outWidth) */
  readonly b: ArrayLike<number>;
  /** (outWidth) */
  readonly gain?: ArrayLike<number> | undefined;
  readonly bias?: ArrayLike<number> | undefined;
}

/** Rows next to each other with the same adapters; part p of row r is row vRow + p · rowCount + r of v. */
export interface LoraSegment {
  readonly rowStart: number;
  readonly rowCount: number;
  readonly vRow: number;
  readonly parts: readonly { readonly slot: number; readonly scale: number }[];
}

export interface LoraInput {
  readonly segments: readonly LoraSegment[];
  /** By slot, then by site of the group; undefined where the adapter leaves the site alone. */
  readonly adapters: readonly (readonly (LoraMatrices | undefined)[])[];
  readonly sites: number;
  readonly splits: number;
  /** Width of one row of v: the widest rank of the batch. */
  readonly ranks: number;
}
