import { invalid, shown } from './values.ts';

/** One prompt of a completions request: text, or token ids. */
export type CompletionPrompt = string | readonly number[];

/**
 * The prompts of a completions request: text, token ids, or a list of either.
 * Throws `request_invalid` with param `prompt` for an empty list, a mixture, or an id that is no integer below `vocabSize`.
 */
export function parsePrompts(value: unknown, vocabSize: number): readonly CompletionPrompt[] {
  if (value === undefined) throw invalid('prompt', 'prompt is missing: text, token ids, or a list of either');
  if (typeof value === 'string') return [value];
  if (!Array.isArray(value)) throw invalid('prompt', `prompt must be text, token ids, or a list of either, not ${shown(value)}`);
  const items = value as readonly unknown[];
  if (items.length === 0) throw invalid('prompt', 'prompt is empty: at least one token is needed to go on from');
  if (items.every((item) => typeof item === 'string')) return items;
  if (items.every((item) => Array.isArray(item))) return items.map((ids, index) => tokenIds(ids, 'prompt', `prompt[${index}]`, vocabSize));
  return [tokenIds(items, 'prompt', 'prompt', vocabSize)];
}

/** A list of token ids below `vocabSize`. Throws `request_invalid` that names the first wrong one; `place` is how the message calls the list. */
export function tokenIds(items: readonly unknown[], param: string, place: string, vocabSize: number): readonly number[] {
  items.forEach((id, index) => {
    if (Number.isInteger(id) && (id as number) >= 0 && (id as number) < vocabSize) return;
    throw invalid(param, `${place}[${index}] must be a token id, an integer from 0 to ${vocabSize - 1}, not ${shown(id)}`);
  });
  return items as readonly number[];
}
