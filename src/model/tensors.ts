import type { GgufBlockType } from '../formats/gguf-types.ts';
import type { TensorDtype } from '../formats/safetensors.ts';

/** One tensor of a model's file. */
export interface ModelTensor {
  /** As the file calls it. */
  readonly name: string;
  readonly file: string;
  readonly dtype: TensorDtype | GgufBlockType;
  /** Outermost first. */
  readonly shape: readonly number[];
  /** Its first byte and the one behind its last, from the beginning of the file. */
  readonly start: number;
  readonly end: number;
  /**
   * Rows of each head, whose two halves, which rope turns into each other, the file stores interleaved (see `permutedRows`). Undefined: rows
   * lie in transformers' order.
   */
  readonly interleaved?: number;
}

/** The tensors of a model under transformers' names, whatever its file: `TensorFiles` of safetensors are such, `ggufTensors` makes others. */
export interface ModelTensors {
  /** For messages. */
  readonly location: string;
  /** Undefined: safetensors. */
  readonly format?: 'gguf';
  /** What the file calls a tensor of transformers' name; undefined: the same. */
  readonly fileName?: (name: string) => string;
  /** By transformers' name. */
  readonly tensors: ReadonlyMap<string, ModelTensor>;
  /**
   * The tensor's bytes, or those from `startByte` to `endByte` (exclusive) of them, perhaps in `into`, which is as long. Throws what the
   * folder throws.
   */
  read(tensor: ModelTensor, startByte?: number, endByte?: number, into?: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
}
