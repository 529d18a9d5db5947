import { type GgufSource, shown, unsupported, wrong } from './gguf-tokenizer-values.ts';

/** Two neighbours that become one token; earlier pairs of a list go first. */
export type Merge = readonly [string, string];

/**
 * Merges as GGUF lists them: two tokens and a space between them.
 *
 * @param known Whether a text is a token of the file.
 * @throws WebLoraError `gguf_metadata` for an entry that is no pair, or one that names or makes what is no token.
 */
export function parseMerges(source: GgufSource, lines: readonly string[], known: (token: string) => boolean): Merge[] {
  const key = 'tokenizer.ggml.merges';
  return lines.map((line, i) => {
    const space = line.indexOf(' ', 1);
    const left = line.slice(0, space);
    const right = line.slice(space + 1);
    if (space < 0 || right === '' || right.includes(' ')) throw wrong(source, `${key}[${i}]`, line, 'two tokens with one space between');
    for (const token of [left, right, left + right]) {
      if (!known(token)) throw wrong(source, `${key}[${i}]`, line, `made of tokens; tokenizer.ggml.tokens lacks ${shown(token)}`);
    }
    return [left, right];
  });
}

/** Each way to cut a piece is looked up, which is quadratic in its length. */
const longestPiece = 256;
/** Places where pieces could be cut, of all pieces together: Gemma's, the largest vocabulary, has two million. Each is looked up. */
const mostPlaces = 8_000_000;
/** Merges for each piece, and of all: Llama 2's and Gemma's have two. Pieces that are made for it have a hundred, and fill the memory. */
const mergesEach = 8;
const mostMerges = 3_000_000;
const fewMerges = 1 << 16;

/** A piece of a SentencePiece vocabulary that text can be merged into. */
export interface ScoredPiece {
  readonly text: string;
  readonly id: number;
  readonly score: number;
}

/**
 * Merges that give what SentencePiece gives for scored pieces. It always joins the two neighbours whose whole has the best score, the
 * leftmost of equals; so every way to cut a piece into two becomes a merge, those of better pieces first. A part may be one character
 * that is no piece: it never stands alone, and still can be joined.
 *
 * @param pieces The pieces of type normal: no bytes, no control, unused or user-defined ones, which text is never merged into.
 * @throws WebLoraError `tokenizer_unsupported` where all scores are alike (a converter's placeholder, which orders nothing), a piece
 * has more than 256 characters, or pieces can be cut in far more ways than those of real vocabularies.
 */
export function mergesOfScores(source: GgufSource, pieces: readonly ScoredPiece[]): Merge[] {
  const longer = pieces.filter((piece) => !isCharacter(piece.text));
  const best = longer[0]?.score;
  if (longer.length > 1 && longer.every((piece) => piece.score === best)) {
    throw unsupported(source, `tokenizer.ggml.scores is ${best} for every piece, so it does not tell in which order pieces are merged`);
  }
  const endless = longer.find((piece) => piece.text.length > longestPiece);
  if (endless !== undefined) {
    throw unsupported(source, `tokenizer.ggml.tokens[${endless.id}] has ${endless.text.length} characters, more than ${longestPiece}`);
  }
  const known = new Set(longer.map((piece) => piece.text));
  const merges: Merge[] = [];
  const most = Math.min(mergesEach * longer.length + fewMerges, mostMerges);
  const tooMany = (what: string) => unsupported(source, `the pieces of tokenizer.ggml.tokens can be cut in more than ${what}`);
  if (longer.reduce((places, { text }) => places + text.length - 1, 0) > mostPlaces) throw tooMany(`${mostPlaces} places`);
  for (const { text } of longer.toSorted((a, b) => b.score - a.score || a.id - b.id)) {
    for (let at = text.length - 1; at > 0; at--) {
      if (isLowSurrogate(text, at)) continue;
      const left = text.slice(0, at);
      const right = text.slice(at);
      if ((known.has(left) || isCharacter(left)) && (known.has(right) || isCharacter(right))) merges.push([left, right]);
    }
    if (merges.length > most) throw tooMany(`${most} ways`);
  }
  return merges;
}

function isLowSurrogate(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  return unit >= 0xdc00 && unit < 0xe000;
}

function isCharacter(text: string): boolean {
  return text.length === 1 || (text.length === 2 && isLowSurrogate(text, 1));
}
