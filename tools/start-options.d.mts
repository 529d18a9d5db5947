/** Options of `weblora chat` that take a word: it is theirs and no part of the message. */
export const WITH_VALUE: readonly string[];
