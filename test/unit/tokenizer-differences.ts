/** A text of the references that this library tokenizes, decodes or renders otherwise, and what upstream does so. */
export interface Difference {
  readonly vocabulary: 'llama2' | 'llama3' | 'qwen3' | 'gemma3';
  readonly what: 'ids' | 'ids_special' | 'decoded' | 'rendered' | 'rendered ids';
  readonly text: string;
  readonly cause: string;
}

/**
 * None: what @huggingface/tokenizers computes otherwise than Python is rewritten in src/text/tokenizer-json.ts before the library sees
 * it. The comparison fails on a difference that is not listed here, and on one that is listed and no longer there.
 */
export const differences: readonly Difference[] = [];
