import type { BatchLine } from '../openai/batch.ts';

/** The longest line that is kept: far more than any context's text. */
const LONGEST = 64 * 2 ** 20;

/** Lines of a stream of bytes, without their line feeds; a last line without one counts. Of a line above `longest` bytes only the size is kept. */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>, longest = LONGEST): AsyncGenerator<BatchLine, void, undefined> {
  let pieces: Uint8Array[] = [];
  let size = 0;
  const add = (piece: Uint8Array): void => {
    size += piece.length;
    if (size <= longest) pieces.push(piece);
    else pieces = [];
  };
  const take = (): BatchLine => {
    const line = size <= longest ? joined(pieces, size) : { tooLong: size };
    pieces = [];
    size = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      add(chunk.subarray(start, end));
      yield take();
      start = end + 1;
    }
    add(chunk.subarray(start));
  }
  if (size > 0) yield take();
}

function joined(pieces: readonly Uint8Array[], size: number): Uint8Array {
  const line = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    line.set(piece, at);
    at += piece.length;
  }
  return line;
}
