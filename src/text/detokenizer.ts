import type { Tokenizer } from './tokenizer.ts';

/** Turns the tokens of one answer into text, as they come. */
export interface Detokenizer {
  /** The text that these ids complete. What may still become a character is held back: at most three bytes. */
  push(ids: readonly number[]): string;
  /** Ends the answer: what was held back, as the tokenizer decodes it. */
  flush(): string;
}

const replacement = '\uFFFD';
// An unfinished character has at most three bytes, so at most three replacement characters stand for it.
const heldLimit = 3;
// A window of bytes that make no character is cut back to this many tokens, each of at least one byte: no unfinished character is cut.
const windowLimit = 16;
const windowKept = 4;

/**
 * Decodes an answer token by token. Each token is decoded together with the few before it (so that decoders that look at
 * neighbours, strip a leading space or join bytes see what they need), never with all of them: a token costs the same at any length.
 * The pieces together equal `tokenizer.decode` of all ids, wherever decoding more ids only appends text.
 */
export function createDetokenizer(tokenizer: Tokenizer): Detokenizer {
  // Groups of ids; each group but the last one ended where no character was unfinished.
  let groups: number[][] = [[]];
  /** What all groups decode to, and how much of it was given from its start. */
  let text = '';
  let given = '';
  let anchor: readonly number[] | undefined;

  /** Whether an id adds nothing anywhere (a special or unused one), not only here: a first `▁` adds nothing at the start. */
  const isSilent = (id: number): boolean => {
    anchor ??= tokenizer.encode('a', 'plain');
    return tokenizer.decode([...anchor, id]) === tokenizer.decode(anchor);
  };

  const pushOne = (id: number): string => {
    const last = groups[groups.length - 1]!;
    last.push(id);
    const next = tokenizer.decode(groups.flat());
    if (next === text && isSilent(id)) {
      last.pop();
      return '';
    }
    text = next;
    // Some decoders break a whole run of bytes while its last character is unfinished: then what was given is no context.
    if (!text.startsWith(given)) restart(last);
    const held = trailingReplacements(text);
    const piece = give(held);
    if (held === 0) startGroup();
    else if (last.length >= windowLimit) return piece + cutWindow(last);
    return piece;
  };

  const give = (held: number): string => {
    const end = Math.max(given.length, text.length - held);
    const piece = text.slice(given.length, end);
    given = text.slice(0, end);
    return piece;
  };

  const restart = (ids: number[]): void => {
    groups = [ids];
    text = tokenizer.decode(ids);
    given = '';
  };

  /** Keeps as context the fewest last groups that show some text. */
  const startGroup = (): void => {
    for (let kept = 1; kept <= groups.length; kept++) {
      const context = groups.slice(-kept);
      const decoded = tokenizer.decode(context.flat());
      if (decoded === '' && kept < groups.length) continue;
      groups = [...context, []];
      text = decoded;
      given = decoded;
      return;
    }
  };

  /** Forgets all but the last few ids of a run of bytes that makes no character. */
  const cutWindow = (last: readonly number[]): string => {
    const kept = last.slice(-windowKept);
    const held = Math.min(trailingReplacements(tokenizer.decode(kept)), trailingReplacements(text));
    const piece = give(held);
    restart(kept);
    given = text.slice(0, text.length - held);
    return piece;
  };

  return {
    push(ids) {
      let out = '';
      for (const id of ids) out += pushOne(id);
      return out;
    },
    flush() {
      return give(0);
    },
  };
}

function trailingReplacements(text: string): number {
  let count = 0;
  while (count < heldLimit && count < text.length && text[text.length - 1 - count] === replacement) count++;
  return count;
}
