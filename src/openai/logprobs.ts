import type { TokenLogprob } from '../engine/types.ts';
import { idName } from './tokens.ts';
import type { TokenNames } from './tokens.ts';

/** Log-probabilities of the completions endpoint. All lists have one entry per generated token. */
export interface CompletionLogprobs {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly number[];
  /** The most likely tokens, and the chosen one where it is not among them. */
  readonly top_logprobs: readonly Readonly<Record<string, number>>[];
  /** Where each token begins in the answer, counted in code points of the tokens' own texts. */
  readonly text_offset: readonly number[];
}

/** One token in the log-probabilities of the chat endpoint. */
export interface ChatToken {
  readonly token: string;
  readonly logprob: number;
  /** The token's UTF-8 bytes; raw bytes for a part of a code point; null where the model has no tokenizer. */
  readonly bytes: readonly number[] | null;
}

/** Log-probabilities of the chat endpoint. */
export interface ChatLogprobs {
  readonly content: readonly (ChatToken & { readonly top_logprobs: readonly ChatToken[] })[];
  readonly refusal: null;
}

/** vLLM's log-probabilities of a prompt's tokens: null for the first, then token id → entry, the prompt's own token always among them. */
export type PromptLogprobs = readonly (Readonly<
  Record<string, { readonly logprob: number; readonly rank: number; readonly decoded_token: string | null }>
> | null)[];

/** Whether tokens are written as text or as `token_id:7`. */
export type Spelling = 'text' | 'ids';

/** JSON has no infinity: like vLLM, the logarithm of nothing is −9999. */
function finite(logprob: number): number {
  return logprob === Number.NEGATIVE_INFINITY ? -9999 : logprob;
}

function nameOf(id: number, names: TokenNames, spelling: Spelling): string {
  return (spelling === 'text' ? names.text(id) : undefined) ?? idName(id);
}

/** A generation's log-probabilities in the completions endpoint's shape. */
export function completionLogprobs(entries: readonly TokenLogprob[], names: TokenNames, spelling: Spelling): CompletionLogprobs {
  const tokens = entries.map((entry) => nameOf(entry.token, names, spelling));
  const offsets: number[] = [];
  let offset = 0;
  for (const entry of entries) {
    offsets.push(offset);
    offset += [...(names.text(entry.token) ?? '')].length;
  }
  return {
    tokens,
    token_logprobs: entries.map((entry) => finite(entry.logprob)),
    top_logprobs: entries.map((entry) => byName(entry, names, spelling)),
    text_offset: offsets,
  };
}

/** Where tokens share a text the likeliest has it as its key and the others are `token_id:7`: no entry is lost. */
function byName(entry: TokenLogprob, names: TokenNames, spelling: Spelling): Record<string, number> {
  // Without a prototype, because a token may well be called __proto__.
  const dictionary: Record<string, number> = Object.create(null);
  const add = (id: number, logprob: number): void => {
    const name = nameOf(id, names, spelling);
    dictionary[Object.hasOwn(dictionary, name) ? idName(id) : name] = finite(logprob);
  };
  entry.topTokens.forEach((id, index) => add(id, entry.topLogprobs[index] ?? Number.NEGATIVE_INFINITY));
  if (!entry.topTokens.includes(entry.token)) add(entry.token, entry.logprob);
  return dictionary;
}

/** A generation's log-probabilities in the chat endpoint's shape. */
export function chatLogprobs(entries: readonly TokenLogprob[], names: TokenNames, spelling: Spelling): ChatLogprobs {
  const chatToken = (id: number, logprob: number): ChatToken => ({
    token: nameOf(id, names, spelling),
    logprob: finite(logprob),
    bytes: names.bytes(id) ?? null,
  });
  const content = entries.map((entry) => ({
    ...chatToken(entry.token, entry.logprob),
    top_logprobs: Array.from(entry.topTokens, (id, index) => chatToken(id, entry.topLogprobs[index] ?? Number.NEGATIVE_INFINITY)),
  }));
  return { content, refusal: null };
}

/** A prompt's log-probabilities in vLLM's shape. */
export function promptLogprobs(entries: readonly (TokenLogprob | undefined)[], names: TokenNames): PromptLogprobs {
  return entries.map((entry) => {
    if (entry === undefined) return null;
    const dictionary: Record<string, { logprob: number; rank: number; decoded_token: string | null }> = {};
    const add = (id: number, logprob: number, rank: number): void => {
      dictionary[id] = { logprob: finite(logprob), rank, decoded_token: names.text(id) ?? null };
    };
    entry.topTokens.forEach((id, index) => add(id, entry.topLogprobs[index] ?? Number.NEGATIVE_INFINITY, index + 1));
    add(entry.token, entry.logprob, entry.rank);
    return dictionary;
  });
}
