/** A linear layer that an adapter may change, the same in every decoder layer: one row of a model's site table. */
export interface Site {
  /** Name inside a decoder layer, as checkpoints and PEFT spell it: `self_attn.q_proj`. */
  readonly module: string;
  /** Input and output width of the linear layer. */
  readonly inWidth: number;
  readonly outWidth: number;
  /** First of its output columns in the projection group's output (k starts behind q in the group q, k, v). */
  readonly outStart: number;
}

/** What adapters need to know of a model, as plain data. Layer l's module is `${prefix}${l}.${site.module}`. */
export interface SiteTable {
  readonly prefix: string;
  readonly layers: number;
  readonly sites: readonly Site[];
}

/** One low-rank pair inside a packed layer. Offsets are in 16-bit or 32-bit quads (4 numbers) from the block's start. */
export interface PackedMatrix {
  /** Index into `SiteTable.sites`. */
  readonly site: number;
  /** A as `[inWidth][rank4]`. */
  readonly offsetA: number;
  /** B as `[rank4][outWidth]`. */
  readonly offsetB: number;
  /** Rank rounded up to a multiple of 4, the rest zeros. */
  readonly rank4: number;
  /** alpha / r (or alpha / sqrt(r)), times the powers of two that packing took out of A and B. */
  readonly scale: number;
}

/** One decoder layer of an adapter as it lies in the pool; every matrix starts at a multiple of 256 bytes. */
export interface PackedLayer {
  readonly words: Uint32Array<ArrayBuffer>;
  readonly matrices: readonly PackedMatrix[];
}

/** An adapter ready for the GPU: what the heap and disk tiers hold. */
export interface PackedAdapter {
  /** SHA-256 (hex) of what the adapter computes; see digest.ts. */
  readonly digest: string;
  readonly precision: 'exact' | 'half';
  /** The largest rank4 of any matrix. */
  readonly rank4: number;
  /** The largest rank of any matrix, as trained. */
  readonly rank: number;
  /** Sum of the layers' bytes. */
  readonly bytes: number;
  readonly layers: readonly PackedLayer[];
}
