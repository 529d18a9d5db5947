import type { FloatDtype } from '../formats/half.ts';

/** A linear layer that an adapter may change, the same in every decoder layer: one row of a model's site table. */
export interface Site {
  /** Name inside a decoder layer, as checkpoints and PEFT spell it: `self_attn.q_proj`. Outside the layers the whole name: `lm_head`. */
  readonly module: string;
  /** Input and output width of the linear layer. */
  readonly inWidth: number;
  readonly outWidth: number;
  /** First of its output columns in the projection group's output (k starts behind q in the group q, k, v). */
  readonly outStart: number;
  /** Whether the base has a bias there, which an adapter may replace. */
  readonly bias: 'yes' | 'no';
}

/** A norm that an adapter may replace. */
export interface NormSite {
  /** Name inside a decoder layer: `input_layernorm`, `self_attn.q_norm`. Outside the layers the whole name: `model.norm`. */
  readonly module: string;
  readonly width: number;
}

/** The embedding and the head as places in `SiteTable.outer`. */
export const OUTER = { embedding: 0, head: 1 } as const;

/** What adapters need to know of a model, as plain data. Layer l's module is `${prefix}${l}.${site.module}`. */
export interface SiteTable {
  readonly prefix: string;
  readonly layers: number;
  readonly sites: readonly Site[];
  /** Norms of a decoder layer. */
  readonly norms: readonly NormSite[];
  /** The norm behind the last layer. */
  readonly finalNorm: NormSite;
  /**
   * `model.embed_tokens` (vocabulary → hidden) and `lm_head` (hidden → vocabulary), see `OUTER`. A low-rank pair of the embedding is that
   * of a linear layer whose input is one-hot: a row of A for a token.
   */
  readonly outer: readonly [embedding: Site, head: Site];
  /** `yes`: transformers' model has q, k, v (`self_attn.qkv_proj`) and gate, up (`mlp.gate_up_proj`) as one module each. */
  readonly fused: 'yes' | 'no';
  /** `yes`: the head's weights are the embedding's. */
  readonly tied: 'yes' | 'no';
  /** What is added to a norm's weights as transformers stores them before they multiply (1 in Gemma). */
  readonly normOffset: number;
}

/** Words of an entry of the descriptor table. */
export const DESCRIPTOR_WORDS = 8;
/** Entries that one layer of an adapter has there: one for each site, and one that names its norms. */
export const entriesOf = ({ sites }: Pick<SiteTable, 'sites'>): number => sites.length + 1;
/** The word of these that names a norm. */
export const normAt = (table: Pick<SiteTable, 'sites'>, norm: number): number => table.sites.length * DESCRIPTOR_WORDS + norm;

/**
 * What an adapter does to one site. A and B count in 16-bit or 32-bit quads (4 numbers) from the block's start, what is one number for each
 * output in words of 4 bytes: that is f32 in every precision.
 */
export interface PackedMatrix {
  /** Index into `SiteTable.sites`, or `SiteTable.outer`. */
  readonly site: number;
  /** A as `[inWidth][rank4]`. */
  readonly offsetA: number;
  /** B as `[rank4][quadWidth(outWidth)]`. */
  readonly offsetB: number;
  /** Rank rounded up to a multiple of 4, the rest zeros. 0: no low-rank pair, only a bias. */
  readonly rank4: number;
  /** alpha / r (or alpha / sqrt(r)), times the powers of two that packing took out of A and B. */
  readonly scale: number;
  /**
   * DoRA's magnitudes `[outWidth]`: the output without its bias is multiplied by magnitude / |row of (W + scale·B·A)|. The device
   * computes that gain, which depends on the base, as the adapter comes to it.
   */
  readonly offsetMagnitude?: number;
  /** A trained bias `[outWidth]`, which takes the place of the base's. */
  readonly offsetBias?: number;
}

/** A norm's weights as they multiply: `SiteTable.normOffset` is in them. f32. */
export interface PackedNorm {
  /** Index into `SiteTable.norms`; 0 outside the layers, where it is `SiteTable.finalNorm`. */
  readonly norm: number;
  /** In words of 4 bytes from the block's start. */
  readonly offset: number;
}

/** One decoder layer of an adapter as it lies in the pool, or what it has outside the layers; every part starts at a multiple of 256 bytes. */
export interface PackedLayer {
  readonly words: Uint32Array<ArrayBuffer>;
  readonly matrices: readonly PackedMatrix[];
  readonly norms: readonly PackedNorm[];
}

/** A saved embedding or head: it takes the place of the base's. At most one has each place. */
export interface WholeMatrix {
  /** Whose: `OUTER.embedding`, `OUTER.head`, or both. */
  readonly sites: readonly number[];
  /** One a token. */
  readonly rows: number;
  readonly width: number;
  readonly dtype: FloatDtype;
  /** Rows behind one another as the file stores them, whole rows in each slice, a few MiB. */
  readonly slices: readonly Uint8Array<ArrayBuffer>[];
}

/** What keeps an adapter from being blended with others: what they do is no sum. */
export type Unblendable = (typeof UNBLENDABLE)[number];
export const UNBLENDABLE = ['DoRA', 'saved modules', 'trained biases'] as const;

/** An adapter ready for the GPU: what the heap and disk tiers hold. */
export interface PackedAdapter {
  /** SHA-256 (hex) of what the adapter computes; see digest.ts. */
  readonly digest: string;
  readonly precision: 'exact' | 'half';
  /** The largest rank4 of any matrix. */
  readonly rank4: number;
  /** The largest rank of any matrix, as trained. */
  readonly rank: number;
  /** Of all that it holds: layers, what is outside them, and whole matrices. */
  readonly bytes: number;
  readonly layers: readonly PackedLayer[];
  /** Outside the layers: pairs of `SiteTable.outer` and the final norm. */
  readonly outer: PackedLayer;
  readonly whole: readonly WholeMatrix[];
  /** In the order of `UNBLENDABLE`; none: it may be blended. */
  readonly unblendable: readonly Unblendable[];
}

/** Bytes of an adapter that lie outside its layers: for buffers of their own, not for pages of the pool. */
export function bytesApart({ outer, whole }: PackedAdapter): number {
  return whole.reduce((sum, { slices }) => slices.reduce((all, { length }) => all + length, sum), outer.words.byteLength);
}

/** Numbers of a row of B: its outputs rounded up to 4, the rest zeros. */
export function quadWidth(outWidth: number): number {
  return Math.ceil(outWidth / 4) * 4;
}

/** A block that holds nothing. */
export function emptyLayer(): PackedLayer {
  return { words: new Uint32Array(0), matrices: [], norms: [] };
}

/**
 * What an adapter does beyond low-rank pairs and biases in the layers, as bits. A model builds what one of them needs when the first
 * adapter has it, and steps without rows that have it run without.
 */
export const TRAITS = {
  /** It replaces norms of layers. */
  norms: 1,
  /** It replaces the norm behind the last layer. */
  finalNorm: 2,
  /** It multiplies outputs (DoRA). */
  gains: 4,
  embeddingPair: 8,
  headPair: 16,
  wholeEmbedding: 32,
  wholeHead: 64,
  /** It replaces biases of the base. */
  biases: 128,
} as const;

/** Traits whose numbers lie in the memory outside the layers. */
export const OUTER_TRAITS = TRAITS.finalNorm | TRAITS.embeddingPair | TRAITS.headPair;

/** Traits of matrices in buffers of their own. */
export const WHOLE_TRAITS = TRAITS.wholeEmbedding | TRAITS.wholeHead;

/** The bits of `TRAITS` that an adapter has. */
export function traitsOf({ layers, outer, whole }: Pick<PackedAdapter, 'layers' | 'outer' | 'whole'>): number {
  let traits = 0;
  for (const { matrices, norms } of layers) {
    if (norms.length > 0) traits |= TRAITS.norms;
    for (const { offsetMagnitude, offsetBias } of matrices) {
      if (offsetMagnitude !== undefined) traits |= TRAITS.gains;
      if (offsetBias !== undefined) traits |= TRAITS.biases;
    }
  }
  if (outer.norms.length > 0) traits |= TRAITS.finalNorm;
  for (const { site } of outer.matrices) traits |= site === OUTER.head ? TRAITS.headPair : TRAITS.embeddingPair;
  for (const site of whole.flatMap(({ sites }) => sites)) traits |= site === OUTER.head ? TRAITS.wholeHead : TRAITS.wholeEmbedding;
  return traits;
}

/** Work on the GPU that goes on until `ms` milliseconds have passed, at least by one piece; nothing happens after `done`. */
export interface Sliced {
  /** Throws `out_of_memory` where the device has no room for it; nothing is left of it then. */
  step(ms: number): 'done' | 'more';
}

/** Where an adapter lies: its slot, and its first page in every layer. */
export interface AdapterPlace {
  readonly slot: number;
  readonly firstPage: number;
}

/** What is left to do when an adapter's words are in the pool: what depends on the base, and what has buffers of its own. */
export interface Finisher {
  /**
   * Finds out whether the device has room for what an adapter has in buffers of its own, before anybody leaves for it; takes none. Throws
   * `out_of_memory`.
   */
  checkRoom(adapter: PackedAdapter): Promise<void>;
  /** In slices, after all words are written; nothing where there is nothing to do. */
  begin(place: AdapterPlace, adapter: PackedAdapter): Sliced | undefined;
  /** Frees what a slot has outside the pool. */
  release(slot: number): void;
}
