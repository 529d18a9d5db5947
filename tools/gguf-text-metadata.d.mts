/** The keys `tokenizer.*` of the GGUF file that llama.cpp's converter would write for a tokenizer of Hugging Face. */
export function ggufTextMetadata(
  tokenizerJson: unknown,
  tokenizerConfig: unknown,
  model: { readonly model: 'llama' } | { readonly model: 'gpt2'; readonly pre: string },
): Map<string, unknown>;
