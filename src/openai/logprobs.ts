import type { TokenLogprob } from '../engine/types.ts';
import { idName } from './tokens.ts';
import type { TokenNames } from './tokens.ts';
import type { ChatLogprobs, ChatToken, CompletionLogprobs, PromptLogprobs } from './types.ts';

/** Whether tokens are written as text or as `token_id:7`. */
export type Spelling = 'text' | 'ids';

/** JSON has no infinity: like vLLM, the logarithm of nothing is −9999. */
function finite(logprob: number): number {
  return logprob === Number.NEGATIVE_INFINITY ? -9999 : logprob;
}

function nameOf(id: number, names: TokenNames, spelling: Spelling): string {
  return (spelling === 'text' ? names.text(id) : undefined) ?? idName(id);
}

/** How many code points the texts of the chosen tokens have, one by one. */
export function textLength(entries: readonly TokenLogprob[], names: TokenNames): number {
  return entries.reduce((sum, entry) => sum + [...(names.text(entry.token) ?? '')].length, 0);
}

/** Log-probabilities in the completions endpoint's shape; the first token begins at code point `begin` of the answer. */
export function completionLogprobs(entries: readonly TokenLogprob[], names: TokenNames, spelling: Spelling, begin = 0): CompletionLogprobs {
  const tokens = entries.map((entry) => nameOf(entry.token, names, spelling));
  const offsets: number[] = [];
  let offset = begin;
  for (const entry of entries) {
    offsets.push(offset);
    offset += textLength([entry], names);
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
    bytes: copyOf(names.bytes(id)),
  });
  const content = entries.map((entry) => ({
    ...chatToken(entry.token, entry.logprob),
    top_logprobs: Array.from(entry.topTokens, (id, index) => chatToken(id, entry.topLogprobs[index] ?? Number.NEGATIVE_INFINITY)),
  }));
  return { content, refusal: null };
}

function copyOf(bytes: readonly number[] | undefined): number[] | null {
  return bytes === undefined ? null : [...bytes];
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
