/** What a language model's part of a model that sees pictures is called, newest last, and what the same is called where it is all. */
const PREFIXES = [
  ['language_model.model.', 'model.'],
  ['language_model.lm_head.', 'lm_head.'],
  ['model.language_model.', 'model.'],
] as const;

/**
 * The name that a tensor of a language model has where that is the whole model: Gemma 3's of before and after transformers 4.52 lies beside
 * a part that sees pictures. Other names stay.
 */
export function textName(name: string): string {
  for (const [from, to] of PREFIXES) if (name.startsWith(from)) return to + name.slice(from.length);
  return name;
}
