import { isObject, type Json } from './json-value.ts';
import type { Tokenizer } from './tokenizer.ts';

/** What `fromTransformers` needs of a tokenizer of transformers.js: version 4 has `get_vocab`, version 3 has `model`. */
export interface TransformersTokenizer {
  encode(text: string, options: { readonly add_special_tokens: boolean }): number[];
  decode(ids: number[], options: { readonly skip_special_tokens: boolean; readonly clean_up_tokenization_spaces: boolean }): string;
  get_vocab?(): ReadonlyMap<string, number>;
  readonly model?: unknown;
}

/**
 * Wraps a tokenizer object of transformers.js (`AutoTokenizer.from_pretrained`), so that an app that has one need not load a second.
 *
 * @throws TypeError if the object has neither `get_vocab()` nor `model.tokens_to_ids`.
 */
export function fromTransformers(tokenizer: TransformersTokenizer): Tokenizer {
  const ids = vocabularyOf(tokenizer);
  const tokens = new Map<number, string>();
  for (const [token, id] of ids) if (typeof token === 'string') tokens.set(id, token);
  return {
    encode: (text, special) => tokenizer.encode(text, { add_special_tokens: special === 'special' }),
    decode: (list) => {
      const used = list.filter((id) => tokens.has(id));
      return used.length === 0 ? '' : tokenizer.decode(used, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
    },
    token: (id) => tokens.get(id),
    id: (token) => ids.get(token),
  };
}

function vocabularyOf(tokenizer: TransformersTokenizer): ReadonlyMap<string, number> {
  const map = tokenizer.get_vocab?.() ?? (isObjectLike(tokenizer.model) ? tokenizer.model['tokens_to_ids'] : undefined);
  if (map instanceof Map) return map;
  throw new TypeError('fromTransformers expects a tokenizer of transformers.js: it has neither get_vocab() nor model.tokens_to_ids');
}

// transformers.js makes its models callable: they are functions.
function isObjectLike(value: unknown): value is Json {
  return isObject(value) || typeof value === 'function';
}
