import { WebLoraError } from '../errors.ts';
import type { TokenLogprob } from './types.ts';

/** Ids below this fit beside 32 bits of logit in the 53 exact bits of a double. */
const MAX_VOCABULARY = 2 ** 21;

interface LogSum {
  readonly max: number;
  /** log of the sum of exp(logit − max). */
  readonly log: number;
}

function logSum(logits: Float32Array): LogSum {
  let max = -Infinity;
  let min = Infinity;
  for (const logit of logits) {
    if (logit > max) max = logit;
    if (logit < min) min = logit;
  }
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  if (!Number.isFinite(sum) || !Number.isFinite(max) || !Number.isFinite(min)) {
    const message = 'The logits of a position hold NaN or infinity: the model or its adapter overflows on this prompt.';
    throw new WebLoraError('not_finite', message);
  }
  return { max, log: Math.log(sum) };
}

/** One number per token that sorts as (logit descending, id ascending): the better the token, the smaller its key. */
function createKeys(logits: Float32Array): (token: number) => number {
  const bits = new Uint32Array(logits.buffer, logits.byteOffset, logits.length);
  return (token) => {
    const word = bits[token]! === 0x80000000 ? 0 : bits[token]!; // −0 ties with 0
    const descending = word >>> 31 === 1 ? word : ~word & 0x7fffffff; // the sign bit puts negative logits last
    return descending * MAX_VOCABULARY + token;
  };
}

/** Moves the root of a max-heap down to its place. */
function siftDown(heap: Float64Array): void {
  const key = heap[0]!;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && heap[child + 1]! > heap[child]!) child += 1;
    if (heap[child]! <= key) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = key;
}

/** The `count` smallest keys in rising order: a heap of the best so far, with the worst of them at its root. */
function smallestKeys(vocabulary: number, count: number, key: (token: number) => number): Float64Array {
  const heap = new Float64Array(count).fill(Infinity);
  if (count === 0) return heap;
  for (let token = 0; token < vocabulary; token++) {
    const candidate = key(token);
    if (candidate >= heap[0]!) continue;
    heap[0] = candidate;
    siftDown(heap);
  }
  return heap.sort();
}

function sortedKeys(vocabulary: number, key: (token: number) => number): Float64Array {
  const keys = new Float64Array(vocabulary);
  for (let token = 0; token < vocabulary; token++) keys[token] = key(token);
  return keys.sort();
}

function bestTokens(logits: Float32Array, count: number): Uint32Array {
  const key = createKeys(logits);
  const sortAll = count * 8 > logits.length; // a heap of most of the vocabulary costs more than one native sort
  const keys = sortAll ? sortedKeys(logits.length, key) : smallestKeys(logits.length, count, key);
  const tokens = new Uint32Array(count);
  for (let place = 0; place < count; place++) tokens[place] = keys[place]! % MAX_VOCABULARY;
  return tokens;
}

function rankOf(logits: Float32Array, token: number): number {
  const logit = logits[token]!;
  let rank = 1;
  for (let other = 0; other < logits.length; other++) {
    if (logits[other]! > logit || (logits[other]! === logit && other < token)) rank += 1;
  }
  return rank;
}

/**
 * Log-probabilities of one position from its raw logits `[vocabulary]`: log-softmax in double precision, rounded to float32.
 * `top`: how many of the most likely tokens to list, best first, ties by lowest id; −1 or more than there are: all.
 * Throws `RangeError` for a token outside the vocabulary or a `top` below −1, `not_finite` where a logit is NaN or infinite.
 */
export function tokenLogprob(logits: Float32Array, token: number, top: number): TokenLogprob {
  if (logits.length > MAX_VOCABULARY) {
    throw new RangeError(`The vocabulary has ${logits.length} tokens; at most ${MAX_VOCABULARY} are served.`);
  }
  if (!Number.isInteger(token) || token < 0 || token >= logits.length) {
    throw new RangeError(`Token ${token} is not in the vocabulary of ${logits.length}.`);
  }
  if (!Number.isInteger(top) || top < -1) throw new RangeError(`top must be an integer of at least -1; got ${top}.`);
  const { max, log } = logSum(logits);
  const logprob = (id: number): number => Math.fround(logits[id]! - max - log);
  const topTokens = bestTokens(logits, top === -1 ? logits.length : Math.min(top, logits.length));
  const topLogprobs = new Float32Array(topTokens.length);
  topTokens.forEach((id, place) => {
    topLogprobs[place] = logprob(id);
  });
  return { token, logprob: logprob(token), rank: rankOf(logits, token), topTokens, topLogprobs };
}
